"""A cuff's memory: a ring of records, of which neither a time nor a place in the file tells which are new.

So all of them are remembered, by a mark each. The newest is the one behind which, round the ring, no new one follows;
where all are new, the one behind which the time goes back. If that happens more than once, as it does after the clock
was set back, there is more than one that may be the newest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

from devicebridge.sdk import Outlet

_MARK_CHARS = 8
_MARKS = 8  # of so many what `remember` takes is full
_KEY_CHARS = 58
_EMPTY = "-"  # of a memory without a record


class Ring:
    """records: as they lie in the file. known: what is remembered of them; None at a first meeting."""

    def __init__(self, records: Sequence[bytes], known: str | None) -> None:
        marks = {known[at : at + _MARK_CHARS] for at in range(0, len(known), _MARK_CHARS)} if known else set[str]()
        self._records = records
        self._is_new = [_mark(record) not in marks for record in records]
        self.is_first = known is None
        self.newest = [record for place, record in enumerate(records) if self._ends(place)]
        """Those of the new ones that may be the newest."""

    def new(self) -> Iterator[bytes]:
        """What is not known, the oldest first."""
        start = next((place + 1 for place in reversed(range(len(self._records))) if self._ends(place)), 0)
        places = [*range(start, len(self._records)), *range(start)]
        return (self._records[place] for place in places if self._is_new[place])

    def _ends(self, place: int) -> bool:
        following = (place + 1) % len(self._records)
        if not all(self._is_new):
            return self._is_new[place] and not self._is_new[following]
        return _seconds(self._records[following]) <= _seconds(self._records[place])


async def recall(outlet: Outlet, key: str) -> str | None:
    """What is known of a cuff's memory; None at a first meeting."""
    parts: list[str] = []
    while (marks := await outlet.recall(_part(key, len(parts)))) is not None:
        parts.append(marks.removeprefix(_EMPTY))
    return "".join(parts) if parts else None


async def remember(outlet: Outlet, key: str, records: Sequence[bytes]) -> None:
    """What was known besides stays so: it may lie behind the last of these."""
    for part in range(max(1, -(-len(records) // _MARKS))):
        marks = "".join(map(_mark, records[part * _MARKS : (part + 1) * _MARKS])) or _EMPTY
        if marks != await outlet.recall(_part(key, part)):
            await outlet.remember(_part(key, part), marks)


def _part(key: str, part: int) -> str:
    return f"{key[:_KEY_CHARS]}/{part}"


def _mark(record: bytes) -> str:
    return sha256(record).hexdigest()[:_MARK_CHARS]


def _seconds(record: bytes) -> int:
    return int.from_bytes(record[:4], "little")
