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
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, auto

from .codec import Codec, Frame, Noise
from .gatt_device import Arrivals
from .links import LinkLost
from .outlet import InProgress, Outlet
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


class Stream:
    """Reads a stream to its end, LinkLost.

    gap_s: a stream silent for so long has left the patient. is_final: each value is a measurement by itself, so that
    the last of an act that never held still is a reading too. now: the device's time at the beginning, where known.
    """

    def __init__(
        self, outlet: Outlet, hold: Hold, *, gap_s: float, is_final: bool = False, now: datetime | None = None
    ) -> None:
        self._outlet = outlet
        self._hold = hold
        self._gap_s = gap_s
        self._is_final = is_final
        self._now = now

    async def run(self, arrivals: Arrivals, codecs: Mapping[str, Codec]) -> None:
        try:
            while True:
                arrived = await arrivals.next(self._gap_s)
                if arrived is None:
                    await self._end()
                    continue
                for item in codecs[arrived[0]].feed(arrived[1]):
                    await self._take(item)
        except (LinkLost, asyncio.CancelledError):
            await self._end()
            raise

    async def _take(self, item: Frame | Noise) -> None:
        if isinstance(item, Noise):
            self._hold.disturbed()
            self._outlet.note(item)
            return
        for observation in item.group:
            if self._is_stored(observation):
                await self._outlet.emit(observation)
            elif observation.values[0].value is None:
                await self._end()
            else:
                await self._read(observation)

    def _is_stored(self, observation: Observation) -> bool:
        stamp = observation.device_time
        return self._now is not None and stamp is not None and self._now - stamp > STORED_BEFORE

    async def _read(self, observation: Observation) -> None:
        found = self._hold.next(observation)
        if isinstance(found, InProgress):
            self._outlet.note(found)
        elif found is not None:
            await self._outlet.emit(found)

    async def _end(self) -> None:
        unread = self._hold.end()
        if unread is not None and self._is_final:
            await self._outlet.emit(unread)
