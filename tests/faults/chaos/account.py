"""The reckoning: what the devices' journal says, against what arrived."""

from __future__ import annotations

import bisect
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from .consumer import Arrival
from .journal import CUT_OFF_S, Duty, Emission, Journal, Key, reading_key

NO_FAULT = "no fault yet"
COLUMNS = ("emitted", "arrived", "lost", "cut off", "invented", "altered", "disorder", "duplicates", "after id")
BROKEN = ("lost", "invented", "altered", "disorder", "after id")
"""Columns in which nothing but zero keeps the promise."""
RAW_DUPLICATES_MAX = 0.005
"""Of the readings that arrived, where there are enough of them for a share to mean anything: an answer that is lost
costs each device one, however many readings there were."""
SHARE_OF_MIN = 5_000
NEAR_S = 5.0


@dataclass(frozen=True, slots=True)
class Began:
    """An episode as it really happened."""

    at_s: float
    fault: str


@dataclass
class Table:
    """Counts by fault and column; the fault that had begun last when it happened."""

    rows: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    episodes: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)
    cut_off_after_s: float = 0.0
    """The longest between a reading's last byte and the daemon's end, of those that were cut off with it."""

    @property
    def total(self) -> Counter[str]:
        return sum(self.rows.values(), Counter())

    @property
    def broken(self) -> list[str]:
        """The columns that say a promise was broken."""
        total = self.total
        share = ["duplicates"] if self.duplicate_share > RAW_DUPLICATES_MAX and total["arrived"] >= SHARE_OF_MIN else []
        return [column for column in BROKEN if total[column]] + share

    @property
    def duplicate_share(self) -> float:
        total = self.total
        return total["duplicates"] / total["arrived"] if total["arrived"] else 0.0

    def __str__(self) -> str:
        head = f"{'fault':40} {'times':>6}" + "".join(f"{column:>11}" for column in COLUMNS)
        lines = [_line(name, self.episodes[name], self.rows[name]) for name in sorted(self.rows)]
        return "\n".join([head, *lines, _line("all", self.episodes.total(), self.total)])


def _line(name: str, times: int, counts: Counter[str]) -> str:
    return f"{name:40} {times:6}" + "".join(f"{counts[column]:11}" for column in COLUMNS)


def reckon(journal: Journal, arrivals: Iterable[Arrival], began: Sequence[Began], moved: Collection[str]) -> Table:
    """moved: ids of readings that an operator sent again after they were parked; their place in the order is gone."""
    return _Reckoning(journal, began).table(arrivals, moved)


class _Reckoning:
    def __init__(self, journal: Journal, began: Sequence[Began]) -> None:
        self._journal = journal
        self._began = sorted(began, key=lambda each: each.at_s)
        self._begins_s = [each.at_s for each in self._began]
        self._table = Table(episodes=Counter(each.fault for each in began))
        self._ids: dict[tuple[str, Key], list[str]] = defaultdict(list)
        self._payloads: dict[str, bytes] = {}
        self._latest: dict[str, int] = {}

    def table(self, arrivals: Iterable[Arrival], moved: Collection[str]) -> Table:
        for arrival in arrivals:
            self._take(arrival, moved)
        for emissions in self._journal.emissions.values():
            for emission in emissions.values():
                if self._journal.was_emitted(emission):
                    self._settle(emission)
        return self._table

    def _take(self, arrival: Arrival, moved: Collection[str]) -> None:
        try:
            reading: dict[str, Any] = json.loads(arrival.payload, parse_float=Decimal, parse_int=Decimal)
            device, id_, key = reading["device"]["name"], reading["id"], reading_key(reading)
        except (ValueError, KeyError, TypeError):
            self._count(arrival.at_s, "invented", f"no reading at all, on {arrival.topic}")
            return
        if id_ in self._payloads:
            self._count(arrival.at_s, "duplicates")
            if self._payloads[id_] != arrival.payload:
                self._count(arrival.at_s, "altered", f"{device}: another payload under one id")
            return
        self._payloads[id_] = arrival.payload
        emission = self._journal.emissions.get(device, {}).get(key)
        if emission is None:
            self._foreign(arrival, device, key)
            return
        ids = self._ids[device, key]
        ids.append(id_)
        if len(ids) > 1:
            self._count(arrival.at_s, "after id", f"{device}: {key} arrived as {ids}")
        elif id_ not in moved:
            self._place(arrival, emission)

    def _foreign(self, arrival: Arrival, device: str, key: Key) -> None:
        """Of a measurement that was going on: altered. Else: invented."""
        near = (e for e in self._journal.emissions.get(device, {}).values() if _is_near(e, arrival, key))
        what = "altered" if any(near) else "invented"
        self._count(arrival.at_s, what, f"{device}: {key}")

    def _place(self, arrival: Arrival, emission: Emission) -> None:
        latest = self._latest.get(emission.device, -1)
        if emission.number < latest:
            self._count(arrival.at_s, "disorder", f"{emission.device}: {emission.number} after {latest}")
        self._latest[emission.device] = max(latest, emission.number)

    def _settle(self, emission: Emission) -> None:
        assert emission.emitted_s is not None
        self._count(emission.emitted_s, "emitted")
        if (emission.device, emission.key) in self._ids:
            self._count(emission.emitted_s, "arrived")
        elif _can_be_cut_off(emission) and (survived_s := self._journal.survival_s(emission)) < CUT_OFF_S:
            self._count(emission.emitted_s, "cut off")
            self._table.cut_off_after_s = max(self._table.cut_off_after_s, survived_s)
        else:
            self._count(emission.emitted_s, "lost", f"{emission.device}: {emission.number}, {emission.key}")

    def _count(self, at_s: float, column: str, remark: str = "") -> None:
        place = bisect.bisect_right(self._begins_s, at_s)
        fault = self._began[place - 1].fault if place else NO_FAULT
        self._table.rows[fault][column] += 1
        if remark:
            self._table.remarks.append(f"{column}, {fault}: {remark}")


def _can_be_cut_off(emission: Emission) -> bool:
    return emission.duty in (Duty.PUSHED, Duty.STREAMED)


def _is_near(emission: Emission, arrival: Arrival, key: Key) -> bool:
    same_time = key[1] is not None and emission.key[1] == key[1]
    return same_time or (key[1] is None and abs(emission.begun_s - arrival.at_s) < NEAR_S)
