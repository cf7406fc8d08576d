from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, GattSpec, Kind, Manifest, Model, Rhythm
from devicebridge.sdk.bluetooth import uuid16

MANIFEST = Manifest(
    id="ble-blood-pressure",
    title="Blood pressure monitor (Bluetooth Blood Pressure Service)",
    kinds=frozenset({Kind.BLOOD_PRESSURE}),
    models=(
        Model(
            name="any with the Blood Pressure Service",
            evidence=Evidence.STANDARD,
            source="Bluetooth SIG, Blood Pressure Service 1.1.1 and GATT Specification Supplement",
        ),
        Model(
            name="A&D UA-651BLE",
            evidence=Evidence.CAPTURE,
            source="h2SyncLib, AndUA651BLE.h: values as logged; github.com/obniz/obniz src/parts/Ble/UA651BLE: its own "
            "service. A&D wants its clock written in each connection: set_clock",
        ),
        Model(
            name="Omron cuffs with the Blood Pressure Service (BLEsmart_)",
            evidence=Evidence.OTHER_PROJECT,
            source="github.com/weliem/blessed-android, BluetoothHandler.java of its example: when its clock may be set",
        ),
        Model(
            name="Beurer BM85",
            evidence=Evidence.CAPTURE,
            source="github.com/derdilla/blood-pressure-monitor-fl pull requests 735 and 737",
        ),
    ),
    links=(GattSpec(services=(uuid16(0x1810),)),),
    clock=DeviceClockKind.STAMPS,
    # A cuff hangs up by itself some seconds after its last value; this is for one that never does.
    rhythm=Rhythm(idle_timeout_s=300),
    has_memory=True,
)
