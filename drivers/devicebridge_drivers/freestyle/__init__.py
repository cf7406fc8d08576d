"""Abbott FreeStyle Lite and Freedom Lite, Optium and Precision Xtra glucose and ketone meters over a serial line."""

from __future__ import annotations

from devicebridge.sdk import Driver

from .codec import codec
from .manifest import MANIFEST
from .session import FreestyleOptions, session

DRIVER = Driver(
    manifest=MANIFEST,
    options=FreestyleOptions,
    session=session,
    codec=lambda _options, _model, _characteristic: codec(),
)
