"""Nonin pulse oximeters over a serial line."""

from __future__ import annotations

from devicebridge.sdk import Codec as CodecLike
from devicebridge.sdk import Driver

from .codec import Codec
from .manifest import MANIFEST
from .session import NoninOptions, session


def _codec(options: NoninOptions, model: str | None, characteristic: str | None) -> CodecLike:
    return Codec(options.data_format)


DRIVER = Driver(manifest=MANIFEST, options=NoninOptions, session=session, codec=_codec)
