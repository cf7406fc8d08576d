"""Names and field types that every Bluetooth LE driver needs (Bluetooth GATT Specification Supplement)."""

from __future__ import annotations

from datetime import datetime


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
    year = int.from_bytes(data[:2], "little")
    try:
        return datetime(year, *data[2:7])
    except ValueError:
        return None
