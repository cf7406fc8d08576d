"""What most simulated Bluetooth LE peripherals have beside their own service.

From the Bluetooth SIG's Device Information Service 1.1, Battery Service 1.0, Current Time Service 1.1 and the GATT
Specification Supplement.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass
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
from .simulation import Access, Characteristic, GattPort, GattScenario, SerialScenario, Service

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Uart:
    """A service in which a device says what it says on its serial line, in pieces as long as a packet.

    write: the characteristic of the host's questions; it may be `notify` itself. others: the device's other services.
    """

    service: str
    notify: str
    write: str
    others: tuple[Service, ...] = ()
    piece_bytes: int = 20

    def scenario(self, on_cable: SerialScenario) -> GattScenario:
        """The same over Bluetooth LE; when it is over the device hangs up."""
        inbox = Inbox()

        def services() -> tuple[Service, ...]:
            inbox.clear()
            access = {self.notify: Access.NOTIFY}
            access[self.write] = access.get(self.write, Access(0)) | Access.WRITE | Access.WRITE_WITHOUT_RESPONSE
            line = tuple(Characteristic(uuid=uuid, access=a, written=inbox.written) for uuid, a in access.items())
            return (Service(self.service, line), *self.others)

        async def run(port: GattPort) -> None:
            await port.subscribed(self.notify)
            await on_cable.run(_UartPort(self, port, inbox))

        return GattScenario(
            title=on_cable.title,
            services=services,
            run=run,
            expected=on_cable.expected,
            options=on_cable.options,
            faulty=on_cable.faulty,
        )


class _UartPort:
    """A SerialPort."""

    def __init__(self, uart: Uart, port: GattPort, inbox: Inbox) -> None:
        self._uart = uart
        self._port = port
        self._inbox = inbox

    async def read(self) -> bytes:
        return await self._inbox.next()

    async def write(self, data: bytes, /) -> None:
        for start in range(0, len(data), self._uart.piece_bytes):
            await self._port.notify(self._uart.notify, data[start : start + self._uart.piece_bytes])

    async def pause(self, seconds: float, /) -> None:
        await self._port.pause(seconds)
