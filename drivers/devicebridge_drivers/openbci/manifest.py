"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, Kind, Manifest, Model, Rhythm, SerialSpec

MANIFEST = Manifest(
    id="openbci",
    title="OpenBCI Cyton biosensing board: EKG leads, eight channels at 250 Hz",
    kinds=frozenset({Kind.ECG}),
    models=(
        Model(
            name="Cyton (8 channels)",
            evidence=Evidence.VENDOR_DOCUMENT,
            source="docs.openbci.com, Cyton Data Format; OpenBCI_NodeJS_Utilities, test/openBCIUtilities-test.js",
        ),
    ),
    links=(SerialSpec(baud=115_200, usb_ids=((0x0403, 0x6015),)),),
    clock=DeviceClockKind.NONE,
    rhythm=Rhythm(idle_timeout_s=10),
)
