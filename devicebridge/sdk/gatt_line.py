"""A serial line inside two Bluetooth LE characteristics: what is written to one is answered by the values of the other.

An answer arrives in pieces as long as a packet, cut anywhere, several answers in one piece if need be: the codec of
such a characteristic is a stream codec (see `Driver.streams`), and `Interview` asks over it as over a cable.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .gatt_device import About, Arrivals, introduce
from .links import GattLink, UnexpectedDevice
from .outlet import Outlet

PIECE_BYTES = 20
"""What fits a packet of the smallest kind, which every device takes."""


class GattLine:
    """A ByteLink. arrivals: of one characteristic only. write_to: the characteristic for questions."""

    def __init__(self, link: GattLink, arrivals: Arrivals, write_to: str) -> None:
        self._link = link
        self._arrivals = arrivals
        self._write_to = write_to

    async def read(self) -> bytes:
        """One value."""
        while True:
            arrived = await self._arrivals.next(None)
            if arrived is not None and arrived[1]:
                return arrived[1]

    async def write(self, data: bytes, /) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            await self._link.write(self._write_to, data[start : start + PIECE_BYTES])


@asynccontextmanager
async def line(link: GattLink, outlet: Outlet, notify: str, write_to: str) -> AsyncIterator[tuple[GattLine, About]]:
    """The line, subscribed to, and what the device said of itself. Raises UnexpectedDevice where there is none."""
    if not (link.has(notify) and link.has(write_to)):
        raise UnexpectedDevice
    arrivals = Arrivals(await link.subscribe(notify))
    try:
        about = await introduce(link, outlet)
        yield GattLine(link, arrivals, write_to), about
    finally:
        await arrivals.close()
