"""Contec CMS50 finger oximeters with the protocol of 115,200 baud."""

from __future__ import annotations

from devicebridge.sdk import Codec as CodecLike
from devicebridge.sdk import Driver

from .codec import codec
from .manifest import MANIFEST
from .session import Cms50Options, session


def _codec(options: Cms50Options, model: str | None, characteristic: str | None) -> CodecLike:
    return codec()


DRIVER = Driver(manifest=MANIFEST, options=Cms50Options, session=session, codec=_codec)
