"""One connection to a glucose meter: what it has measured since the last one, oldest first.

The last record read is remembered by its number, time and value, for each meter. The next time the records from that
one on are asked for: if it comes again as it was, what follows is new. If it does not, because the meter was reset,
erased, repaired, or has counted around, its whole memory is read: a record is never passed over for its number, and
one that is sent twice has the same id. Nothing is deleted. The clock is set, where the site has turned that on, when
the memory has been read, and all of it dated by the clock as it was.

A record is remembered only after all have come, so that a connection that breaks is made good by the next one.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from devicebridge.sdk import (
    GattLink,
    LinkLost,
    Loss,
    MemoryOptions,
    Noise,
    Observation,
    Origin,
    Outlet,
    Skipped,
    UnexpectedDevice,
)
from devicebridge.sdk.clock_setting import ClockOptions, ClockSetter, Moment, RunningClock
from devicebridge.sdk.gatt_device import Arrivals, introduce
from devicebridge.sdk.memory import is_recent, marker, send_whole
from devicebridge.sdk.racp import ALL, RACP, RecordAccess, Result, from_sequence, memory_key

from .codec import CONTEXT, MEASUREMENT, Codec, Measurement
from .context import Joiner, MealContext
from .quirks import Quirk, quirk_of

FRESH = timedelta(minutes=3)
"""A record not older than this by the meter's own clock was measured for this connection: meters send at once."""

CONTEXT_S = 1.0
"""For a context that comes after the word that all has come."""

SEQUENCE_MAX = 0xFFFF
_UNSUPPORTED = (Result.OPERATOR_NOT_SUPPORTED, Result.OPERAND_NOT_SUPPORTED, Result.INVALID_OPERATOR)
_DONE = (Result.SUCCESS, Result.NO_RECORDS)
_EMPTY = "-"  # remembered of a memory without a record


class MeterOptions(MemoryOptions, ClockOptions):
    """What is read of a memory on the first meeting, and whether the clock is set."""


async def session(link: GattLink, outlet: Outlet, options: MeterOptions) -> None:
    """Ends with LinkLost when the meter hangs up."""
    if not (link.has(MEASUREMENT) and link.has(RACP)):
        raise UnexpectedDevice
    wanted = [uuid for uuid in (MEASUREMENT, CONTEXT, RACP) if link.has(uuid)]
    arrivals = Arrivals(await link.subscribe(*wanted))
    try:
        about = await introduce(link, outlet)
        quirk = quirk_of(about.identity.manufacturer, about.identity.model, link.name)
        setter = ClockSetter(link, outlet, options, own=quirk.own_clock)
        key = await memory_key(outlet, about.identity)
        meter = (_ShiftingMeter if quirk.numbers_shift else _Meter)(outlet, options, about.now, key, quirk, setter)
        access = RecordAccess(link, arrivals, outlet, meter.take)
        await meter.download(access)
        await setter.set_at(Moment.QUIET, meter.clock.now())
        if (now := setter.settle()) is not None:
            meter.clock = RunningClock(now)
        await access.rest()
    finally:
        await arrivals.close()


