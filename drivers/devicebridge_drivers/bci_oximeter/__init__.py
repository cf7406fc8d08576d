"""Pulse oximeters that stream five-byte packets: the BCI protocol."""

from __future__ import annotations

from devicebridge.sdk import Codec as CodecLike
from devicebridge.sdk import Driver

from .codec import codec
from .manifest import MANIFEST
from .session import BciOptions, session


def _codec(options: BciOptions, model: str | None, characteristic: str | None) -> CodecLike:
    return codec()


DRIVER = Driver(manifest=MANIFEST, options=BciOptions, session=session, codec=_codec)
