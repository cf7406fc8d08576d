"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, Kind, Manifest, Model, Rhythm, SerialSpec

_MANUAL = (
    'GE 2010566 Rev. E, "Host Communications Reference Manual": commands NA, OA, RA and TC as quoted in '
    "GeV100SerialConn.cs (Emr.Devices.GeV100); contents and appendix B"
)
_V100 = "answers in the comments of V100.js (`parseBP`); ksupasak/gxt: services/miot-monitor/devices/ids-combo-gw.rb"
_LAB = "tnez/TK-BP: TKBPController.h, TKBPController.m (University of Kentucky)"

MANIFEST = Manifest(
    id="dinamap",
    title="GE DINAMAP monitors over serial (host communications)",
    kinds=frozenset({Kind.BLOOD_PRESSURE, Kind.PULSE_OXIMETRY, Kind.TEMPERATURE}),
    models=(
        Model(name="CARESCAPE V100", evidence=Evidence.OTHER_PROJECT, source=_V100),
        Model(name="DINAMAP ProCare 100 to 400", evidence=Evidence.VENDOR_DOCUMENT, source=_MANUAL),
        Model(name="DINAMAP PRO 100 to 400", evidence=Evidence.OTHER_PROJECT, source=_LAB),
    ),
    links=(SerialSpec(baud=9600),),
    clock=DeviceClockKind.NONE,  # how long ago something was measured is all it says
    rhythm=Rhythm(idle_timeout_s=15),  # it answers every request; it is asked once a second
)
