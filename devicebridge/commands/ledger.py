"""The demo's bookkeeping: what the simulated devices measured, against what came out of the broker."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

MISSED_S = 15.0
"""The result of a simulated measurement is read sooner than this after it began, connecting included."""

_Measured = tuple[str, tuple[tuple[str, str], ...]]
"""A device and what it measured: names with normalized values or the reasons of their absence."""


@dataclass
class Ledger:
    """What was measured, against what arrived."""

    measured: Counter[_Measured] = field(default_factory=Counter)
    unfinished: Counter[_Measured] = field(default_factory=Counter)
    arrived: Counter[_Measured] = field(default_factory=Counter)
    ids: Counter[tuple[str, int]] = field(default_factory=Counter)
    foreign: int = 0
    """Messages in a reading's place that are none."""
    began_s: dict[str, float] = field(default_factory=dict)
    """When each device began what it now measures."""
    overdue: Counter[_Measured] = field(default_factory=Counter)
    """Of the unfinished those that had begun long ago, or that the daemon hung up on."""
    said: dict[str, str] = field(default_factory=dict)
    """The last status text of each device."""
    is_closed: bool = False
    """The devices are being taken away: what their status says from here on is of no interest."""

    def report(self, event: dict[str, Any], now_s: float) -> None:
        [(phase, device)] = ((phase, event[phase]) for phase in ("measuring", "measured", "aborted") if phase in event)
        if phase == "measuring":
            self.began_s[device] = now_s
            return
        took_s = now_s - self.began_s.pop(device)
        expected = [_measured(device, expected["values"]) for expected in event["expected"]]
        (self.measured if phase == "measured" else self.unfinished).update(expected)
        if phase == "aborted" and (not self.is_closed or took_s > MISSED_S):
            self.overdue.update(expected)

    def receive(self, reading: dict[str, Any]) -> None:
        """Raises KeyError, TypeError, ValueError or AttributeError for what is no reading."""
        key = (str(reading["id"]), int(reading["revision"]))
        values = {v["name"]: str(v.get("value", v.get("absent"))) for v in reading["values"]}
        what = _measured(str(reading["device"]["name"]), values)
        self.ids[key] += 1
        if self.ids[key] == 1:
            self.arrived[what] += 1

    @property
    def lost(self) -> int:
        return (self.measured - self.arrived).total()

    @property
    def missed(self) -> int:
        """Where nothing at all arrived no measurement was too young to be read."""
        due = self.overdue if self.ids else self.unfinished
        return (due - (self.arrived - self.measured)).total()

    @property
    def invented(self) -> int:
        return (self.arrived - self.measured - self.unfinished).total() + self.foreign

    @property
    def duplicated(self) -> int:
        return self.ids.total() - len(self.ids)

    def summary(self) -> dict[str, int]:
        return {
            "emitted": self.measured.total() + (self.arrived & self.unfinished).total(),
            "received": len(self.ids),
            "lost": self.lost,
            "missed": self.missed,
            "duplicated": self.duplicated,
            "invented": self.invented,
        }


def _measured(device: str, values: dict[str, str]) -> _Measured:
    return device, tuple(sorted(values.items()))
