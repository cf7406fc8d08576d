from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, GattSpec, Kind, Manifest, Model, Rhythm
from devicebridge.sdk.bluetooth import uuid16

MANIFEST = Manifest(
    id="ble-thermometer",
    title="Thermometer (Bluetooth Health Thermometer Service)",
    kinds=frozenset({Kind.TEMPERATURE}),
    models=(
        Model(
            name="any with the Health Thermometer Service",
            evidence=Evidence.STANDARD,
            source="Bluetooth SIG, Health Thermometer Service 1.0 and GATT Specification Supplement",
        ),
        Model(
            name="A&D UT-201BLE",
            evidence=Evidence.OTHER_PROJECT,
            source="github.com/obniz/obniz src/parts/Ble/UT201BLE. A&D wants its clock written in each connection: "
            "set_clock",
        ),
    ),
    links=(GattSpec(services=(uuid16(0x1809),)),),
    clock=DeviceClockKind.STAMPS,
    # A thermometer hangs up by itself after its value; a patch sends one every so often, up to hours apart.
    rhythm=Rhythm(),
    has_memory=True,
)
