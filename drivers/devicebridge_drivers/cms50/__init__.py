"""Contec CMS50 finger oximeters, on the cable of 115,200 baud and over Bluetooth LE."""

from __future__ import annotations

from devicebridge.sdk import Driver
from devicebridge.sdk.codec import ValueCodec

from .codec import codec
from .manifest import MANIFEST
from .session import Cms50Options, session
from .short import NOTIFY, WRITE

DRIVER = Driver(
    manifest=MANIFEST,
    options=Cms50Options,
    session=session,
    codec=lambda _, __, characteristic: codec() if characteristic in (None, NOTIFY, WRITE) else ValueCodec(None),
    characteristics=(NOTIFY, WRITE),
    streams=(NOTIFY, WRITE),
)
