"""Setting a Bluetooth LE device's clock, which only an option of the site allows, and proof that it took.

What a device has stored is stamped by the clock it had before. So a clock is set when all has been sent that it had to
send, or, where a model wants it sooner, what comes meanwhile is still dated by the clock as it was read before:
`settle` says when the clock as set begins to count. A stamp of before that, which comes only after it, is not believed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from pydantic import ConfigDict

from .bluetooth import CURRENT_TIME, DATE_TIME, date_time
from .driver import Options
from .links import GattLink, LinkLost, Loss
from .outlet import ClockOutcome, ClockSetting, DeviceClock, Outlet
from .values import Observation, Origin, Status

TAKEN_TOLERANCE = timedelta(seconds=5)
"""Between what was written and what is read back: devices count whole seconds, and the calls take some."""

OLD_STAMP_TOLERANCE = timedelta(minutes=1)
"""Some clocks show no seconds; and a clock that was off by less has misdated nothing."""

_MANUAL = 1  # Current Time Service 1.1, 3.1.2.1: the reason of the adjustment
_REFUSALS = (Loss.FAILED, Loss.BOND_REQUIRED, Loss.BOND_LOST)


class ClockOptions(Options):
    """Base of the options of drivers whose devices have a clock that can be set."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    set_clock: bool = False
    """Set the device's clock to this site's time where it is wrong, and read it back. Otherwise it is only read."""


class Moment(Enum):
    """When a clock is set. QUIET: when all that the device had to send has come, if it is off by more than seconds.
    START: at each connection before what comes is read. ASKED: when the device first notifies its time, and only if
    that is off by more than ten minutes."""

    QUIET = auto()
    START = auto()
    ASKED = auto()


_LEAST_OFFSET = {
    Moment.QUIET: timedelta(seconds=5),
    Moment.START: timedelta(),
    Moment.ASKED: timedelta(minutes=10),
}


@dataclass(frozen=True, slots=True)
class OwnClock:
    """A clock in a place of the vendor's: where, and what stands before the Date Time in what is written."""

    characteristic: str
    head: bytes


class RunningClock:
    """A device's clock, read once and running on. shown: what it showed just now; None where that is not known."""

    def __init__(self, shown: datetime | None) -> None:
        self._shown = shown
        self._at_s = asyncio.get_running_loop().time()

    def now(self) -> datetime | None:
        if self._shown is None:
            return None
        try:
            return self._shown + timedelta(seconds=asyncio.get_running_loop().time() - self._at_s)
        except OverflowError:
            return None


class ClockSetter:
    """Of one connection: sets the clock once at most. own: a clock that is not where the standard has it."""

    def __init__(
        self,
        link: GattLink,
        outlet: Outlet,
        options: ClockOptions,
        moment: Moment = Moment.QUIET,
        own: OwnClock | None = None,
    ) -> None:
        self._link = link
        self._outlet = outlet
        self._moment = moment if options.set_clock else None
        self._own = own
        self._pending: RunningClock | None = None
        self._counts_from: datetime | None = None

    async def set_at(self, moment: Moment, shown: datetime | None) -> None:
        """Sets the clock if this is the moment, and what it shows is wrong or not known.

        If the link is lost meanwhile, the values that came before are still to be read, and say so after the last.
        """
        if moment is not self._moment:
            return
        self._moment = None
        if shown is None or abs(self._outlet.local_time() - shown) >= _LEAST_OFFSET[moment]:
            await self._set(shown)

    def settle(self) -> datetime | None:
        """What was stamped by the clock of before has come. Gives and notes the time that the device shows now; None
        where that is as it was."""
        if self._pending is None or (now := self._pending.now()) is None:
            return None
        self._pending, self._counts_from = None, now
        self._outlet.note(DeviceClock(now))
        return now

    def is_outdated(self, observation: Observation) -> bool:
        """Whether the clock that made its stamp has been set since."""
        stamp, start = observation.device_time, self._counts_from
        return stamp is not None and start is not None and start - stamp > OLD_STAMP_TOLERANCE

    def checked(self, observation: Observation) -> Observation:
        """The same; with a stamp that is outdated, a record of no known time."""
        if not self.is_outdated(observation):
            return observation
        return replace(observation, origin=Origin.STORED, status=observation.status | {Status.CLOCK_UNSET})

    async def _set(self, before: datetime | None) -> None:
        place = self._place()
        if place is None:
            return
        characteristic, head, tail = place
        written = self._outlet.local_time()
        wanted = RunningClock(written)
        is_refused = await self._is_refused(characteristic, head + _date_time(written) + tail)
        shown = await self._read(characteristic)
        self._outlet.note(ClockSetting(_outcome(wanted.now(), shown, is_refused)))
        if shown is not None and not _agree(shown, before):
            self._pending = RunningClock(shown)

    def _place(self) -> tuple[str, bytes, bytes] | None:
        """Where the clock is, and what stands before and behind the Date Time in it."""
        if self._own is not None and self._link.has(self._own.characteristic):
            return self._own.characteristic, self._own.head, b""
        if self._link.has(CURRENT_TIME):
            return CURRENT_TIME, b"", bytes([self._outlet.local_time().isoweekday(), 0, _MANUAL])
        return (DATE_TIME, b"", b"") if self._link.has(DATE_TIME) else None

    async def _is_refused(self, characteristic: str, data: bytes) -> bool:
        try:
            await self._link.write(characteristic, data)
        except LinkLost as lost:
            return lost.reason in _REFUSALS
        return False

    async def _read(self, characteristic: str) -> datetime | None:
        """What the clock shows; None where it cannot be read."""
        try:
            data = await self._link.read(characteristic)
        except LinkLost:
            return None
        return date_time(data[:7]) if len(data) >= 7 else None


def _outcome(wanted: datetime | None, shown: datetime | None, is_refused: bool) -> ClockOutcome:
    """By what is shown: a device may take the time and refuse what stands behind it (0x80, "data field ignored")."""
    if _agree(shown, wanted):
        return ClockOutcome.SET
    if is_refused:
        return ClockOutcome.REFUSED
    return ClockOutcome.UNPROVEN if shown is None else ClockOutcome.NOT_TAKEN


def _agree(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= TAKEN_TOLERANCE


def _date_time(time: datetime) -> bytes:
    return time.year.to_bytes(2, "little") + bytes([time.month, time.day, time.hour, time.minute, time.second])
