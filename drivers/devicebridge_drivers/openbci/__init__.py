"""OpenBCI Cyton with EKG electrodes, over its USB dongle."""

from __future__ import annotations

from devicebridge.sdk import Driver

from .codec import CytonCodec
from .manifest import MANIFEST
from .session import OpenBciOptions, session

DRIVER = Driver(
    manifest=MANIFEST,
    options=OpenBciOptions,
    session=session,
    codec=lambda options, _, __: CytonCodec(options.format),
)
