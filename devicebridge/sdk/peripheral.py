"""What most simulated Bluetooth LE peripherals have beside their own service.

From the Bluetooth SIG's Device Information Service 1.1, Battery Service 1.0, Current Time Service 1.1 and the GATT
Specification Supplement.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from datetime import datetime

from .bluetooth import (
    BATTERY_LEVEL,
    CURRENT_TIME,
    FIRMWARE_REVISION,
    MANUFACTURER_NAME,
    MODEL_NUMBER,
    SERIAL_NUMBER,
    uuid16,
)
from .simulation import Access, Characteristic, Service

UNSET_TIME = bytes(7)
"""Date Time of a clock that was never set: no part of the date is known."""


def encode_time(time: datetime) -> bytes:
    """Date Time: year, low byte first, month, day, hours, minutes, seconds."""
    return struct.pack("<H5B", time.year, time.month, time.day, time.hour, time.minute, time.second)


def device_information(model: str, serial: str) -> Service:
    texts = (
        (MANUFACTURER_NAME, "devicebridge"),
        (MODEL_NUMBER, model),
        (SERIAL_NUMBER, serial),
        (FIRMWARE_REVISION, "1.0"),
    )
    return Service(
        uuid16(0x180A),
        tuple(Characteristic(uuid=uuid, access=Access.READ, value=text.encode()) for uuid, text in texts),
    )


def battery(percent: int) -> Service:
    level = Characteristic(uuid=BATTERY_LEVEL, access=Access.READ, value=bytes([percent]))
    return Service(uuid16(0x180F), (level,))


def current_time(clock: Callable[[], datetime | None]) -> Service:
    """clock: asked at each read; None while it was never set."""

    def value() -> bytes:
        """Date Time, then day of the week, fractions and the reason of the last change: none known."""
        now = clock()
        return (UNSET_TIME if now is None else encode_time(now)) + bytes(3)

    return Service(uuid16(0x1805), (Characteristic(uuid=CURRENT_TIME, access=Access.READ, value=value),))


class Inbox:
    """What the host did to a peripheral, for its `run` to wait for. Clear it for each play, in `services`."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._values: asyncio.Queue[bytes] = asyncio.Queue()

    def put(self, value: bytes) -> None:
        self._values.put_nowait(value)

    async def written(self, value: bytes) -> None:
        """For `Characteristic.written`."""
        self.put(value)

    async def next(self) -> bytes:
        return await self._values.get()
