"""One connection to a cuff: it indicates what it has within a second or two and hangs up.

Values are subscribed to before anything is read, so that none is missed; they wait in the link meanwhile. A read that
fails is left out: if the link has gone, the values say so again after the last of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

from devicebridge.sdk import (
    Battery,
    DeviceClock,
    DeviceIdentity,
    GattLink,
    InProgress,
    LinkLost,
    Noise,
    Observation,
    Options,
    Origin,
    Outlet,
    UnexpectedDevice,
)
from devicebridge.sdk.bluetooth import (
    BATTERY_LEVEL,
    CURRENT_TIME,
    DATE_TIME,
    FIRMWARE_REVISION,
    MANUFACTURER_NAME,
    MODEL_NUMBER,
    SERIAL_NUMBER,
    date_time,
)

from .codec import CUFF_PRESSURE, MEASUREMENT, Codec, Measurement, Progress

BURST_GAP_S = 0.5
"""Between the values of one burst lies a confirmation, a tenth of a second at the slowest interval in use."""


async def session(link: GattLink, outlet: Outlet, _: Options) -> None:
    """Ends with LinkLost when the cuff hangs up."""
    if not link.has(MEASUREMENT):
        raise UnexpectedDevice
    # The measurement last: a cuff may hang up as soon as it has sent what it has.
    wanted = [uuid for uuid in (CUFF_PRESSURE, MEASUREMENT) if link.has(uuid)]
    arrivals = _Arrivals(await link.subscribe(*wanted))
    try:
        clock = await _read_clock(link, outlet)
        model = await _read_identity(link, outlet)
        await _read_battery(link, outlet)
        codecs = {uuid: Codec(uuid, model, link.name) for uuid in wanted}
        await _Readings(outlet, clock_readable=clock).run(arrivals, codecs)
    finally:
        await arrivals.close()


class _Readings:
    """Emits what the cuff indicates, in its order.

    A cuff sends what it has stored, oldest first, and then what it measured last. Where its clock tells the age of
    each value the core sees which is which; otherwise a value that another one follows at once was stored, so each
    is held until that is known.
    """

    def __init__(self, outlet: Outlet, *, clock_readable: bool) -> None:
        self._outlet = outlet
        self._clock_readable = clock_readable
        self._held: Observation | None = None
        self._held_until_s = 0.0

    async def run(self, arrivals: _Arrivals, codecs: dict[str, Codec]) -> None:
        try:
            while True:
                item = await arrivals.next(self._patience_s())
                if item is None:
                    await self._release(Origin.LIVE)
                else:
                    await self._take(codecs[item[0]], item[1])
        except (LinkLost, asyncio.CancelledError):
            await self._release(Origin.LIVE)  # the cuff has its confirmation: what is held exists nowhere else
            raise

    async def _take(self, codec: Codec, data: bytes) -> None:
        for frame in codec.feed(data):
            if isinstance(frame, Noise):
                self._outlet.note(frame)
            elif isinstance(frame, Progress):
                await self._release(Origin.STORED)
                self._outlet.note(InProgress())
            elif isinstance(frame, Measurement):
                await self._release(Origin.STORED)
                for observation in frame.group:
                    await self._emit_or_hold(observation)

    async def _emit_or_hold(self, observation: Observation) -> None:
        if self._clock_readable and observation.device_time is not None:
            await self._outlet.emit(observation)
            return
        self._held = observation
        self._held_until_s = asyncio.get_running_loop().time() + BURST_GAP_S

    async def _release(self, origin: Origin) -> None:
        if (held := self._held) is not None:
            self._held = None
            await self._outlet.emit(replace(held, origin=origin))

    def _patience_s(self) -> float | None:
        if self._held is None:
            return None
        return max(0.0, self._held_until_s - asyncio.get_running_loop().time())


class _Arrivals:
    """The link's values with a time-out that never cancels the wait itself, which would lose a value."""

    def __init__(self, values: AsyncIterator[tuple[str, bytes]]) -> None:
        self._values = values
        self._next: asyncio.Future[tuple[str, bytes]] | None = None

    async def next(self, timeout_s: float | None) -> tuple[str, bytes] | None:
        """None at the time-out."""
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


async def _read(link: GattLink, characteristic: str) -> bytes | None:
    if not link.has(characteristic):
        return None
    try:
        return await link.read(characteristic)
    except LinkLost:
        return None


async def _read_text(link: GattLink, characteristic: str) -> str | None:
    data = await _read(link, characteristic)
    return data.decode(errors="replace").strip("\0 ") or None if data else None


async def _read_clock(link: GattLink, outlet: Outlet) -> bool:
    """Whether the cuff's present time is known now."""
    for characteristic in (CURRENT_TIME, DATE_TIME):
        data = await _read(link, characteristic)
        if data is not None and (now := _date_time(data)) is not None:
            outlet.note(DeviceClock(now))
            return True
    return False


def _date_time(data: bytes) -> datetime | None:
    return date_time(data[:7]) if len(data) >= 7 else None


async def _read_identity(link: GattLink, outlet: Outlet) -> str | None:
    """The model number, which chooses quirks."""
    identity = DeviceIdentity(
        model=await _read_text(link, MODEL_NUMBER),
        serial=await _read_text(link, SERIAL_NUMBER),
        manufacturer=await _read_text(link, MANUFACTURER_NAME),
        firmware=await _read_text(link, FIRMWARE_REVISION),
    )
    outlet.note(identity)
    return identity.model


async def _read_battery(link: GattLink, outlet: Outlet) -> None:
    data = await _read(link, BATTERY_LEVEL)
    if data is not None and len(data) == 1 and data[0] <= 100:
        outlet.note(Battery(percent=data[0]))
