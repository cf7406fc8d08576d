"""Takes one field of a measurement after the other."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from devicebridge.sdk import Absent, Name, Unit, Value, Why
from devicebridge.sdk.bluetooth import date_time

FAILED = 0xFFFF
UNKNOWN_USER = 255


class BadField(Exception):
    """The value is not what it should be; `why` says how."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


class Fields:
    """Raises BadField where there are too few bytes, or where some are left over at `end`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        self._at += size
        if self._at > len(self._data):
            raise BadField(Why.TOO_SHORT)
        return self._data[self._at - size : self._at]

    def integer(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def value(self, name: Name, unit: Unit, resolution: Decimal) -> Value | None:
        """None for a field that was not filled."""
        number = self.integer(2)
        if number == 0:
            return None
        if number == FAILED:
            return Value(name, unit, absent=Absent.ERROR)
        return Value(name, unit, number * resolution)

    def count(self) -> int | None:
        """None for a field that was not filled, or failed."""
        number = self.integer(2)
        return None if number in (0, FAILED) else number

    def stamp(self) -> datetime | None:
        return date_time(self.take(7))

    def user(self) -> int | None:
        number = self.integer(1)
        return None if number == UNKNOWN_USER else number

    def end(self) -> None:
        if self._at != len(self._data):
            raise BadField(Why.TOO_LONG)
