"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, GattSpec, Kind, LinkKind, Manifest, Model, Rhythm, SerialSpec

from .short import SERVICE

_D_PLUS = "github.com/MarkMLl/Contec_cms50dplus, consoleapp.pas; github.com/headrotor/art-sensors, spO2/stream_data.py"
_F = "OSCAR, oscar/SleepLib/loader_plugins/cms50f37_loader.cpp; github.com/timegrid/CMS50Dplus7, cms50dplus7.py"
_BT = "tobiasisenberg/OxiVis issue 2: what a CMS50D-BT was asked and answered"
_NAMES = "OSCAR, oscar/SleepLib/loader_plugins/contec_ble_protocol.cpp: names, service, frames; without its secure mode"

MANIFEST = Manifest(
    id="cms50",
    title="Contec CMS50 finger oximeters, on the cable of 115,200 baud and over Bluetooth LE",
    kinds=frozenset({Kind.PULSE_OXIMETRY}),
    models=(
        Model(name="CMS50D+ from firmware 4.6", link=LinkKind.SERIAL, evidence=Evidence.CAPTURE, source=_D_PLUS),
        Model(name="CMS50E, CMS50F, CMS50EW, CMS60D", link=LinkKind.SERIAL, evidence=Evidence.OTHER_PROJECT, source=_F),
        Model(name="CMS50D-BT", link=LinkKind.GATT, evidence=Evidence.CAPTURE, source=_BT),
        Model(
            name="CMS50EW, CMS50FW, CMS50IW, CMS50S, CMS60D1",
            link=LinkKind.GATT,
            evidence=Evidence.OTHER_PROJECT,
            source=_NAMES,
        ),
    ),
    links=(
        SerialSpec(baud=115_200, usb_ids=((0x10C4, 0xEA60),)),
        GattSpec(services=(SERVICE,), name_prefixes=("SpO20", "SpO21", "CMS50", "CMS60")),
    ),
    clock=DeviceClockKind.NONE,  # only its recordings have times
    rhythm=Rhythm(),  # switched off when no finger is in it
)
