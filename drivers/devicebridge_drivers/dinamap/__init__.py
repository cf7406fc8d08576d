"""GE DINAMAP vital signs monitors."""

from __future__ import annotations

from devicebridge.sdk import Codec, Driver

from .codec import codec
from .manifest import MANIFEST
from .session import DinamapOptions, session


def _codec(options: DinamapOptions, model: str | None, characteristic: str | None) -> Codec:
    return codec()


DRIVER = Driver(manifest=MANIFEST, options=DinamapOptions, session=session, codec=_codec)
