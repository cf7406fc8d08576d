"""What sessions with Bluetooth LE devices have in common.

Subscribe first, so that no value is missed (they wait in the link meanwhile), then `introduce`, then read what came.
A read that fails is left out: if the link has gone, the values say so again after the last of them. So is a write of
what a device only may need.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

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
from .codec import Codec, Frame, Noise
from .links import GattLink, LinkLost
from .outlet import Battery, DeviceClock, DeviceIdentity, InProgress, Outlet
from .values import Observation, Origin

BURST_GAP_S = 0.5
"""Between the values of one burst lies a confirmation, a tenth of a second at the slowest interval in use."""


@dataclass(frozen=True, slots=True)
class About:
    """What a device said of itself. now: its present time; None where it cannot be read or is none."""

    identity: DeviceIdentity
    now: datetime | None


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

    async def next(self, timeout_s: float | None) -> tuple[str, bytes] | None:
        """(characteristic, value); None at the time-out. Raises LinkLost after the last."""
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


Group = tuple[Observation, ...]


class Burst:
    """Emits what a device indicates as soon as it is connected, in its order.

    A device sends what it has stored, oldest first, and then what it measured last. Where its clock tells the age of
    each value the core sees which is which; otherwise a value that another one follows at once was stored, so each
    is held until that is known.

    join: for devices that say one act in several values: what is held and what follows, as one; None where they are
    not of one act. gap_s: how long after a value the next of the burst may come.
    """

    def __init__(
        self,
        outlet: Outlet,
        *,
        clock_readable: bool,
        join: Callable[[Group, Group], Group | None] | None = None,
        gap_s: float = BURST_GAP_S,
    ) -> None:
        self._outlet = outlet
        self._clock_readable = clock_readable
        self._join = join
        self._gap_s = gap_s
        self._heed: Callable[[Frame], None] = lambda _: None
        self._held: Group = ()
        self._held_until_s = 0.0

    async def run(
        self,
        arrivals: Arrivals,
        codecs: Mapping[str, Codec],
        *,
        in_progress: str | None = None,
        heed: Callable[[Frame], None] = lambda _: None,
    ) -> None:
        """Until LinkLost. codecs: by characteristic. in_progress: the one whose frames say that it is measuring.

        heed: is shown each other frame that is no reading; may raise LinkLost.
        """
        self._heed = heed
        try:
            while True:
                arrived = await arrivals.next(self._patience_s())
                if arrived is None:
                    await self._release(Origin.LIVE)
                else:
                    await self._take(codecs[arrived[0]], arrived[1], arrived[0] == in_progress)
        except (LinkLost, asyncio.CancelledError):
            await self._release(Origin.LIVE)  # the device has its confirmation: what is held exists nowhere else
            raise

    async def _take(self, codec: Codec, data: bytes, is_progress: bool) -> None:
        for item in codec.feed(data):
            if isinstance(item, Noise):
                self._outlet.note(item)
            elif is_progress:
                await self._release(Origin.STORED)
                self._outlet.note(InProgress())
            elif not item.group:
                self._heed(item)
            elif not self._joined(item.group):
                await self._release(Origin.STORED)
                await self._emit_or_hold(item.group)

    def _joined(self, group: Group) -> bool:
        if self._join is None or not self._held or (joined := self._join(self._held, group)) is None:
            return False
        self._hold(joined)
        return True

    async def _emit_or_hold(self, group: Group) -> None:
        if self._join is None and all(map(self._is_origin_known, group)):
            await self._outlet.emit(*group)
        else:
            self._hold(group)

    def _hold(self, group: Group) -> None:
        self._held = group
        self._held_until_s = asyncio.get_running_loop().time() + self._gap_s

    def _is_origin_known(self, observation: Observation) -> bool:
        return observation.origin is Origin.STORED or (self._clock_readable and observation.device_time is not None)

    async def _release(self, origin: Origin) -> None:
        if held := self._held:
            self._held = ()
            await self._outlet.emit(*(o if self._is_origin_known(o) else replace(o, origin=origin) for o in held))

    def _patience_s(self) -> float | None:
        if not self._held:
            return None
        return max(0.0, self._held_until_s - asyncio.get_running_loop().time())
