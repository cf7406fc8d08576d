"""SunTech OEM blood pressure modules."""

from __future__ import annotations

from devicebridge.sdk import Codec, Driver

from .codec import codec
from .manifest import MANIFEST
from .session import SunTechOptions, session


def _codec(options: SunTechOptions, model: str | None, characteristic: str | None) -> Codec:
    return codec()


DRIVER = Driver(manifest=MANIFEST, options=SunTechOptions, session=session, codec=_codec)
