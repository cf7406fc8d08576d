"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, Kind, Manifest, Model, Rhythm, SerialSpec

_TESTS = "ak-git/DesktopFX: com.ak.comm.bytes.suntech, NIBPConverterTest, NIBPBytesInterceptorTest"
_PROVIDER = "519984307/Appciton: Providers/SuntechProvider/SuntechProvider.cpp"

MANIFEST = Manifest(
    id="suntech",
    title="SunTech OEM blood pressure modules over serial",
    kinds=frozenset({Kind.BLOOD_PRESSURE}),
    models=(
        Model(name="Advantage OEM", evidence=Evidence.OTHER_PROJECT, source=_TESTS),
        Model(name="Advantage LX, Advantage A+", evidence=Evidence.OTHER_PROJECT, source=_PROVIDER),
    ),
    links=(SerialSpec(baud=9600),),
    clock=DeviceClockKind.NONE,
    rhythm=Rhythm(idle_timeout_s=15),  # it answers every request, even when busy or asleep
)
