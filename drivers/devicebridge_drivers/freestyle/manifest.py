"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, Kind, Manifest, Model, Rhythm, SerialSpec

_LITE = "glucometers-tech/glucometer-protocols, freestyle-lite.md; tidepool-org/uploader, abbottFreeStyleLite.js"
_XTRA = "glucometers-tech/glucometer-protocols, freestyle-optium.md; tidepool-org/uploader, abbottPrecisionXtra.js"
_ABBOTT = 0x1A61  # Linux, drivers/usb/serial/ti_usb_3410_5052.c: the plug and the strip-port cable

MANIFEST = Manifest(
    id="freestyle",
    title="Abbott FreeStyle Lite and Freedom Lite, Optium and Precision Xtra (glucose and ketones)",
    kinds=frozenset({Kind.GLUCOSE}),
    models=(
        Model(name="FreeStyle Lite, Freedom Lite", evidence=Evidence.OTHER_PROJECT, source=_LITE),
        Model(name="FreeStyle Optium, Precision Xtra", evidence=Evidence.OTHER_PROJECT, source=_XTRA),
    ),
    links=(SerialSpec(baud=19_200, usb_ids=((_ABBOTT, 0x3410), (_ABBOTT, 0x3420))),),
    clock=DeviceClockKind.READABLE,
    rhythm=Rhythm(),  # a cable without a meter is silent
    has_memory=True,
)
