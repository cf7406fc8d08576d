"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, Kind, Manifest, Model, Rhythm, SerialSpec

_TRACE = "Doume/Glucometer, Documents/trace_ultra.txt: the line between a OneTouch Ultra and LifeScan's own software"
_TIDEPOOL = "tidepool-org/uploader, lib/drivers/onetouch/oneTouchUltra2.js, with a header and records as received"

MANIFEST = Manifest(
    id="onetouch-ultra2",
    title="OneTouch Ultra2 and Ultra glucose meters (text)",
    kinds=frozenset({Kind.GLUCOSE}),
    models=(
        Model(name="OneTouch Ultra2", evidence=Evidence.OTHER_PROJECT, source=_TIDEPOOL),
        Model(name="OneTouch Ultra", evidence=Evidence.CAPTURE, source=_TRACE),
    ),
    links=(SerialSpec(baud=9600),),
    clock=DeviceClockKind.READABLE,
    rhythm=Rhythm(),  # a cable without a meter is silent
    has_memory=True,
)
