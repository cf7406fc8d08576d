"""Scales with the Bluetooth SIG's Weight Scale or Body Composition Service."""

from __future__ import annotations

from devicebridge.sdk import Driver

from .codec import CHARACTERISTICS, Codec
from .manifest import MANIFEST
from .session import ScaleOptions, session

DRIVER = Driver(
    manifest=MANIFEST,
    options=ScaleOptions,
    session=session,
    codec=lambda _, __, characteristic: Codec(characteristic),
    characteristics=CHARACTERISTICS,
)
