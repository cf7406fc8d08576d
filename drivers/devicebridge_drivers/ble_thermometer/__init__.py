"""Thermometers with the Bluetooth SIG's Health Thermometer Service."""

from __future__ import annotations

from devicebridge.sdk import Driver

from .codec import CHARACTERISTICS, Codec
from .manifest import MANIFEST
from .session import ThermometerOptions, session

DRIVER = Driver(
    manifest=MANIFEST,
    options=ThermometerOptions,
    session=session,
    codec=lambda _, __, characteristic: Codec(characteristic),
    characteristics=CHARACTERISTICS,
)
