"""Pulse oximeters with the Bluetooth SIG's Pulse Oximeter Service, and Nonin's own oximetry characteristic."""

from __future__ import annotations

from devicebridge.sdk import Driver

from .codec import CHARACTERISTICS, Codec
from .manifest import MANIFEST
from .session import PulseOximeterOptions, session

DRIVER = Driver(
    manifest=MANIFEST,
    options=PulseOximeterOptions,
    session=session,
    codec=lambda _, __, characteristic: Codec(characteristic),
    characteristics=CHARACTERISTICS,
)
