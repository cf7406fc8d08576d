"""How a stream of oximeter values becomes one reading for each finger.

The rule, in the device's own seconds: a value counts while the sensor is on the finger and the device neither searches
for the pulse nor calls the signal disturbed. When such values have followed one another for `steady_s` seconds and
differ by no more than the spreads allow, the pair of SpO2 and pulse rate sent most often in that time is the reading,
the latest of them if there are several: where a format has no checksum one flipped bit then changes nothing. The next
reading needs the sensor off the finger, or its numbers missing, and all this again. Lost bytes start the seconds anew;
a stream that stopped ends the finger.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from dataclasses import replace
from enum import Enum, auto

from pydantic import ConfigDict, Field

from .driver import Options
from .links import ByteLink
from .outlet import InProgress
from .values import Name, Observation, Status

_OFF = frozenset({Status.SENSOR_OFF, Status.SENSOR_DISCONNECTED})
_UNSTEADY = frozenset({Status.ARTIFACT, Status.OUT_OF_TRACK, Status.SIGNAL_ANALYSIS_ONGOING})
_PASSING = frozenset(  # said now and then, of the signal: it holds for the reading if it was said at all
    {
        Status.LOW_PERFUSION,
        Status.MARGINAL_PERFUSION,
        Status.POOR_SIGNAL,
        Status.SENSOR_INTERFERENCE,
        Status.AMBIENT_LIGHT,
    }
)

_QUIET_S = 1.0  # cables and serial servers stutter for less
_QUIET_VALUES = 3  # so many late: a device that speaks once a second may leave out one or two

_Numbers = tuple[int, int]  # SpO2 in percent, pulse rate per minute


class SteadyOptions(Options):
    """When a stream of values becomes a reading."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    steady_s: float = Field(default=5, ge=1, le=60)
    """How many seconds the values must hold still to be a reading."""
    steady_spread_spo2: int = Field(default=2, ge=0, le=10)
    """By how much SpO2 may differ within that time, in percent."""
    steady_spread_pulse_per_min: int = Field(default=10, ge=0, le=60)
    """By how much the pulse rate may differ within that time, in beats per minute."""


class _State(Enum):
    OFF = auto()  # no finger
    SETTLING = auto()
    DONE = auto()  # read; waiting for the finger to go


class Act:
    """One finger in the sensor after another: from the first value to its removal."""

    def __init__(self, options: SteadyOptions) -> None:
        self._options = options
        self._state = _State.OFF
        self._steady: deque[tuple[_Numbers, Observation]] = deque()

    @property
    def is_off(self) -> bool:
        """No finger is in the sensor, as far as the device has said."""
        return self._state is _State.OFF

    def disturbed(self) -> None:
        """Bytes were lost: what came before proves nothing about what comes next."""
        self._steady.clear()

    def ended(self) -> None:
        """The stream stopped: what comes next is of another finger, for all that can be known."""
        self._state = _State.OFF
        self._steady.clear()

    def next(self, observation: Observation, per_s: float) -> Observation | InProgress | None:
        """The reading, when this observation completes it; InProgress with the first value of a finger.

        per_s: how many observations the device sends in a second.
        """
        numbers = _numbers(observation)
        if observation.status & _OFF or numbers is None:
            self.ended()
            return None
        if self._state is _State.DONE:
            return None
        self._keep(numbers, observation, per_s)
        if self._state is _State.OFF:
            self._state = _State.SETTLING
            return InProgress()
        if self._is_steady(per_s):
            self._state = _State.DONE
            return self._reading()
        return None

    def _keep(self, numbers: _Numbers, observation: Observation, per_s: float) -> None:
        if observation.status & _UNSTEADY:
            self._steady.clear()
            return
        self._steady.append((numbers, observation))
        if len(self._steady) > self._needed(per_s):
            self._steady.popleft()

    def _needed(self, per_s: float) -> int:
        return math.ceil(self._options.steady_s * per_s)

    def _is_steady(self, per_s: float) -> bool:
        if len(self._steady) < self._needed(per_s):
            return False
        spo2 = [numbers[0] for numbers, _ in self._steady]
        pulse = [numbers[1] for numbers, _ in self._steady]
        options = self._options
        return (
            max(spo2) - min(spo2) <= options.steady_spread_spo2
            and max(pulse) - min(pulse) <= options.steady_spread_pulse_per_min
        )

    def _reading(self) -> Observation:
        """The commonest value as last sent, with what was said of the signal while it held still."""
        passing = frozenset().union(*(o.status & _PASSING for _, o in self._steady))
        latest = list(reversed(self._steady))
        commonest = Counter(numbers for numbers, _ in latest).most_common(1)[0][0]
        chosen = next(o for numbers, o in latest if numbers == commonest)
        self._steady.clear()
        return replace(chosen, status=chosen.status | passing)


async def read_while_on(link: ByteLink, act: Act, per_s: float) -> bytes:
    """What the link brings; nothing, once for each finger, where the stream of `per_s` values a second has stopped.

    Needs a link that keeps what a cancelled read did not return.
    """
    if act.is_off:
        return await link.read()
    try:
        async with asyncio.timeout(max(_QUIET_S, _QUIET_VALUES / per_s)):
            return await link.read()
    except TimeoutError:
        act.ended()
        return b""


def _numbers(observation: Observation) -> _Numbers | None:
    """SpO2 and pulse rate; None unless both are there."""
    values = {value.name: value.value for value in observation.values}
    spo2, pulse = values[Name.SPO2], values[Name.PULSE_RATE]
    return None if spo2 is None or pulse is None else (int(spo2), int(pulse))
