"""What a device indicates as soon as it is connected: what it has stored, oldest first, and then what it measured last.

Such a device cannot be asked for less. So what of its memory is published is decided here:

- How old an act is tells the device's own clock, where its present time can be read and goes with the stamp. Up to
  three minutes (as in the core) it was measured just now. Without that, an act which another one follows at once was
  stored, and the last of a burst was measured just now; each is held until that is known.
- At the first meeting with a device `first_download` says what of its memory is wanted. "recent": ten minutes, by its
  present time, or, where that is not known, before the last act of the burst. What is not wanted is noted as Skipped.
- What was measured just now is always published.
- A connection in which anything came makes them acquainted. One that breaks in the midst of a first meeting, or is
  stopped, counts: what is sent later is published, as stored, for nothing may be passed over for good because a link
  was bad.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from .acquaintance import Acquaintance
from .bluetooth import CURRENT_TIME, date_time
from .clock_setting import ClockSetter, Moment, RunningClock
from .codec import Codec, Frame, Noise, Why
from .driver import MemoryOptions
from .gatt_device import About, Arrivals
from .links import LinkLost
from .memory import AGE_MAX, RECENT
from .outlet import DeviceClock, InProgress, Outlet, Skipped
from .values import Observation, Origin

GAP_S = 0.5
"""Between the values of one burst lies a confirmation, a tenth of a second at the slowest interval in use."""
QUIET_S = 1.0
"""So long after its last value a device has sent all it had; it hangs up some seconds later."""

JUST_NOW = timedelta(minutes=3)
"""A device pushes a result within a minute."""
AHEAD_TOLERANCE = timedelta(minutes=2)
"""Beyond this and AGE_MAX a stamp was made before the clock was set, or lost its time."""

EARLIER_ACTS = 32
"""Nobody takes more measurements in ten minutes."""

Group = tuple[Observation, ...]


async def _nothing() -> None:
    pass


class Burst:
    """Reads one connection to its end.

    join: for devices that say one act in several values: what is held and what follows, as one; None where they are
    not of one act. gap_s: how long after a value the next of the burst may come. setter: sets the device's clock, when
    the burst has ended unless the model wants it sooner.
    """

    def __init__(
        self,
        outlet: Outlet,
        about: About,
        options: MemoryOptions,
        setter: ClockSetter,
        *,
        join: Callable[[Group, Group], Group | None] | None = None,
        gap_s: float = GAP_S,
    ) -> None:
        self._outlet = outlet
        self._acquaintance = Acquaintance(outlet, about.identity)
        self._wants = options.first_download
        self._setter = setter
        self._join = join
        self._gap_s = gap_s
        self._clock = RunningClock(about.now)
        self._was_asked = False
        self._is_first = False
        self._is_quiet = True
        self._last_s = 0.0
        self._held: Group = ()
        self._earlier: list[Group] = []  # of unknown age, at a first meeting: not long before what came since

    async def run(
        self,
        arrivals: Arrivals,
        codecs: Mapping[str, Codec],
        *,
        in_progress: str | None = None,
        begin: Callable[[], Awaitable[None]] = _nothing,
        when_quiet: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        """Until LinkLost. codecs: by characteristic. in_progress: the one whose frames say that it is measuring.

        begin: has the device send. when_quiet: called when all that it had to send has come. Both may raise LinkLost.
        Values of CURRENT_TIME, if it is subscribed to, are for the setter of the clock.
        """
        try:
            self._is_first = not await self._acquaintance.is_made()
            await begin()
            await self._setter.set_at(Moment.START, self._clock.now())
            while True:
                arrived = await arrivals.next(self._patience_s())
                if arrived is None:
                    await self._fell_silent(when_quiet)
                elif arrived[0] == CURRENT_TIME:
                    await self._asked(arrived[1])
                else:
                    await self._take(codecs[arrived[0]], arrived[1], arrived[0] == in_progress)
        except LinkLost:
            await self._end()
            raise
        except asyncio.CancelledError:
            async for characteristic, value in arrivals.rest():
                if characteristic in codecs:
                    await self._take(codecs[characteristic], value, characteristic == in_progress)
            await self._end()
            raise

    async def _end(self) -> None:
        await self._release_last()
        await self._get_acquainted()

    def _patience_s(self) -> float | None:
        if self._is_quiet:
            return None
        patience_s = self._gap_s if self._held else max(self._gap_s, QUIET_S)
        return max(0.0, self._last_s + patience_s - asyncio.get_running_loop().time())

    async def _fell_silent(self, when_quiet: Callable[[], Awaitable[None]]) -> None:
        is_over = not self._held
        await self._release_last()
        if not is_over:
            return
        await self._get_acquainted()
        self._is_quiet = True
        await self._setter.set_at(Moment.QUIET, self._clock.now())
        if (now := self._setter.settle()) is not None:
            self._clock = RunningClock(now)
        await when_quiet()

    async def _asked(self, data: bytes) -> None:
        """The device says what time it has, which some do to be set right. The first such word is the one that counts;
        what comes next was still stamped by this clock."""
        shown = date_time(data[:7]) if len(data) >= 7 else None
        if len(data) < 7:
            self._outlet.note(Noise(data, Why.TOO_SHORT))
        if self._was_asked or shown is None:
            return
        self._was_asked = True
        self._clock = RunningClock(shown)
        self._outlet.note(DeviceClock(shown))
        await self._setter.set_at(Moment.ASKED, shown)

    async def _take(self, codec: Codec, data: bytes, is_progress: bool) -> None:
        for item in codec.feed(data):
            if isinstance(item, Noise):
                self._outlet.note(item)
            elif is_progress:
                await self._release_followed(())
                self._outlet.note(InProgress())
            elif item.group:
                await self._take_group(item)

    async def _take_group(self, frame: Frame) -> None:
        self._is_quiet = False
        self._last_s = asyncio.get_running_loop().time()
        group = tuple(map(self._setter.checked, frame.group))
        if self._join is not None and self._held and (joined := self._join(self._held, group)) is not None:
            self._held = joined
            return
        await self._release_followed(group)
        if self._setter.is_outdated(group[0]):
            self._held = ()
            await self._outlet.emit(*group)
        elif self._join is None and (age := self._age(group)) is not None:
            self._held = ()
            await self._deliver(group, age)

    async def _release_followed(self, by: Group) -> None:
        """What is held was not the last of the burst; what follows is held in its place."""
        held, self._held = self._held, by
        if held and (age := self._age(held)) is not None:
            await self._deliver(held, age)
        elif held and (not self._is_first or self._wants == "all"):
            await self._outlet.emit(*_stored(held))
        elif held:
            self._earlier.append(held)
        if by:
            self._forget_old(by)

    async def _release_last(self) -> None:
        """Nothing followed what is held."""
        held, self._held = self._held, ()
        earlier, self._earlier = self._earlier, []
        for group in earlier:
            await self._outlet.emit(*_stored(group))
        if held and (age := self._age(held)) is not None:
            await self._deliver(held, age)
        elif held:
            await self._outlet.emit(*held)

    async def _deliver(self, group: Group, age: timedelta) -> None:
        is_wanted = not self._is_first or self._wants == "all" or (self._wants == "recent" and age <= RECENT)
        if age <= JUST_NOW or is_wanted:
            await self._outlet.emit(*group)
        else:
            self._outlet.note(Skipped())

    def _forget_old(self, newer: Group) -> None:
        kept = [group for group in self._earlier if self._wants == "recent" and _are_near(group, newer)]
        kept = kept[-EARLIER_ACTS:]
        for _ in range(len(self._earlier) - len(kept)):
            self._outlet.note(Skipped())
        self._earlier = kept

    def _age(self, group: Group) -> timedelta | None:
        """By the device's own clock; None where it does not tell."""
        now, stamp = self._clock.now(), group[0].device_time
        if now is None or stamp is None or not -AHEAD_TOLERANCE <= now - stamp <= AGE_MAX:
            return None
        return now - stamp

    async def _get_acquainted(self) -> None:
        if not self._is_quiet:  # something has come
            await self._acquaintance.make()


def _stored(group: Group) -> Group:
    return tuple(replace(observation, origin=Origin.STORED) for observation in group)


def _are_near(one: Group, other: Group) -> bool:
    a, b = one[0].device_time, other[0].device_time
    return a is not None and b is not None and abs(b - a) <= RECENT
