"""LifeScan OneTouch Ultra2 and Ultra glucose meters over a serial line."""

from __future__ import annotations

from devicebridge.sdk import Driver

from .codec import codec
from .manifest import MANIFEST
from .session import UltraOptions, session

DRIVER = Driver(
    manifest=MANIFEST, options=UltraOptions, session=session, codec=lambda _options, _model, _characteristic: codec()
)
