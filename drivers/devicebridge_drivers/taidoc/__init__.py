"""TaiDoc and FORA meters with the 8-byte protocol, over a serial line and over Bluetooth LE."""

from __future__ import annotations

from devicebridge.sdk import Driver
from devicebridge.sdk.codec import ValueCodec

from .codec import CHARACTERISTIC, codec
from .manifest import MANIFEST
from .session import TaidocOptions, session

DRIVER = Driver(
    manifest=MANIFEST,
    options=TaidocOptions,
    session=session,
    codec=lambda _, model, characteristic: (
        codec(model) if characteristic in (None, CHARACTERISTIC) else ValueCodec(None)
    ),
    characteristics=(CHARACTERISTIC,),
    streams=(CHARACTERISTIC,),
)
