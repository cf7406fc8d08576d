"""The ground truth, written on the simulated devices' side: what was measured, and how it was handed over.

A reading is `emitted`, and must arrive, once the device may forget it or will never lose it:
ACKNOWLEDGED: the daemon has acknowledged it. KEPT: it is in the device's memory, which is read again and again.
PUSHED: it was sent, whole and undamaged, over a link that the daemon had open. Such a device says it once; bytes that a
killed daemon had not yet stored are nowhere any more, and no host can promise more. They are `cut off with the daemon`,
which is believed only of readings whose last byte was sent less than CUT_OFF_S before the daemon's end.
STREAMED: as PUSHED, and only while it flows is it a reading: a PC that sleeps meanwhile has not seen the finger.
Whatever was not emitted may arrive (it had been stored when the link broke), and must be what the device measured then.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

from devicebridge.sdk.simulation import Expected

CUT_OFF_S = 2.0
"""Of time in which the daemon ran: far more than it needs to store what it was sent, on a busy machine too."""

Key = tuple[str, str | None, tuple[tuple[str, str], ...]]
"""Kind, the device's time, and values by name: what makes a reading the one it is. No two of one device are alike."""


class Duty(Enum):
    ACKNOWLEDGED = auto()
    KEPT = auto()
    PUSHED = auto()
    STREAMED = auto()


@dataclass(slots=True)
class Emission:
    device: str
    number: int
    key: Key
    duty: Duty
    begun_s: float
    link_s: float = 0.0
    """When the link was opened over which it was sent."""
    emitted_s: float | None = None
    """None: not handed over, or not whole."""


@dataclass
class Journal:
    emissions: dict[str, dict[Key, Emission]] = field(default_factory=dict)
    """By device, in the order of measuring."""
    ends_s: list[float] = field(default_factory=list)
    """Each time the daemon ended."""
    naps_s: list[tuple[float, float]] = field(default_factory=list)
    """When it did not run, from and to."""

    def measure(self, device: str, expected: Expected, duty: Duty, link_s: float = 0.0) -> Emission:
        key = expected_key(expected)
        emissions = self.emissions.setdefault(device, {})
        assert key not in emissions, f"{device} has measured this before"
        made = emissions[key] = Emission(device, len(emissions), key, duty, time.monotonic(), link_s)
        return made

    def write(self, file: Path) -> None:
        """A line each: what was measured, and when it was handed over, if it was."""
        with file.open("w") as lines:
            for emission in itertools.chain.from_iterable(each.values() for each in self.emissions.values()):
                lines.write(json.dumps(asdict(emission) | {"duty": emission.duty.name.lower()}) + "\n")

    def survival_s(self, emission: Emission) -> float:
        """For how long the daemon that had opened the link ran after the last byte; negative: it had ended before."""
        assert emission.emitted_s is not None
        end_s = next((end_s for end_s in self.ends_s if end_s >= emission.link_s), float("inf"))
        return end_s - emission.emitted_s - sum(self._naps_s(emission.emitted_s, end_s))

    def was_emitted(self, emission: Emission) -> bool:
        if emission.emitted_s is None:
            return False
        if emission.duty is Duty.STREAMED and any(self._naps_s(emission.begun_s, emission.emitted_s + CUT_OFF_S)):
            return False
        return emission.duty in (Duty.ACKNOWLEDGED, Duty.KEPT) or self.survival_s(emission) >= 0

    def _naps_s(self, since_s: float, to_s: float) -> Iterator[float]:
        """How long the daemon slept in that time."""
        for begun_s, ended_s in self.naps_s:
            if (nap_s := min(to_s, ended_s) - max(since_s, begun_s)) > 0:
                yield nap_s


def expected_key(expected: Expected) -> Key:
    when = expected.device_time.isoformat() if expected.device_time else None
    return str(expected.kind), when, tuple(sorted((str(name), str(v)) for name, v in expected.values.items()))


def reading_key(reading: dict[str, Any]) -> Key:
    """Numbers must have been parsed as Decimal: their digits are part of them."""
    values = ((v["name"], str(v["value"] if "value" in v else v["absent"])) for v in reading["values"])
    return reading["kind"], reading.get("device_time"), tuple(sorted(values))
