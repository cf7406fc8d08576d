"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, Kind, Manifest, Model, Rhythm, SerialSpec

_OEM_9560 = 'Nonin 6470-000-01, "Onyx II Model 9560 Bluetooth Fingertip Oximeter, OEM Specification" (2008), pp. 5-15'
_OEM_3150 = 'Nonin 7970-000-05, "WristOx2 Model 3150, OEM Specification and Technical Information" (2014), pp. 21-34'
_XPOD = "TinyOS contributions, Hewlett-Packard, XpodPulseOx: the interface file of the Xpod rev. 29+"

MANIFEST = Manifest(
    id="nonin",
    title="Nonin pulse oximeters over serial (formats 1, 2, 7, 8 and 13)",
    kinds=frozenset({Kind.PULSE_OXIMETRY}),
    models=(
        Model(name="Onyx II 9560 (Bluetooth serial port)", evidence=Evidence.VENDOR_DOCUMENT, source=_OEM_9560),
        Model(name="WristOx2 3150 (Bluetooth serial port or USB)", evidence=Evidence.VENDOR_DOCUMENT, source=_OEM_3150),
        Model(name="Xpod 3012, OEM III", evidence=Evidence.OTHER_PROJECT, source=_XPOD),
    ),
    links=(SerialSpec(baud=9600),),
    clock=DeviceClockKind.STAMPS,  # in format 13 only; readable with the option `read_clock`
    rhythm=Rhythm(),  # a spot-check oximeter is silent until it has measured
    has_memory=True,
)
