"""What Contec's frames say.

A second of a recording (`Stored`) says what the finger had then, so that `devicebridge decode` can show a download. It
is no spot check: a recording runs for hours, often over a night, of whoever wore the device, and to chart one of its
seconds, or a mean or a lowest value that the device did not state, would be a reading of our own making. The session
makes none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from functools import lru_cache

from devicebridge.sdk import Absent, Frame, Kind, Name, Observation, Origin, Status, Unit, Value, Why

NO_SPO2 = frozenset({0, 127})
NO_PULSE = frozenset({0, 255})
SPO2_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Live(Frame):
    """A sixtieth of a second. The numbers as sent; `perfusion` is 65535 in models that do not measure it."""

    signal: int
    pleth: int
    bargraph: int
    pulse: int
    spo2: int
    perfusion: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(Frame):
    """One second of the short frames. The numbers as sent; `perfusion` is 127 in models that do not measure it."""

    pulse: int
    spo2: int
    perfusion: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave(Frame):
    """A sixtieth of a second of the short frames."""

    pleth: int
    bargraph: int
    finger: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Frame):
    """One second of a recording, or three: (SpO2, pulse rate) as sent."""

    seconds: tuple[tuple[int, int], ...]
    perfusion: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header(Frame):
    """Begins a download of the older protocol. hour, minute: of the beginning; both 0 in devices without a clock."""

    hour: int
    minute: int
    seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording(Frame):
    """What is known of one recording: a part of it in each frame."""

    user: int
    segment: int
    start_date: date | None = None
    start_time: time | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Frame):
    """Six characters of the model's name; the first have index 0."""

    index: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Frame):
    """Anything else the device says. `data` is unpacked."""

    name: str
    data: bytes
    command: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Frame):
    """What a host says: seen where a line echoes, or in a recording of both directions."""

    name: str
    data: bytes = b""


def observation(
    raw: bytes,
    spo2: int,
    pulse: int,
    status: frozenset[Status] = frozenset(),
    *,
    is_usable: bool = True,
    origin: Origin = Origin.LIVE,
) -> Observation:
    """Codes for a missing number are absent, and so is everything that was not measured."""
    return Observation(
        kind=Kind.PULSE_OXIMETRY,
        values=(
            _value(Name.SPO2, Unit.PERCENT, spo2, spo2 in NO_SPO2 or not is_usable),
            _value(Name.PULSE_RATE, Unit.PER_MINUTE, pulse, pulse in NO_PULSE or not is_usable),
        ),
        raw=raw,
        origin=origin,
        status=status,
    )


def stored(raw: bytes, seconds: tuple[tuple[int, int], ...], perfusion: int | None = None) -> Stored:
    group = tuple(observation(raw, spo2, pulse, origin=Origin.STORED) for spo2, pulse in seconds)
    return Stored(raw=raw, group=group, seconds=seconds, perfusion=perfusion)


def spoken(data: bytes, commands: Mapping[bytes, str]) -> Command | Why | None:
    """The command that `data` begins with; None while it may become one."""
    for raw, name in commands.items():
        if data.startswith(raw):
            return Command(raw=raw, name=name)
    return None if any(raw.startswith(data) for raw in commands) else Why.UNSYNCHRONISED


@lru_cache(1024)  # a stream says the same again and again
def _value(name: Name, unit: Unit, number: int, is_missing: bool) -> Value:
    if is_missing:
        return Value(name, unit, absent=Absent.UNKNOWN)
    if name is Name.SPO2 and number > SPO2_MAX:
        return Value(name, unit, absent=Absent.ERROR)
    return Value(name, unit, Decimal(number))
