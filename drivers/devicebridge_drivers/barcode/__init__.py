"""Barcode scanners on a serial line."""

from __future__ import annotations

from devicebridge.sdk import Codec as CodecLike
from devicebridge.sdk import Driver

from .codec import Codec
from .manifest import MANIFEST
from .session import BarcodeOptions, session


def _codec(options: BarcodeOptions, model: str | None, characteristic: str | None) -> CodecLike:
    return Codec()


DRIVER = Driver(manifest=MANIFEST, options=BarcodeOptions, session=session, codec=_codec)
