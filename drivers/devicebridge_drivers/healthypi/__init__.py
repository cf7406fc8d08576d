"""ProtoCentral HealthyPi 4 and 5, ADS1292R and ADS1293: EKG and vital signs in OpenView packets."""

from __future__ import annotations

from devicebridge.sdk import Driver

from .codec import OpenViewCodec
from .manifest import MANIFEST
from .options import HealthyPiOptions
from .session import session

DRIVER = Driver(
    manifest=MANIFEST,
    options=HealthyPiOptions,
    session=session,
    codec=lambda options, _, __: OpenViewCodec(options.layouts),
)
