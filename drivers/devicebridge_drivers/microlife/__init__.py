"""Microlife's blood pressure monitors with a Bluetooth of their own (M-frames)."""

from __future__ import annotations

from devicebridge.sdk import Driver, MemoryOptions
from devicebridge.sdk.codec import ValueCodec

from .codec import NOTIFY, WRITE, offline
from .manifest import MANIFEST
from .session import session

DRIVER = Driver(
    manifest=MANIFEST,
    options=MemoryOptions,
    session=session,
    codec=lambda _, __, characteristic: offline() if characteristic in (None, NOTIFY, WRITE) else ValueCodec(None),
    characteristics=(NOTIFY, WRITE),
    streams=(NOTIFY, WRITE),
)
