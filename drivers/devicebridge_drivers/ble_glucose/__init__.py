"""Blood glucose meters with the Bluetooth SIG's Glucose Service."""

from __future__ import annotations

from devicebridge.sdk import Driver

from .codec import CHARACTERISTICS, Codec
from .manifest import MANIFEST
from .session import MeterOptions, session

DRIVER = Driver(
    manifest=MANIFEST,
    options=MeterOptions,
    session=session,
    codec=lambda _, __, characteristic: Codec(characteristic),
    characteristics=CHARACTERISTICS,
)
