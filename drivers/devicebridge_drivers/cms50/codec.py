"""Finds the frames of Contec's three protocols in one stream; their first bytes tell them apart.

The current one (packages.py) begins with a byte below 0x80, all others of a package being above. The short frames of
USB HID and Bluetooth devices (short.py) begin with 0xEB; the download of the older protocol (older.py) consists of
triplets that begin with 0xF0 to 0xF2. The five-byte stream of the older devices is the driver bci-oximeter's.
"""

from __future__ import annotations

from collections.abc import Mapping

from devicebridge.sdk import Frame, Noise, Why
from devicebridge.sdk.framer import Framer, Recognise

from . import older, packages, short

LONGEST_BYTES = 12  # the header of an older download


def codec() -> Framer:
    """A devicebridge Codec."""
    return Framer(_recognise, LONGEST_BYTES)


def _recognise(data: bytes, ended: bool) -> Frame | Noise | Why | None:
    recognise = _BY_START.get(data[0])
    return recognise(data, ended) if recognise else Why.UNSYNCHRONISED


_BY_START: Mapping[int, Recognise] = {
    **dict.fromkeys(packages.STARTS, packages.recognise),
    **dict.fromkeys(short.STARTS, short.recognise),
    **dict.fromkeys(older.STARTS, older.recognise),
}
