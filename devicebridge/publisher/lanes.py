"""Which row may go next. Order per device is a promise: a lane has one row in flight at the most."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..outbox import LANE_BYTES, Row
from .reasons import Reason

LANE_ROWS = 64
"""Fetched ahead of one lane: few enough to forget at any time, enough not to wait for the disk all the time."""

RETRY_FIRST_S = 1.0
HOLD_FIRST_S = 5.0
HOLD_LONGEST_S = 300.0
"""A lane on hold asks the broker again after HOLD_FIRST_S, doubling up to this."""


@dataclass(slots=True)
class Hold:
    reason: Reason
    topic: str
    since: datetime
    pause_s: float
    until_s: float


@dataclass(slots=True, eq=False)
class Lane:
    name: str
    queue: deque[Row] = field(default_factory=deque)
    flying: Row | None = None
    done_seq: int = 0
    """Every row up to here has got its answer, or is in flight."""
    more: bool = True
    """The disk may hold rows that are not in the queue."""
    hold: Hold | None = None

    @property
    def is_full(self) -> bool:
        """It needs no more rows now."""
        return len(self.queue) >= LANE_ROWS // 2 or sum(len(row.payload) for row in self.queue) >= LANE_BYTES

    @property
    def fetched_seq(self) -> int:
        return self.queue[-1].seq if self.queue else self.done_seq

    def take(self) -> Row:
        row = self.flying = self.queue.popleft()
        self.done_seq = row.seq
        return row

    def put_back(self, row: Row) -> None:
        """To be sent again, first of all."""
        self.flying = None
        self.done_seq = row.seq - 1
        self.queue.appendleft(row)

    def wait(self, reason: Reason, topic: str, now: datetime, now_s: float, first_s: float) -> None:
        pause_s = min(HOLD_LONGEST_S, self.hold.pause_s * 2) if self.hold else first_s
        since = self.hold.since if self.hold else now
        self.hold = Hold(reason, topic, since, pause_s, now_s + pause_s)


class Lanes:
    """The lanes of all devices, by name; as many as devices were ever configured."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}

    def __getitem__(self, name: str) -> Lane:
        return self._lanes.setdefault(name, Lane(name))

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def ready(self, now_s: float) -> list[Lane]:
        """Those that may send, the one with the oldest row first."""
        ready = [
            lane
            for lane in self
            if lane.queue and lane.flying is None and (lane.hold is None or lane.hold.until_s <= now_s)
        ]
        return sorted(ready, key=lambda lane: lane.queue[0].seq)

    def is_hungry(self) -> bool:
        return any(lane.more and not lane.queue for lane in self)

    def full(self) -> frozenset[str]:
        """Those that need no more rows now."""
        return frozenset(lane.name for lane in self if lane.is_full)

    def fetched(self) -> dict[str, int]:
        return {lane.name: lane.fetched_seq for lane in self}

    def fill(self, rows: Sequence[Row], excluded: frozenset[str]) -> None:
        given: dict[str, list[int]] = {}
        for row in rows:
            self[row.lane].queue.append(row)
            given.setdefault(row.lane, []).append(len(row.payload))
        for lane in self:
            sizes = given.get(lane.name, [])
            lane.more = lane.name in excluded or len(sizes) >= LANE_ROWS or sum(sizes) >= LANE_BYTES

    def forget(self) -> None:
        """What was fetched may be out of date; it is fetched again."""
        for lane in self:
            lane.queue.clear()
            lane.more = True
