"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import (
    DeviceClockKind,
    Evidence,
    GattSpec,
    Kind,
    LinkKind,
    Manifest,
    Model,
    Parity,
    Rhythm,
    SerialSpec,
)

from .codec import SERVICE

_BERRY = 'Shanghai Berry, "BCI Protocol V1.2" (github.com/zh2x/BCI_Protocol)'
_CONTEC = "github.com/atbrask/CMS50Dplus: unittests.py, cms50dplus.py (firmware up to 4.5)"
_CONTEC_OLD = (
    "Contec's protocol sheet as translated at picbasic.co.uk, forum thread 11311: 4800 baud, 60 packets a second"
)
_BLE = (
    "adafruit/Adafruit_CircuitPython_BLE_BerryMed_Pulse_Oximeter; atick-faisal/berry-oximeter; "
    "SensorsIot/Oximeters-BLE-Hack-ESP32, issue 2 (a BM1000C)"
)
_CP210X = ((0x10C4, 0xEA60),)  # in Contec's cable

MANIFEST = Manifest(
    id="bci-oximeter",
    title="Pulse oximeters with five-byte BCI packets (BerryMed, Contec)",
    kinds=frozenset({Kind.PULSE_OXIMETRY}),
    models=(
        Model(name="BerryMed modules", link=LinkKind.SERIAL, evidence=Evidence.VENDOR_DOCUMENT, source=_BERRY),
        Model(
            name="BerryMed BM1000B, BM1000C, BM1000E", link=LinkKind.GATT, evidence=Evidence.OTHER_PROJECT, source=_BLE
        ),
        Model(
            name="Contec CMS50D+, CMS50E up to firmware 4.5",
            link=LinkKind.SERIAL,
            evidence=Evidence.OTHER_PROJECT,
            source=_CONTEC,
        ),
        Model(
            name="Contec CMS50 of 4800 baud", link=LinkKind.SERIAL, evidence=Evidence.OTHER_PROJECT, source=_CONTEC_OLD
        ),
    ),
    links=(
        SerialSpec(baud=115_200),
        SerialSpec(baud=19_200, parity=Parity.ODD, usb_ids=_CP210X),
        SerialSpec(baud=4_800, parity=Parity.ODD, usb_ids=_CP210X),
        GattSpec(services=(SERVICE,), name_prefixes=("BerryMed",)),
    ),
    clock=DeviceClockKind.NONE,
    rhythm=Rhythm(),  # switched off when no finger is in it
)
