"""Masimo bedside oximeters with the ASCII 1 serial output."""

from __future__ import annotations

from devicebridge.sdk import Codec as CodecLike
from devicebridge.sdk import Driver

from .codec import codec
from .manifest import MANIFEST
from .session import MasimoOptions, session


def _codec(options: MasimoOptions, model: str | None, characteristic: str | None) -> CodecLike:
    return codec()


DRIVER = Driver(manifest=MANIFEST, options=MasimoOptions, session=session, codec=_codec)
