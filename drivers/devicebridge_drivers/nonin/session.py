"""One session with a Nonin oximeter: the stream of a measurement becomes one reading.

The rule for the streaming formats, in the device's own seconds: a value counts while the sensor is on the finger,
in track and free of artifact. When such values have followed one another for `steady_s` seconds and differ by no more
than `steady_spread_spo2` and `steady_spread_pulse_per_min`, the pair sent most often in that time is the reading, the
latest of them if there are several: formats 1 and 8 have no checksum, and so one flipped bit changes nothing. The next
reading needs the sensor off the finger, or its numbers missing, and all this again. Noise starts the seconds anew.

Format 13 sends finished measurements, each of which is a reading. Its description (6470-000-01, pp. 6-7) has the
oximeter send and forget: there is no acknowledgement, and the receivers of MediPi and OpenTele send none either.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import replace
from enum import Enum, auto
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from devicebridge.sdk import (
    Battery,
    ByteLink,
    DeviceClock,
    DeviceIdentity,
    Frame,
    InProgress,
    Name,
    Noise,
    Observation,
    Options,
    Outlet,
    Status,
)

from .codec import Codec, DataFormat
from .frames import Control, Sample, SpotCheck

_SELECTABLE = ("2", "7", "8", "13")  # 6470-000-01, "Selecting a data format"
_GET_TIME = bytes((0x02, 0x72, 0x00, 0x03))  # 6470-000-01, "Retrieving the time"
_PACKETS_PER_S = 3  # formats 2 and 7; formats 1 and 8 speak once a second
_OFF = frozenset({Status.SENSOR_OFF, Status.SENSOR_DISCONNECTED})
_UNSTEADY = frozenset({Status.ARTIFACT, Status.OUT_OF_TRACK})
_PASSING = frozenset({Status.LOW_PERFUSION, Status.MARGINAL_PERFUSION})  # shown only during a pulse


class NoninOptions(Options):
    """When a stream of values becomes a reading, and whether the device is told anything."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    data_format: DataFormat = "auto"
    """The format the oximeter is set to; "auto" recognises it."""
    steady_s: float = Field(default=5, ge=1, le=60)
    """How many seconds the values must hold still to be a reading."""
    steady_spread_spo2: int = Field(default=2, ge=0, le=10)
    """By how much SpO2 may differ within that time, in percent."""
    steady_spread_pulse_per_min: int = Field(default=10, ge=0, le=60)
    """By how much the pulse rate may differ within that time, in beats per minute."""
    select_format: bool = False
    """Tells the oximeter, at each connection, to use `data_format`, which it keeps. Nothing is sent otherwise."""
    read_clock: bool = False
    """Asks the oximeter for its time at each connection, so that format 13's times can be corrected by it."""

    @model_validator(mode="after")
    def _names_what_to_select(self) -> Self:
        if self.select_format and self.data_format not in _SELECTABLE:
            raise ValueError(f"select_format needs the data_format to select: {', '.join(_SELECTABLE)}")
        return self


async def session(link: ByteLink, outlet: Outlet, options: NoninOptions) -> None:
    """Reads until the link ends."""
    if options.select_format:
        await link.write(bytes((0x02, 0x70, 0x02, 0x02, int(options.data_format), 0x03)))
    if options.read_clock:
        await link.write(_GET_TIME)
    codec, act = Codec(options.data_format), _Act(options)
    has_low_battery = False
    while True:
        for item in codec.feed(await link.read()):
            if isinstance(item, Noise):
                outlet.note(item)
                act.disturbed()
                continue
            _note_facts(outlet, item)
            if item.group:
                has_low_battery = _note_battery(outlet, item.group[0], has_low_battery)
                await _report(outlet, act, item)


async def _report(outlet: Outlet, act: _Act, frame: Frame) -> None:
    if isinstance(frame, SpotCheck):
        await outlet.emit(*frame.group)
        return
    per_s = _PACKETS_PER_S if isinstance(frame, Sample) else 1
    reading = act.next(frame.group[0], per_s)
    if isinstance(reading, InProgress):
        outlet.note(reading)
    elif reading is not None:
        await outlet.emit(reading)


def _note_facts(outlet: Outlet, frame: Frame) -> None:
    if isinstance(frame, SpotCheck | Control) and frame.serial is not None:
        outlet.note(DeviceIdentity(manufacturer="Nonin", serial=frame.serial))
    if isinstance(frame, Control) and frame.name == "time" and frame.time is not None:
        outlet.note(DeviceClock(frame.time))


def _note_battery(outlet: Outlet, observation: Observation, was_low: bool) -> bool:
    is_low = Status.LOW_BATTERY in observation.status
    if is_low != was_low:
        outlet.note(Battery(low=is_low))
    return is_low


class _State(Enum):
    OFF = auto()  # no finger
    SETTLING = auto()
    DONE = auto()  # read; waiting for the finger to go


class _Act:
    """One finger in the sensor: from the first value to its removal."""

    def __init__(self, options: NoninOptions) -> None:
        self._options = options
        self._state = _State.OFF
        self._steady: deque[Observation] = deque()

    def disturbed(self) -> None:
        """Bytes were lost: what came before proves nothing about what comes next."""
        self._steady.clear()

    def next(self, observation: Observation, per_s: int) -> Observation | InProgress | None:
        """The reading, when this observation completes it; InProgress with the first value of a finger."""
        if observation.status & _OFF or _numbers(observation) is None:
            self._state = _State.OFF
            self._steady.clear()
            return None
        if self._state is _State.OFF:
            self._state = _State.SETTLING
            self._keep(observation, per_s)
            return InProgress()
        if self._state is _State.SETTLING:
            self._keep(observation, per_s)
            if self._is_steady(per_s):
                self._state = _State.DONE
                return self._reading()
        return None

    def _keep(self, observation: Observation, per_s: int) -> None:
        if observation.status & _UNSTEADY:
            self._steady.clear()
            return
        self._steady.append(observation)
        if len(self._steady) > self._needed(per_s):
            self._steady.popleft()

    def _needed(self, per_s: int) -> int:
        return math.ceil(self._options.steady_s * per_s)

    def _is_steady(self, per_s: int) -> bool:
        if len(self._steady) < self._needed(per_s):
            return False
        numbers = [pair for o in self._steady if (pair := _numbers(o))]
        spo2, pulse = [pair[0] for pair in numbers], [pair[1] for pair in numbers]
        options = self._options
        return (
            max(spo2) - min(spo2) <= options.steady_spread_spo2
            and max(pulse) - min(pulse) <= options.steady_spread_pulse_per_min
        )

    def _reading(self) -> Observation:
        """The commonest value as last sent, with what was said of the signal while it held still."""
        passing = frozenset().union(*(o.status & _PASSING for o in self._steady))
        latest = list(reversed(self._steady))
        commonest = Counter(map(_numbers, latest)).most_common(1)[0][0]
        chosen = next(o for o in latest if _numbers(o) == commonest)
        return replace(chosen, status=chosen.status | passing)


def _numbers(observation: Observation) -> tuple[int, int] | None:
    """SpO2 and pulse rate; None unless both are there."""
    values = {value.name: value.value for value in observation.values}
    spo2, pulse = values[Name.SPO2], values[Name.PULSE_RATE]
    return None if spo2 is None or pulse is None else (int(spo2), int(pulse))
