"""Polar H10 chest straps: the EKG of the Polar Measurement Data service."""

from __future__ import annotations

from devicebridge.sdk import Driver

from .codec import CHARACTERISTICS, codec
from .manifest import MANIFEST
from .session import PolarOptions, session

DRIVER = Driver(
    manifest=MANIFEST,
    options=PolarOptions,
    session=session,
    codec=lambda _, __, characteristic: codec(characteristic),
    characteristics=CHARACTERISTICS,
)
