"""Viatom, Wellue and Lepu: rings and finger clips that measure SpO2, the BP2 cuffs, and one-lead EKG devices."""

from __future__ import annotations

from devicebridge.sdk import Driver
from devicebridge.sdk.codec import ValueCodec

from .codec import CHARACTERISTICS, offline
from .manifest import MANIFEST
from .session import ViatomOptions, session

DRIVER = Driver(
    manifest=MANIFEST,
    options=ViatomOptions,
    session=session,
    codec=lambda _, __, characteristic: offline() if characteristic in (None, *CHARACTERISTICS) else ValueCodec(None),
    characteristics=CHARACTERISTICS,
    streams=CHARACTERISTICS,
)
