from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, GattSpec, Kind, Manifest, Model, Rhythm
from devicebridge.sdk.bluetooth import uuid16

MANIFEST = Manifest(
    id="microlife",
    title="Microlife blood pressure monitor (Bluetooth)",
    kinds=frozenset({Kind.BLOOD_PRESSURE}),
    models=(
        Model(
            name="Microlife BP3GY1-2N",
            evidence=Evidence.OTHER_PROJECT,
            source="github.com/joergmlpts/blood-pressure-monitor, bpm_bt.py; derdilla/blood-pressure-monitor-fl",
        ),
        Model(
            name="Microlife of the same generation (device code 3A)",
            evidence=Evidence.CAPTURE,
            source="github.com/vytautas-valaitis/microlife_bp, notes: the memory of a monitor on its USB cable",
        ),
    ),
    links=(GattSpec(services=(uuid16(0xFFF0),), name_prefixes=("BP3G", "MICROLIFE", "Microlife")),),
    clock=DeviceClockKind.READABLE,
    # A monitor hangs up by itself when nobody asks it anything.
    rhythm=Rhythm(idle_timeout_s=120),
    has_memory=True,
)
