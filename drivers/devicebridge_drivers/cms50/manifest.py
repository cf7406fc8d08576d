"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, Kind, Manifest, Model, Rhythm, SerialSpec

_D_PLUS = "github.com/MarkMLl/Contec_cms50dplus, consoleapp.pas; github.com/headrotor/art-sensors, spO2/stream_data.py"
_F = "OSCAR, oscar/SleepLib/loader_plugins/cms50f37_loader.cpp; github.com/timegrid/CMS50Dplus7, cms50dplus7.py"

MANIFEST = Manifest(
    id="cms50",
    title="Contec CMS50 finger oximeters, protocol of 115,200 baud",
    kinds=frozenset({Kind.PULSE_OXIMETRY}),
    models=(
        Model(name="CMS50D+ from firmware 4.6", evidence=Evidence.CAPTURE, source=_D_PLUS),
        Model(name="CMS50E, CMS50F, CMS50EW, CMS60D", evidence=Evidence.OTHER_PROJECT, source=_F),
    ),
    links=(SerialSpec(baud=115_200, usb_ids=((0x10C4, 0xEA60),)),),
    clock=DeviceClockKind.NONE,  # only its recordings have times
    rhythm=Rhythm(),  # switched off when no finger is in it
)
