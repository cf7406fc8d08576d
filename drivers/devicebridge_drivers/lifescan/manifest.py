"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, GattSpec, Kind, LinkKind, Manifest, Model, Rhythm, SerialSpec

from .fragments import SERVICE

_TRACE = "Doume/Glucometer, Documents/trace_verio.txt: the line between a OneTouch Verio IQ and LifeScan's own software"
_THOMPSON = "Daniel Thompson, OneTouch UltraEasy, ue_link.c (2011); tidepool-org/uploader: oneTouchUltraMini.js"
_FLEX = "tidepool-org/uploader, oneTouchVerioBLE.js; NightscoutFoundation/xDrip, VerioHelper.java and issue 120"
_SELECT = "Gadgetbridge, OneTouchSupport.kt and OneTouchMessageTest.kt: what a meter was asked and answered"
_CP210X = 0x10C4  # Silicon Labs; 0x85A7 is in the meter itself (glucometer-protocols, onetouch-verio-iq.md)

MANIFEST = Manifest(
    id="lifescan",
    title="LifeScan OneTouch glucose meters, binary (UltraMini/UltraEasy 9600 baud, Verio IQ 38400 baud, Bluetooth LE)",
    kinds=frozenset({Kind.GLUCOSE}),
    models=(
        Model(name="OneTouch Verio IQ", link=LinkKind.SERIAL, evidence=Evidence.CAPTURE, source=_TRACE),
        Model(
            name="OneTouch UltraMini, UltraEasy",
            link=LinkKind.SERIAL,
            evidence=Evidence.OTHER_PROJECT,
            source=_THOMPSON,
        ),
        Model(
            name="OneTouch Verio Flex, Verio Reflect", link=LinkKind.GATT, evidence=Evidence.OTHER_PROJECT, source=_FLEX
        ),
        Model(
            name="OneTouch Select Plus Flex, Ultra Plus Flex",
            link=LinkKind.GATT,
            evidence=Evidence.OTHER_PROJECT,
            source=_SELECT,
        ),
    ),
    links=(
        SerialSpec(baud=38_400, usb_ids=((_CP210X, 0x85A7),)),
        SerialSpec(baud=9600),
        # It wants a bond by passkey, and refuses everything without.
        GattSpec(services=(SERVICE,), name_prefixes=("OneTouch",)),
    ),
    clock=DeviceClockKind.READABLE,
    rhythm=Rhythm(),  # a cable without a meter is silent
    has_memory=True,
)
