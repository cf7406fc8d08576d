"""A simulated Bluetooth LE peripheral's clock that a host may set (Current Time Service 1.1; GSS, Date Time)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from .bluetooth import CURRENT_TIME, DATE_TIME, uuid16
from .peripheral import UNSET_TIME, encode_time
from .simulation import Access, AttError, Characteristic, Service

IGNORED = 0x80
"""ATT error "data field ignored": it took the time, but not all that stood beside it (1.6)."""


@dataclass(slots=True)
class SettableClock:
    """It stands still until a host sets it. written: all that hosts wrote to it.

    is_deaf: takes a write, and shows what it showed. refusal: the ATT error it answers a write with.
    """

    shows: datetime | None
    is_deaf: bool = False
    refusal: int | None = None
    written: list[bytes] = field(default_factory=list)

    async def write(self, value: bytes) -> None:
        self.written.append(value)
        if self.refusal in (None, IGNORED) and not self.is_deaf:
            self.shows = datetime(*struct.unpack("<H5B", value[:7]))
        if self.refusal is not None:
            raise AttError(self.refusal)

    def current_time(self, access: Access = Access.READ | Access.WRITE) -> Service:
        return Service(uuid16(0x1805), (self._characteristic(CURRENT_TIME, access, self.encode),))

    def date_time(self) -> Characteristic:
        """As some devices have it, in the service of what they measure."""
        return self._characteristic(DATE_TIME, Access.READ | Access.WRITE, lambda: self.encode()[:7])

    def encode(self) -> bytes:
        """Date Time, then day of the week, fractions and the reason of the last change: none known."""
        return (UNSET_TIME if self.shows is None else encode_time(self.shows)) + bytes(3)

    def _characteristic(self, uuid: str, access: Access, value: Callable[[], bytes]) -> Characteristic:
        return Characteristic(uuid=uuid, access=access, value=value, written=self.write)
