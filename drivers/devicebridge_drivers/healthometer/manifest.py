"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, Kind, Manifest, Model, Rhythm, SerialSpec

_PROTOCOLS = 'Pelstar, "Health o meter Professional Communication Protocols", rev. 2023-07-11'
_PROPLUS = 'Pelstar, "ProPlus Display Module User Manual", rev. 2009-10-15, PC communication protocol'
_KL1100 = 'Pelstar, "Pro Plus 1100KL Operation Manual", pp. 33-35'
_RICE_LAKE = 'Rice Lake, "160-10-7N Low-Profile Digital Athletic Scale", 5.2.1; "140-10-7 Series", 8.3'
_CP210X = ((0x10C4, 0xEA60),)

MANIFEST = Manifest(
    id="healthometer",
    title="Health o meter Professional scales (ESC packets; binary frames of the 2595KL and the baby scales)",
    kinds=frozenset({Kind.WEIGHT, Kind.HEIGHT}),
    models=(
        Model(
            name="498KL, 500KL, 597KL, 599KL, 600KL, 752KL and their L variants",
            evidence=Evidence.VENDOR_DOCUMENT,
            source=_PROTOCOLS,
        ),
        Model(
            name="2595KL, baby scales 522, 524, 553 (baud = 2400)", evidence=Evidence.VENDOR_DOCUMENT, source=_PROTOCOLS
        ),
        Model(name="ProPlus 2101KL to 2700KL, 1600KL", evidence=Evidence.VENDOR_DOCUMENT, source=_PROPLUS),
        Model(name="ProPlus 1100KL", evidence=Evidence.VENDOR_DOCUMENT, source=_KL1100),
        Model(name="Rice Lake scales set to the ESC protocol", evidence=Evidence.VENDOR_DOCUMENT, source=_RICE_LAKE),
    ),
    links=(SerialSpec(baud=9600, usb_ids=_CP210X), SerialSpec(baud=2400, usb_ids=_CP210X)),
    clock=DeviceClockKind.NONE,
    rhythm=Rhythm(),  # most are silent while nobody stands on them
)
