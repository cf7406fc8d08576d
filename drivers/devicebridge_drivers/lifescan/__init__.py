"""LifeScan OneTouch meters with the binary protocol: UltraMini and Verio IQ by cable, Verio Flex over Bluetooth LE."""

from __future__ import annotations

from devicebridge.sdk import Codec, Driver
from devicebridge.sdk.codec import ValueCodec

from .codec import codec
from .fragments import NOTIFY, WRITE, FragmentCodec
from .manifest import MANIFEST
from .session import LifescanOptions, session


def _codec(_options: LifescanOptions, _model: str | None, characteristic: str | None) -> Codec:
    if characteristic is None:
        return codec()
    return FragmentCodec() if characteristic in (NOTIFY, WRITE) else ValueCodec(None)


DRIVER = Driver(
    manifest=MANIFEST,
    options=LifescanOptions,
    session=session,
    codec=_codec,
    characteristics=(NOTIFY, WRITE),
)
