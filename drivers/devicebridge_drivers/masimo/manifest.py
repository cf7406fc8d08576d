"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, Kind, Manifest, Model, Rhythm, SerialSpec

_RAD_8 = "github.com/yahnatan/pulseox, README.md: output of a Rad-8; Masimo Rad-8 Operator's Manual pp. 4-14, 4-24, 7-3"
_RAD_87 = "Masimo Rad-87 Pulse CO-Oximeter Operator's Manual p. 7-4"
_RADICAL = "MD PnP, poxrad_discrete.h: example lines of a Radical-7 and a Rad-5, alarm and exception bits"

MANIFEST = Manifest(
    id="masimo",
    title="Masimo pulse oximeters over serial (ASCII 1)",
    kinds=frozenset({Kind.PULSE_OXIMETRY}),
    models=(
        Model(name="Rad-8", evidence=Evidence.CAPTURE, source=_RAD_8),
        Model(name="Rad-87", evidence=Evidence.VENDOR_DOCUMENT, source=_RAD_87),
        Model(name="Radical-7, Rad-5", evidence=Evidence.OTHER_PROJECT, source=_RADICAL),
    ),
    links=(SerialSpec(baud=9600),),
    clock=DeviceClockKind.READABLE,  # each line carries the present time
    rhythm=Rhythm(idle_timeout_s=30),  # a line each second as long as it is switched on
)
