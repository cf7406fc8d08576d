from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, GattSpec, Kind, Manifest, Model, Rhythm
from devicebridge.sdk.bluetooth import uuid16

_XDRIP = "github.com/NightscoutFoundation/xDrip, app/src/main/java/com/eveningoutpost/dexdrip"

MANIFEST = Manifest(
    id="ble-glucose",
    title="Blood glucose meter (Bluetooth Glucose Service)",
    kinds=frozenset({Kind.GLUCOSE}),
    models=(
        Model(
            name="any with the Glucose Service",
            evidence=Evidence.STANDARD,
            source="Bluetooth SIG, Glucose Service 1.0.1 and GATT Specification Supplement",
        ),
        Model(
            name="Roche Accu-Chek Aviva Connect and relatives",
            evidence=Evidence.OTHER_PROJECT,
            source=f"{_XDRIP}/services/BluetoothGlucoseMeter.java: clock in 2A08, time offset",
        ),
        Model(
            name="Ascensia Contour Next One",
            evidence=Evidence.OTHER_PROJECT,
            source=f"{_XDRIP}/services/BluetoothGlucoseMeter.java; must be paired first",
        ),
        Model(
            name="i-SENS CareSens Dual",
            evidence=Evidence.OTHER_PROJECT,
            source=f"{_XDRIP}/glucosemeter/caresens/ContextRx.java, TimeTx.java: ketone records, own clock",
        ),
        Model(
            name="TaiDoc Diamond Mini DM30b",
            evidence=Evidence.OTHER_PROJECT,
            source=f"{_XDRIP}/services/BluetoothGlucoseMeter.java: sequence numbers that shift, no clock",
        ),
    ),
    links=(GattSpec(services=(uuid16(0x1808),)),),
    clock=DeviceClockKind.READABLE,
    # A meter hangs up by itself some seconds after the last record; this is for one that never does.
    rhythm=Rhythm(idle_timeout_s=120),
    has_memory=True,
)
