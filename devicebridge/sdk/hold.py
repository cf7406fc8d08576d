"""How a stream of one value becomes one reading for each clinical act.

The rule, in the device's own values: when `values` of them have followed one another and differ by no more than
`spread`, the latest is the reading. The next reading needs the sensor off, or its number missing, or the stream
interrupted, and all this again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from enum import Enum, auto

from .acquaintance import Acquaintance
from .burst import JUST_NOW
from .codec import Codec, Frame, Noise
from .driver import MemoryOptions
from .gatt_device import About, Arrivals
from .links import LinkLost
from .memory import RECENT
from .outlet import InProgress, Outlet, Skipped
from .values import Observation, Status

STORED_BEFORE = timedelta(minutes=1)
"""A value stamped so long before the device's present is from its memory, and no part of the stream."""


class _State(Enum):
    OFF = auto()
    SETTLING = auto()
    DONE = auto()  # read; waiting for the sensor to be taken off


class Hold:
    """One act after another. The observations have one value each, in one unit."""

    def __init__(self, values: int, spread: Decimal) -> None:
        self._spread = spread
        self._recent: deque[Observation] = deque(maxlen=values)
        self._unread: Observation | None = None
        self._state = _State.OFF

    def disturbed(self) -> None:
        """Something was lost: what came before proves nothing about what comes next."""
        self._recent.clear()

    def end(self) -> Observation | None:
        """The sensor is off. The latest value of an act that never held still; None where there is no such act."""
        unread, self._unread = self._unread, None
        self._state = _State.OFF
        self._recent.clear()
        return unread

    def next(self, observation: Observation) -> Observation | InProgress | None:
        """The reading, when this observation completes it; InProgress with the first value of an act."""
        if self._state is _State.DONE:
            return None
        self._recent.append(observation)
        if self._is_steady():
            self._state, self._unread = _State.DONE, None
            return observation
        self._unread = replace(observation, status=observation.status | {Status.UNSTABLE})
        if self._state is _State.OFF:
            self._state = _State.SETTLING
            return InProgress()
        return None

    def _is_steady(self) -> bool:
        numbers = [number for o in self._recent if (number := o.values[0].value) is not None]
        return len(numbers) == self._recent.maxlen and max(numbers) - min(numbers) <= self._spread


class Backlog:
    """What the device of a stream has stored: values older than STORED_BEFORE by its clock, where that can be read.

    At the first meeting, until the stream falls silent, `first_download` says which are wanted; see burst.
    """

    def __init__(self, outlet: Outlet, about: About, options: MemoryOptions) -> None:
        self._outlet = outlet
        self._now = about.now
        self._wanted = {"all": timedelta.max, "recent": RECENT, "none": JUST_NOW}[options.first_download]
        self._acquaintance = Acquaintance(outlet, about.identity)
        self._has_come = False

    async def take(self, observation: Observation) -> bool:
        """Whether it is stored; then it is sent or passed over."""
        self._has_come = True
        stamp = observation.device_time
        if self._now is None or stamp is None or self._now - stamp <= STORED_BEFORE:
            return False
        if self._now - stamp <= self._wanted or await self._acquaintance.is_made():
            await self._outlet.emit(observation)
        else:
            self._outlet.note(Skipped())
        return True

    async def ended(self) -> None:
        if self._has_come:
            await self._acquaintance.make()


class Stream:
    """Reads a stream to its end, LinkLost.

    gap_s: a stream silent for so long has left the patient. is_final: each value is a measurement by itself, so that
    the last of an act that never held still is a reading too. backlog: of a device that sends what it has stored, too.
    """

    def __init__(
        self, outlet: Outlet, hold: Hold, *, gap_s: float, is_final: bool = False, backlog: Backlog | None = None
    ) -> None:
        self._outlet = outlet
        self._hold = hold
        self._gap_s = gap_s
        self._is_final = is_final
        self._backlog = backlog

    async def run(self, arrivals: Arrivals, codecs: Mapping[str, Codec]) -> None:
        try:
            while True:
                arrived = await arrivals.next(self._gap_s)
                if arrived is None:
                    await self._fell_silent()
                    continue
                for item in codecs[arrived[0]].feed(arrived[1]):
                    await self._take(item)
        except LinkLost:
            await self._fell_silent()
            raise
        except asyncio.CancelledError:
            async for characteristic, value in arrivals.rest():
                for item in codecs[characteristic].feed(value):
                    await self._take(item)
            await self._fell_silent()
            raise

    async def _take(self, item: Frame | Noise) -> None:
        if isinstance(item, Noise):
            self._hold.disturbed()
            self._outlet.note(item)
            return
        for observation in item.group:
            if self._backlog is not None and await self._backlog.take(observation):
                continue
            if observation.values[0].value is None:
                await self._end()
            else:
                await self._read(observation)

    async def _read(self, observation: Observation) -> None:
        found = self._hold.next(observation)
        if isinstance(found, InProgress):
            self._outlet.note(found)
        elif found is not None:
            await self._outlet.emit(found)

    async def _fell_silent(self) -> None:
        await self._end()
        if self._backlog is not None:
            await self._backlog.ended()

    async def _end(self) -> None:
        unread = self._hold.end()
        if unread is not None and self._is_final:
            await self._outlet.emit(unread)
