"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, Kind, Manifest, Model, Rhythm, SerialSpec

_OEM = 'Welch Allyn 71332-0000B, "SureTemp Plus Module, OEM Implementation Manual" (2004), pp. 16, 30-65'

MANIFEST = Manifest(
    id="suretemp",
    title="Welch Allyn SureTemp Plus module over serial",
    kinds=frozenset({Kind.TEMPERATURE}),
    models=(Model(name="SureTemp Plus OEM module", evidence=Evidence.VENDOR_DOCUMENT, source=_OEM),),
    links=(SerialSpec(baud=9600),),
    clock=DeviceClockKind.NONE,
    rhythm=Rhythm(idle_timeout_s=10),  # it "always responds" (p. 30), and is asked four times a second
)
