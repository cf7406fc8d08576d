"""What the frames of Viatom's devices say, whoever sent them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from devicebridge.sdk import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Frame):
    """What a host sends. number: that by which Lepu's answers are known."""

    command: int
    meaning: str | None = None
    seq: int | None = None
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Frame):
    """An answer that says nothing of interest. seq, command: None of a ring's."""

    command: int | None = None
    seq: int | None = None
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(Frame):
    """code: a ring's status, or the direction byte."""

    command: int | None = None
    seq: int | None = None
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensors(Frame):
    """One moment of a ring; its group is the one observation. charging: 0 no, 1 yes, 2 full."""

    seq: int | None = None
    worn: bool
    calibrating: bool
    battery: int
    charging: int | None = None
    motion: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Info(Frame):
    """What a device says it is. battery in percent; None for what it does not say."""

    seq: int | None = None
    model: str | None
    serial: str | None
    firmware: str | None = None
    battery: int | None = None
    now: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Frame):
    """What a cuff is doing. active_user_id: a number of the maker's cloud."""

    seq: int | None = None
    state: int
    meaning: str | None
    active_user_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryLevel(Frame):
    """percent: None where the device tells a level of 0 to 3 or a voltage only."""

    seq: int | None = None
    percent: int | None = None
    level: int | None = None
    voltage_mv: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CuffProgress(Frame):
    """Cuff pressure during a measurement: never a blood pressure."""

    state: int
    meaning: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CuffResult(Frame):
    """The result that a cuff shows, or showed last; its group is the one observation."""

    state: int
    meaning: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace(Frame):
    """What an EKG device has kept since it was asked before. Its wave counts from 0: the device does not count.

    is_on: it measures, with electrodes on. The heart rate is the device's own, 0 for none.
    """

    seq: int | None = None
    is_on: bool
    state: int
    heart_rate_per_min: int
    battery: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Files(Frame):
    seq: int | None = None
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOpened(Frame):
    seq: int | None = None
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart(Frame):
    seq: int | None = None
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Frame):
    """A record of a cuff's memory; its group is the one observation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipValues(Frame):
    """One second of a clip; its group is the one observation. battery: 0 to 3."""

    battery: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipWave(Frame):
    """Five samples of the pulse wave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipWorking(Frame):
    """mode: 1 spot check, 2 continuous, 3 menu. The result of a spot check (step 3) is the one observation."""

    mode: int
    step: int
    first: int
    second: int
