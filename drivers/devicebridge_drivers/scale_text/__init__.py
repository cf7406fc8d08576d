"""Scales that print a line: Detecto, Rice Lake, Tanita."""

from __future__ import annotations

from devicebridge.sdk import Codec as CodecLike
from devicebridge.sdk import Driver

from .codec import Codec
from .manifest import MANIFEST
from .session import ScaleTextOptions, session


def _codec(options: ScaleTextOptions, model: str | None, characteristic: str | None) -> CodecLike:
    return Codec()


DRIVER = Driver(manifest=MANIFEST, options=ScaleTextOptions, session=session, codec=_codec)
