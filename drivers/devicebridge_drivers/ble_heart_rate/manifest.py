from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, GattSpec, Kind, Manifest, Model, Rhythm
from devicebridge.sdk.bluetooth import uuid16

MANIFEST = Manifest(
    id="ble-heart-rate",
    title="Heart rate sensor (Bluetooth Heart Rate Service)",
    kinds=frozenset({Kind.HEART_RATE}),
    models=(
        Model(
            name="any with the Heart Rate Service",
            evidence=Evidence.STANDARD,
            source="Bluetooth SIG, Heart Rate Service 1.0 and GATT Specification Supplement",
        ),
    ),
    links=(GattSpec(services=(uuid16(0x180D),)),),
    clock=DeviceClockKind.NONE,
    # A value a second while it is worn; some sensors say nothing while they are not.
    rhythm=Rhythm(idle_timeout_s=300),
)
