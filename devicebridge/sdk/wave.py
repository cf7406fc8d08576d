"""Samples of a signal: the live trace that may be lossy, and the strip that is a reading.

Samples stay the integers the device sent. The time axis is the device's own sample index and its declared rate; a
sample that did not arrive, or that an electrode which was off could not give, is None for its real length.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from .values import Unit


class Lead(StrEnum):
    """Standard leads, and the channels of a device whose electrodes nobody has named.

    `devicebridge.readings` has their IEEE 11073-10101 codes.
    """

    I = "I"  # noqa: E741 - the lead's name
    II = "II"
    III = "III"
    AVR = "aVR"
    AVL = "aVL"
    AVF = "aVF"
    V1 = "V1"
    V2 = "V2"
    V3 = "V3"
    V4 = "V4"
    V5 = "V5"
    V6 = "V6"
    ECG = "ECG"
    """One channel whose placement is not a standard lead: a chest strap, two thumbs."""
    CH1 = "CH1"
    CH2 = "CH2"
    CH3 = "CH3"
    CH4 = "CH4"
    CH5 = "CH5"
    CH6 = "CH6"
    CH7 = "CH7"
    CH8 = "CH8"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveFormat:
    """What the samples mean: physical value = sample * scale + offset, in `unit` (uV or mV).

    rate_hz: as the device declares it. lowest, highest: what its converter can give; a sample there is saturated.
    filters: as the device, or its maker's document, states them; None where nothing is stated.
    """

    leads: tuple[Lead, ...]
    rate_hz: Decimal
    unit: Unit
    scale: Decimal
    lowest: int
    highest: int
    offset: Decimal = Decimal(0)
    filters: str | None = None

    def __post_init__(self) -> None:
        if not self.leads or len(set(self.leads)) != len(self.leads):
            raise ValueError("a wave has at least one lead, and each once")
        if not (self.rate_hz > 0 and self.scale.is_finite() and self.lowest < self.highest):
            raise ValueError("a wave has a rate, a scale and a range")


Row = tuple[int | None, ...]
"""One sample of each lead, in the order of `WaveFormat.leads`; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Consecutive samples.

    first_index: of the first row, counted by the device's own numbering from the beginning of the session, with the
        samples that were lost on the way: a jump from one wave to the next is a gap of that length.
    after_unknown_gap: before this, so much was lost that the device's numbering cannot say how much: nothing after it
        may be joined to what came before.
    leads_off: electrodes the device says have no contact now; their samples are None or as the device sent them.
    """

    format: WaveFormat
    first_index: int
    rows: tuple[Row, ...]
    after_unknown_gap: bool = False
    leads_off: frozenset[Lead] = frozenset()

    def __post_init__(self) -> None:
        if not self.rows or any(len(row) != len(self.format.leads) for row in self.rows):
            raise ValueError("a wave has at least one row, and each has one sample of each lead")


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A finished recording, in an Observation of kind ecg. Rows that were lost are rows of None."""

    format: WaveFormat
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        if not self.rows or any(len(row) != len(self.format.leads) for row in self.rows):
            raise ValueError("a strip has rows, and each has one sample of each lead")