class _Meter:
    """One meter's memory. Emits each record as soon as it is whole."""

    def __init__(
        self, outlet: Outlet, options: MemoryOptions, now: datetime | None, key: str, quirk: Quirk, setter: ClockSetter
    ) -> None:
        self._outlet = outlet
        self._options = options
        self.clock = RunningClock(now)
        self._key = key
        self._codecs = {uuid: Codec(uuid) for uuid in (MEASUREMENT, CONTEXT)}
        self._joiner = Joiner(quirk)
        self._setter = setter
        self._left_out: dict[str, Observation] = {}  # at a first meeting, as remembered: it may have to be read twice
        self._last: str | None = None  # what is remembered; None on the first meeting
        self._newest: str | None = None
        self._is_last_there = False
        self._is_read = False
        self._measurements = 0

    async def download(self, access: RecordAccess) -> None:
        """Raises LinkLost."""
        self._last = await self._outlet.recall(self._key)
        sequence = _sequence(self._last)
        result = await self._read(access, ALL if sequence is None else from_sequence(sequence))
        if self._must_read_all(sequence, result):
            result = await self._read(access, ALL)
        if result not in _DONE:
            raise LinkLost(Loss.FAILED)
        await self._leave_out()
        self._is_read = True
        await self._remember()

    async def take(self, characteristic: str, data: bytes) -> None:
        for item in self._codecs[characteristic].feed(data):
            if isinstance(item, Noise):
                self._outlet.note(item)
            elif isinstance(item, MealContext):
                await self._send(*self._joiner.context(item))
            elif isinstance(item, Measurement):
                self._measurements += 1
                (record,) = item.group
                await self._send(*self._joiner.measurement(item.sequence, record, context_follows=item.context_follows))

    async def _read(self, access: RecordAccess, scope: bytes) -> Result:
        """The records are counted first: if fewer come, they are asked for once more."""
        count = await access.count(scope)
        for _ in range(2):
            self._measurements = 0
            result = await access.report(scope)
            try:
                if self._joiner.is_waiting:
                    await access.settle(CONTEXT_S)
            finally:
                await self._send(*self._joiner.flush())
            if result is not Result.SUCCESS or count is None or self._measurements >= count:
                break
        return result

    def _must_read_all(self, sequence: int | None, result: Result) -> bool:
        if result in _UNSUPPORTED:
            return True
        return sequence is not None and (not self._is_last_there or sequence == SEQUENCE_MAX)

    async def _send(self, *records: Observation) -> None:
        for record in records:
            self._newest = f"{record.record} {marker(record)}"[:64].strip()
            if self._newest == self._last:
                self._is_last_there = True
            elif self._is_wanted(record):
                await self._emit(record)
            else:
                self._left_out[self._newest] = record
            if self._is_read:
                await self._remember()

    async def _emit(self, record: Observation) -> None:
        await self._outlet.emit(self._setter.checked(_dated(record, self.clock.now())))

    def _is_wanted(self, record: Observation, *, is_newest: bool = False) -> bool:
        rule = self._options.first_download
        if self._last is not None or self._is_read or rule == "all":
            return True
        return rule == "recent" and is_recent(record, self.clock.now(), is_newest=is_newest)

    async def _leave_out(self) -> None:
        """What is not wanted at a first meeting; whether the newest is, may only be told now."""
        newest = self._left_out.get(self._newest or "")
        if newest is not None and self._is_wanted(newest, is_newest=True):
            await self._emit(newest)
            del self._left_out[self._newest or ""]
        for _ in self._left_out:
            self._outlet.note(Skipped())

    async def _remember(self) -> None:
        newest = self._newest or self._last or _EMPTY
        if newest != self._last:
            await self._outlet.remember(self._key, newest)


class _ShiftingMeter(_Meter):
    """Of a meter whose numbers are no keys: the whole memory is read each time, and known by the records' times."""

    async def download(self, access: RecordAccess) -> None:
        self._records: dict[Observation, None] = {}
        if await self._read(access, ALL) not in _DONE:
            raise LinkLost(Loss.FAILED)
        self._is_read = True
        now = self.clock.now()
        records = [_dated(record, now) for record in self._records]
        await send_whole(self._outlet, self._key, records, now, self._options)

    async def _send(self, *records: Observation) -> None:
        for numbered in records:
            record = replace(numbered, record=None)
            if self._is_read:
                await self._outlet.emit(self._setter.checked(_dated(record, self.clock.now())))
            else:  # the memory may have to be read twice
                self._records[record] = None


def _sequence(remembered: str | None) -> int | None:
    """Of the last record read; None where there is none to go on from."""
    digits = (remembered or "").partition(" ")[0]
    return int(digits) if digits.isdecimal() and int(digits) <= SEQUENCE_MAX else None


def _age(record: Observation, now: datetime | None) -> timedelta:
    """By the meter's own clock; beyond all bounds where that is not known."""
    if now is None or record.device_time is None:
        return timedelta.max
    return abs(now - record.device_time)


def _dated(record: Observation, now: datetime | None) -> Observation:
    return replace(record, origin=Origin.LIVE) if _age(record, now) <= FRESH else record
