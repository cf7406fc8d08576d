"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, Kind, Manifest, Model, Rhythm, SerialSpec

_TRACE = "Doume/Glucometer, Documents/trace_verio.txt: the line between a OneTouch Verio IQ and LifeScan's own software"
_THOMPSON = "Daniel Thompson, OneTouch UltraEasy, ue_link.c (2011); tidepool-org/uploader: oneTouchUltraMini.js"
_CP210X = 0x10C4  # Silicon Labs; 0x85A7 is in the meter itself (glucometer-protocols, onetouch-verio-iq.md)

MANIFEST = Manifest(
    id="lifescan",
    title="LifeScan OneTouch glucose meters, binary (UltraMini/UltraEasy 9600 baud, Verio IQ 38400 baud)",
    kinds=frozenset({Kind.GLUCOSE}),
    models=(
        Model(name="OneTouch Verio IQ", evidence=Evidence.CAPTURE, source=_TRACE),
        Model(name="OneTouch UltraMini, UltraEasy", evidence=Evidence.OTHER_PROJECT, source=_THOMPSON),
    ),
    links=(SerialSpec(baud=38_400, usb_ids=((_CP210X, 0x85A7),)), SerialSpec(baud=9600)),
    clock=DeviceClockKind.READABLE,
    rhythm=Rhythm(),  # a cable without a meter is silent
    has_memory=True,
)
