"""Sensors with the Bluetooth SIG's Heart Rate Service."""

from __future__ import annotations

from devicebridge.sdk import Driver

from .codec import CHARACTERISTICS, Codec
from .manifest import MANIFEST
from .session import HeartRateOptions, session

DRIVER = Driver(
    manifest=MANIFEST,
    options=HeartRateOptions,
    session=session,
    codec=lambda _, __, characteristic: Codec(characteristic),
    characteristics=CHARACTERISTICS,
)
