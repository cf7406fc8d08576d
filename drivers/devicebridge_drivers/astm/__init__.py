"""Laboratory analyzers and glucose meters that speak ASTM E1381 and E1394."""

from __future__ import annotations

from devicebridge.sdk import Codec as CodecLike
from devicebridge.sdk import Driver

from .codec import Codec
from .manifest import MANIFEST
from .session import AstmOptions, session


def _codec(options: AstmOptions, model: str | None, characteristic: str | None) -> CodecLike:
    return Codec(bare=True)


DRIVER = Driver(manifest=MANIFEST, options=AstmOptions, session=session, codec=_codec)
