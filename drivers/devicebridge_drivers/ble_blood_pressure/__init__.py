"""Blood pressure monitors with the Bluetooth SIG's Blood Pressure Service."""

from __future__ import annotations

from devicebridge.sdk import Driver

from .codec import CHARACTERISTICS, Codec
from .manifest import MANIFEST
from .session import CuffOptions, session

DRIVER = Driver(
    manifest=MANIFEST,
    options=CuffOptions,
    session=session,
    codec=lambda _, model, characteristic: Codec(characteristic, model),
    characteristics=CHARACTERISTICS,
)
