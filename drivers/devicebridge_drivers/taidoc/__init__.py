"""TaiDoc and FORA meters with the 8-byte protocol, over a serial line."""

from __future__ import annotations

from devicebridge.sdk import Driver

from .codec import codec
from .manifest import MANIFEST
from .session import TaidocOptions, session

DRIVER = Driver(
    manifest=MANIFEST,
    options=TaidocOptions,
    session=session,
    codec=lambda _options, model, _characteristic: codec(model),
)
