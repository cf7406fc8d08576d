"""LifeScan OneTouch meters with the binary protocol: UltraMini, UltraEasy and Verio IQ, over a serial line."""

from __future__ import annotations

from devicebridge.sdk import Driver

from .codec import codec
from .manifest import MANIFEST
from .session import LifescanOptions, session

DRIVER = Driver(
    manifest=MANIFEST, options=LifescanOptions, session=session, codec=lambda _options, _model, _characteristic: codec()
)
