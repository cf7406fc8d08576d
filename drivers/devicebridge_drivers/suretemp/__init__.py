"""Welch Allyn SureTemp Plus thermometer modules."""

from __future__ import annotations

from devicebridge.sdk import Codec, Driver

from .codec import codec
from .manifest import MANIFEST
from .session import SureTempOptions, session


def _codec(options: SureTempOptions, model: str | None, characteristic: str | None) -> Codec:
    return codec()


DRIVER = Driver(manifest=MANIFEST, options=SureTempOptions, session=session, codec=_codec)
