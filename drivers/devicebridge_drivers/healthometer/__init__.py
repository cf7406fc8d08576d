"""Health o meter Professional scales over a serial line."""

from __future__ import annotations

from devicebridge.sdk import Codec as CodecLike
from devicebridge.sdk import Driver

from .codec import make_codec
from .manifest import MANIFEST
from .session import HealthometerOptions, session


def _codec(options: HealthometerOptions, model: str | None, characteristic: str | None) -> CodecLike:
    return make_codec()


DRIVER = Driver(manifest=MANIFEST, options=HealthometerOptions, session=session, codec=_codec)
