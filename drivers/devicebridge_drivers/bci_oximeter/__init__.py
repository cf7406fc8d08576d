"""Pulse oximeters that stream five-byte packets: the BCI protocol."""

from __future__ import annotations

from devicebridge.sdk import Driver
from devicebridge.sdk.codec import ValueCodec

from .codec import NOTIFY, codec
from .manifest import MANIFEST
from .session import BciOptions, session

DRIVER = Driver(
    manifest=MANIFEST,
    options=BciOptions,
    session=session,
    codec=lambda _, __, characteristic: codec() if characteristic in (None, NOTIFY) else ValueCodec(None),
    characteristics=(NOTIFY,),
    streams=(NOTIFY,),
)
