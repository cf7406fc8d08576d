from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, GattSpec, Kind, Manifest, Model, Rhythm

from .codec import CUFF_OR_RING_SERVICE, RING_S_SERVICE, UART_SERVICE
from .ecg import NAMES as ECG_NAMES

_LEPU = "github.com/viatom-develop/LepuBle (the maker's Android SDK)"

MANIFEST = Manifest(
    id="viatom",
    title="Viatom, Wellue and Lepu oximeters, blood pressure monitors and one-lead EKG (Bluetooth)",
    kinds=frozenset({Kind.PULSE_OXIMETRY, Kind.BLOOD_PRESSURE, Kind.ECG, Kind.HEART_RATE}),
    models=(
        Model(
            name="Viatom O2Ring, SleepO2, KidsO2, BabyO2, Checkme O2",
            evidence=Evidence.CAPTURE,
            source=f"github.com/MackeyStingray/o2r; home-health-hub/viatom-o2ring-ble; {_LEPU}",
        ),
        Model(
            name="Viatom LP-BP2W, BP2W",
            evidence=Evidence.CAPTURE,
            source=f"github.com/chalimov/viatom_bp2_ha, LP-BP2W_PROTOCOL.md; {_LEPU}",
        ),
        Model(
            name="Wellue O2Ring-S (T8520)",
            evidence=Evidence.OTHER_PROJECT,
            source="github.com/nglessner/o2ring-s-protocol; home-health-hub/viatom-o2ring-ble",
        ),
        Model(
            name="Viatom PC-60FW, PC-60NW, OxySmart, KS-60FW",
            evidence=Evidence.CAPTURE,
            source="github.com/sza2/viatom_pc60fw; viatom-develop/LepuDemo, README.md",
        ),
        Model(
            name="Viatom ER1, ER2, DuoEK, VisualBeat (EKG as it is measured)",
            evidence=Evidence.VENDOR_DOCUMENT,
            source=f"{_LEPU}, Er1BleResponse.kt; viatom-develop/LepuDemo, README.md, ER1 and ER2",
        ),
    ),
    links=(
        GattSpec(
            services=(CUFF_OR_RING_SERVICE, RING_S_SERVICE, UART_SERVICE),
            name_prefixes=(
                "O2Ring",
                "O2M",
                "SleepO2",
                "KidsO2",
                "BabyO2",
                "Checkme",
                "BP2",
                "LP-BP2",
                "S8-AW",
                "PC-60",
                *ECG_NAMES,
            ),
        ),
    ),
    # A cuff's records carry times, in a zone that it does not tell: its clock cannot be compared with them.
    clock=DeviceClockKind.STAMPS,
    # Oximeters send or answer each second; a cuff is asked for its state.
    rhythm=Rhythm(idle_timeout_s=120),
    has_memory=True,
)
