from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, GattSpec, Kind, Manifest, Model, Rhythm
from devicebridge.sdk.bluetooth import uuid16

from .nonin import SERVICE as NONIN_SERVICE

MANIFEST = Manifest(
    id="ble-pulse-oximeter",
    title="Pulse oximeter (Bluetooth Pulse Oximeter Service)",
    kinds=frozenset({Kind.PULSE_OXIMETRY}),
    models=(
        Model(
            name="any with the Pulse Oximeter Service",
            evidence=Evidence.STANDARD,
            source="Bluetooth SIG, Pulse Oximeter Service 1.0.1 and GATT Specification Supplement",
        ),
        Model(
            name="Nonin 3230",
            evidence=Evidence.OTHER_PROJECT,
            source="Nonin 113142-000-02 Rev B as decoded by M. Villarroel, ble_nco_spec_decoder.swift; "
            "github.com/andreasdri/nonin-3230-ble",
        ),
    ),
    links=(GattSpec(services=(uuid16(0x1822), NONIN_SERVICE)),),
    clock=DeviceClockKind.STAMPS,
    # A stream speaks every second; a spot-check oximeter hangs up by itself after its result.
    rhythm=Rhythm(idle_timeout_s=120),
    has_memory=True,
)
