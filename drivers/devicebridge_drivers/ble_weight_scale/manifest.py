from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, GattSpec, Kind, Manifest, Model, Rhythm
from devicebridge.sdk.bluetooth import uuid16

AND_SERVICE = "23434100-1fe4-1eff-80cb-00ff78297d8b"

MANIFEST = Manifest(
    id="ble-weight-scale",
    title="Scale (Bluetooth Weight Scale and Body Composition Services)",
    kinds=frozenset({Kind.WEIGHT, Kind.HEIGHT}),
    models=(
        Model(
            name="any with the Weight Scale or the Body Composition Service",
            evidence=Evidence.STANDARD,
            source="Bluetooth SIG, Weight Scale Service 1.0, Body Composition Service 1.0 and GATT Supplement",
        ),
        Model(
            name="Beurer BF720, BF788",
            evidence=Evidence.CAPTURE,
            source="github.com/KristianP26/ble-scale-sync issues 168 and 229, tests/scales/beurer-bf720.test.ts",
        ),
        Model(
            name="A&D UC-352BLE",
            evidence=Evidence.OTHER_PROJECT,
            source="github.com/obniz/obniz src/parts/Ble/UC352BLE; HEADS-project/ThingML-BLE AND_Medical_UC352BLE.md",
        ),
        Model(
            name="A&D scales with a service of A&D's own in the standard's place",
            evidence=Evidence.VENDOR_DOCUMENT,
            source="A&D's sample app for Android, jp.co.aandd.bleSimpleApp.gatt.AndCustomWeightScaleMeasurement",
        ),
    ),
    links=(GattSpec(services=(uuid16(0x181D), uuid16(0x181B), AND_SERVICE)),),
    clock=DeviceClockKind.STAMPS,
    # A scale hangs up by itself some seconds after its last value; this is for one that never does.
    rhythm=Rhythm(idle_timeout_s=300),
    has_memory=True,
)
