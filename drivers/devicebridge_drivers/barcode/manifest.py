"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, Manifest, Model, Rhythm, SerialSpec

_LXI = "Welch Allyn Spot Vital Signs LXi Service Manual, p. 39 (barcode output format)"
_SUFFIXES = "Hand Held Products 3220 User's Guide, p. 3-24 (record suffix: CR, LF or CR LF)"

MANIFEST = Manifest(
    id="barcode",
    title="Barcode scanners on a serial line",
    kinds=frozenset(),  # a scan is no measurement
    models=(
        Model(name="Scanners set up for the Spot Vital Signs LXi", evidence=Evidence.VENDOR_DOCUMENT, source=_LXI),
        Model(
            name="Any scanner in RS-232 or USB serial mode that ends a code with CR, LF or both",
            evidence=Evidence.VENDOR_DOCUMENT,
            source=_SUFFIXES,
        ),
    ),
    links=(SerialSpec(baud=9600),),
    clock=DeviceClockKind.NONE,
    rhythm=Rhythm(),  # a scanner is silent until its trigger is pulled
)
