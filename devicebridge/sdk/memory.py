"""How far a device's memory has been read, where it is read from the newest record to the oldest.

What is remembered is the newest record itself, as the device stated it, and not its place in a list, which shifts, nor
its time, which goes back when the device's clock is set: all that lies before it in the list is new. If it is not
there any more (the memory was erased, or has run over) all is new, and the ids of the readings tell repeats.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum, auto

from .driver import MemoryOptions
from .outlet import Outlet
from .values import Observation

RECENT = timedelta(minutes=10)
"""What a first download takes for this visit's, by the device's own clock."""

_EMPTY = "-"  # of a memory without a record


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

    def take(self, record: Observation) -> bool:
        """Whether the record is to be sent; if not, neither are all older ones."""
        if self._newest is None:
            self._newest = marker(record)
        if marker(record) == self._last or not self._is_wanted(record):
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

    def _is_wanted(self, record: Observation) -> bool:
        if self._rule is not _Rule.RECENT:
            return self._rule is _Rule.ALL
        return (
            self._now is not None and record.device_time is not None and abs(self._now - record.device_time) <= RECENT
        )


def marker(record: Observation) -> str:
    """The record in at most 64 characters, by which it is known again."""
    time = record.device_time.isoformat() if record.device_time else ""
    values = "/".join(str(value.absent or f"{value.comparator or ''}{value.value}") for value in record.values)
    return f"{time} {values}"[:64].strip() or "?"
