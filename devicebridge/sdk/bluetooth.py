"""Names and field types that every Bluetooth LE driver needs (Bluetooth GATT Specification Supplement)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from struct import Struct
from typing import TypeVar

T = TypeVar("T")

_DATE_TIME = Struct("<H5B")


def uuid16(number: int) -> str:
    """The full lower-case UUID of a number assigned by the Bluetooth SIG."""
    return f"0000{number:04x}-0000-1000-8000-00805f9b34fb"


BATTERY_LEVEL = uuid16(0x2A19)
CURRENT_TIME = uuid16(0x2A2B)
DATE_TIME = uuid16(0x2A08)
FIRMWARE_REVISION = uuid16(0x2A26)
MANUFACTURER_NAME = uuid16(0x2A29)
MODEL_NUMBER = uuid16(0x2A24)
SERIAL_NUMBER = uuid16(0x2A25)


def date_time(data: bytes) -> datetime | None:
    """Date Time (GSS 3.71): u16 year, then month, day, hours, minutes, seconds.

    None where a part of the date is zero, which means "not known", or where the parts make no date: a device
    whose clock was never set must not be believed. Raises ValueError unless there are exactly seven bytes.
    """
    if len(data) != 7:
        raise ValueError(f"expected 7 bytes, got {len(data)}")
    try:
        return datetime(*_DATE_TIME.unpack(data))
    except ValueError:
        return None


def lengths(least: int, sizes: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """How long a value is, by its byte of flags: `least`, and the size of what each flag announces."""
    announced = tuple(sizes)
    return tuple(least + sum(size for flag, size in announced if flags & flag) for flags in range(256))


def said(bits: int, names: Mapping[int, T]) -> set[T]:
    """What the set bits of a status field mean. Bits without a name mean nothing."""
    return {name for bit, name in names.items() if bits & bit} if bits else set()
