"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, GattSpec, Kind, Manifest, Model, Rhythm

from .codec import SERVICE

MANIFEST = Manifest(
    id="polar-ecg",
    title="Polar H10 chest strap: one EKG lead at 130 Hz",
    kinds=frozenset({Kind.ECG}),
    models=(
        Model(
            name="H10",
            evidence=Evidence.CAPTURE,
            source="github.com/phdiethelm/h10_ecg, exploration/gatttool.md; polar-ble-sdk, EcgDataTest.kt",
        ),
    ),
    links=(GattSpec(services=(SERVICE,), name_prefixes=("Polar H10",)),),
    clock=DeviceClockKind.NONE,  # its stamps count from where it was last set, and place samples only
    rhythm=Rhythm(idle_timeout_s=10),  # a frame every 0.6 s once it has begun
)
