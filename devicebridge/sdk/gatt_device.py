"""What sessions with Bluetooth LE devices have in common.

Subscribe first, so that no value is missed (they wait in the link meanwhile), then `introduce`, then read what came;
`finished` where a device has its confirmation of each value and will not send it again.
A read that fails is left out: if the link has gone, the values say so again after the last of them. So is a write of
what a device only may need.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from .bluetooth import (
    BATTERY_LEVEL,
    CURRENT_TIME,
    DATE_TIME,
    FIRMWARE_REVISION,
    MANUFACTURER_NAME,
    MODEL_NUMBER,
    SERIAL_NUMBER,
    date_time,
)
from .links import GattLink, LinkLost, Loss
from .outlet import Battery, DeviceClock, DeviceIdentity, Outlet

T = TypeVar("T")

ANSWER_AFTER_STOP_S = 0.3
"""For the questions that are left. The core leaves a session alone half a second after it has stopped it."""

KEPT_VALUES = 100
"""What may come while an answer is awaited: more than any device sends unasked."""


@dataclass(frozen=True, slots=True)
class About:
    """What a device said of itself. now: its present time; None where it cannot be read or is none."""

    identity: DeviceIdentity
    now: datetime | None


STRANGER = About(DeviceIdentity(), None)
"""Of whom nothing is known."""


async def finished(asking: Coroutine[Any, Any, T], unanswered: T) -> T:
    """What comes of asking, or `unanswered`, if the session is stopped before: then the next wait is what is stopped,
    by whoever can read what has come until now."""
    task = asyncio.ensure_future(asking)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,), timeout=ANSWER_AFTER_STOP_S)
        is_answered = task.done()
        task.cancel()
        if (session := asyncio.current_task()) is not None:
            session.uncancel()
            session.cancel()
        return task.result() if is_answered else unanswered


async def introduce(link: GattLink, outlet: Outlet) -> About:
    """Reads and notes the device's clock, identity and battery, as far as it has them."""
    now = await read_clock(link, outlet)
    identity = await read_identity(link, outlet)
    await read_battery(link, outlet)
    return About(identity, now)


async def read_optional(link: GattLink, characteristic: str) -> bytes | None:
    """None where the device does not have the characteristic, or does not give it."""
    if not link.has(characteristic):
        return None
    try:
        return await link.read(characteristic)
    except LinkLost:
        return None


async def write_optional(link: GattLink, characteristic: str, data: bytes) -> bool:
    """False where the device does not have the characteristic, or does not take the value."""
    if not link.has(characteristic):
        return False
    try:
        await link.write(characteristic, data)
    except LinkLost:
        return False
    return True


async def read_clock(link: GattLink, outlet: Outlet) -> datetime | None:
    """The device's present time, noted as well."""
    for characteristic in (CURRENT_TIME, DATE_TIME):
        data = await read_optional(link, characteristic)
        if data is not None and len(data) >= 7 and (now := date_time(data[:7])) is not None:
            outlet.note(DeviceClock(now))
            return now
    return None


async def read_identity(link: GattLink, outlet: Outlet) -> DeviceIdentity:
    """The Device Information service, noted as well. The model number chooses quirks."""
    identity = DeviceIdentity(
        model=await _read_text(link, MODEL_NUMBER),
        serial=await _read_text(link, SERIAL_NUMBER),
        manufacturer=await _read_text(link, MANUFACTURER_NAME),
        firmware=await _read_text(link, FIRMWARE_REVISION),
    )
    outlet.note(identity)
    return identity


async def read_battery(link: GattLink, outlet: Outlet) -> None:
    data = await read_optional(link, BATTERY_LEVEL)
    if data is not None and len(data) == 1 and data[0] <= 100:
        outlet.note(Battery(percent=data[0]))


async def _read_text(link: GattLink, characteristic: str) -> str | None:
    data = await read_optional(link, characteristic)
    return data.decode(errors="replace").strip("\0 ") or None if data else None


class Arrivals:
    """A link's values with a time-out that never cancels the wait itself, which would lose a value."""

    def __init__(self, values: AsyncIterator[tuple[str, bytes]]) -> None:
        self._values = values
        self._next: asyncio.Future[tuple[str, bytes]] | None = None
        self._kept: deque[tuple[str, bytes]] = deque()
        self._failure: Loss | None = None

    async def answer(self, characteristic: str, timeout_s: float) -> bytes:
        """The next value of one characteristic; those of others are kept for `next`. Raises LinkLost."""
        end_s = asyncio.get_running_loop().time() + timeout_s
        while len(self._kept) < KEPT_VALUES:
            arrived = await self._arrived(max(0.0, end_s - asyncio.get_running_loop().time()))
            if arrived is None:
                break
            if arrived[0] == characteristic:
                return arrived[1]
            self._kept.append(arrived)
        raise LinkLost(Loss.TIMEOUT)

    def fail(self, reason: Loss) -> None:
        """The link is of no use any more: `next` says so after what has come."""
        self._failure = reason

    async def next(self, timeout_s: float | None) -> tuple[str, bytes] | None:
        """(characteristic, value); None at the time-out. Raises LinkLost after the last."""
        if self._kept:
            return self._kept.popleft()
        arrived = await self._arrived(timeout_s if self._failure is None else 0)
        if arrived is None and self._failure is not None:
            raise LinkLost(self._failure)
        return arrived

    async def rest(self) -> AsyncIterator[tuple[str, bytes]]:
        """What has come by now, for a session that is stopped: the device has its confirmations and will not send it
        again."""
        with suppress(LinkLost):
            for _ in range(KEPT_VALUES):
                arrived = await self.next(0)
                if arrived is None:
                    return
                yield arrived

    async def _arrived(self, timeout_s: float | None) -> tuple[str, bytes] | None:
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._values))
        await asyncio.wait((self._next,), timeout=timeout_s)
        if not self._next.done():
            return None
        arrived, self._next = self._next, None
        return arrived.result()

    async def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
