"""One session with a barcode scanner: each code is noted as a Scan, and never as a measurement.

A code counts when its line has ended. A scanner that ends a line in CR alone is not waited for: what follows a CR
later than ENDS_WITHIN_S is not its LF. A line that stands still for longer than CODE_WITHIN_S is half a code, and is
dropped, so that it is not read as the beginning of the next. Nothing is sent to the scanner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from devicebridge.sdk import ByteLink, Frame, Noise, Options, Outlet, Scan

from .codec import Code, Codec

ENDS_WITHIN_S = 0.1  # a hundred times what one character takes at 9600 baud
CODE_WITHIN_S = 1.0  # the longest code takes 0.14 s at 9600 baud


class BarcodeOptions(Options):
    """A scanner needs to be told nothing; its line (baud, parity) is the device's."""


async def session(link: ByteLink, outlet: Outlet, options: BarcodeOptions) -> None:
    """Reads until the link ends."""
    codec = Codec()
    while True:
        try:
            async with asyncio.timeout(_patience_s(codec)):
                data = await link.read()
        except TimeoutError:
            _note(outlet, codec.close())
        else:
            _note(outlet, codec.feed(data))


def _patience_s(codec: Codec) -> float | None:
    if not codec.is_waiting:
        return None
    return ENDS_WITHIN_S if codec.is_ended else CODE_WITHIN_S


def _note(outlet: Outlet, items: Sequence[Frame | Noise]) -> None:
    for item in items:
        if isinstance(item, Noise):
            outlet.note(item)
        elif isinstance(item, Code) and item.text:
            outlet.note(Scan(item.text))
