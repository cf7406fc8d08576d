"""How far a device's memory has been read: record by record from the newest on (`Download`), or whole (`send_whole`).

What is remembered is the newest record itself, as the device stated it, and not its place in a list, which shifts, nor
its time, which goes back when the device's clock is set: all that lies before it in the list is new. If it is not
there any more (the memory was erased, or has run over) all is new, and the ids of the readings tell repeats.

How old the newest record is may not be known at a first meeting, as by a clock that cannot be read. Then it may have
been measured just now, and of what is not older than RECENT it is wanted, and it alone.

Of a memory that comes whole, in an order that no source tells, the records at both its ends are remembered: what lies
beyond them is new, at whichever end the device adds, and whatever has become of its clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from hashlib import sha256
from itertools import pairwise

from .driver import MemoryOptions
from .outlet import Outlet, Skipped
from .values import Observation

RECENT = timedelta(minutes=10)
"""What a first download takes for this visit's, by the device's own clock."""
AGE_MAX = timedelta(days=3650)
"""No memory is older: such a stamp was made before the clock was set, or lost its time."""

_EMPTY = "-"  # of a memory without a record
_MARK_CHARS = 31  # two and a blank are what `remember` takes


class _Rule(Enum):
    ALL = auto()
    RECENT = auto()
    NONE = auto()


_RULES = {"all": _Rule.ALL, "recent": _Rule.RECENT, "none": _Rule.NONE}


class Download:
    """One reading of a memory. Begin, `take` each record from the newest on while it says so, then `finish`."""

    def __init__(self, outlet: Outlet, key: str, last: str | None, now: datetime | None, rule: _Rule) -> None:
        self._outlet = outlet
        self._key = key
        self._last = last
        self._now = now
        self._rule = rule if last is None else _Rule.ALL
        self._newest: str | None = None
        self._records: list[Observation] = []

    @classmethod
    async def begin(cls, outlet: Outlet, key: str, now: datetime | None, options: MemoryOptions) -> Download:
        """key: whose memory, as the serial number. now: the device's present time, where it can be read."""
        return cls(outlet, key, await outlet.recall(key), now, _RULES[options.first_download])

    @property
    def is_first(self) -> bool:
        """Nothing of this memory was read before."""
        return self._last is None

    def take(self, record: Observation) -> bool:
        """Whether the record is to be sent; if not, neither are all older ones."""
        is_newest = self._newest is None
        if is_newest:
            self._newest = marker(record)
        if marker(record) == self._last or not _is_wanted(self._rule, self._now, record, is_newest=is_newest):
            return False
        self._records.append(record)
        return True

    async def finish(self, *, is_whole: bool = True) -> None:
        """Sends what was taken, oldest first. `is_whole`: nothing was left out, so that it need not be read again."""
        for record in reversed(self._records):
            await self._outlet.emit(record)
        newest = self._newest or _EMPTY
        if is_whole and newest != self._last:
            await self._outlet.remember(self._key, newest)


async def send_whole(
    outlet: Outlet, key: str, records: Sequence[Observation], now: datetime | None, options: MemoryOptions
) -> None:
    """Sends what is new of a memory that came whole, oldest first. records: as they came, the newest first or last.

    At a first meeting of which all is not wanted, the newest end is told by the times, and nothing is wanted from the
    first record on that is not; each of these is noted as Skipped.
    """
    known = await outlet.recall(key)
    if known is None:
        rule = _RULES[options.first_download]
        new = _newest_first(records)
        wanted = [_is_wanted(rule, now, record, is_newest=place == 0) for place, record in enumerate(new)]
        new = new[: wanted.index(False)] if False in wanted else new
        for _ in range(len(records) - len(new)):
            outlet.note(Skipped())
    else:
        new = _beyond(records, known.split())
    for record in reversed(new):
        await outlet.emit(record)
    ends = " ".join(_mark(record) for record in (records[0], records[-1])) if records else _EMPTY
    if ends != known:
        await outlet.remember(key, ends)


def _beyond(records: Sequence[Observation], ends: Sequence[str]) -> Sequence[Observation]:
    """What lies before the record that was first, or behind the one that was last; newest first.

    The oldest of them may have given way to new ones; where both have gone all is new.
    """
    marks = [_mark(record) for record in records]
    known = [place for place, mark in enumerate(marks) if mark in ends]
    if not known:
        return _newest_first(records)
    before = records[: known[0]] if ends[0] in marks else []
    behind = records[known[-1] + 1 :] if ends[-1] in marks else []
    return [*before, *reversed(behind)]


def _newest_first(records: Sequence[Observation]) -> Sequence[Observation]:
    """By what most neighbours say of each other: a clock that was set makes one pair of them lie."""
    times = [record.device_time for record in records if record.device_time]
    rises = sum((later > earlier) - (later < earlier) for earlier, later in pairwise(times))
    return records[::-1] if rises > 0 else records


def is_recent(record: Observation, now: datetime | None, *, is_newest: bool) -> bool:
    """By the device's own clock; of a record whose age that does not tell, by its place, if there is a value in it."""
    stamp = record.device_time
    if now is None or stamp is None or not -RECENT <= now - stamp <= AGE_MAX:
        return is_newest and any(value.absent is None for value in record.values)
    return now - stamp <= RECENT


def _is_wanted(rule: _Rule, now: datetime | None, record: Observation, *, is_newest: bool) -> bool:
    return rule is _Rule.ALL or (rule is _Rule.RECENT and is_recent(record, now, is_newest=is_newest))


def _mark(record: Observation) -> str:
    return sha256(marker(record).encode()).hexdigest()[:_MARK_CHARS]


def marker(record: Observation) -> str:
    """The record in at most 64 characters, by which it is known again."""
    time = record.device_time.isoformat() if record.device_time else ""
    values = "/".join(str(value.absent or f"{value.comparator or ''}{value.value}") for value in record.values)
    return f"{time} {values}"[:64].strip() or "?"
