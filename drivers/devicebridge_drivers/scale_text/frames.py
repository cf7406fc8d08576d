"""What these scales say, in frames, and the observations that all their formats are put into."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zlib import crc32

from devicebridge.sdk import Absent, Frame, Kind, Name, Observation, Status, Unit, Value

UNITS = {"lb": Unit.POUND, "kg": Unit.KG, "ft": Unit.INCH, "in": Unit.INCH, "cm": Unit.CENTIMETRE}
_INCHES = 12
_KG = {Unit.KG: Decimal(1), Unit.POUND: Decimal("0.45359237")}
_METRES = {Unit.INCH: Decimal("0.0254"), Unit.CENTIMETRE: Decimal("0.01")}
_BMI_TOLERANCE = Decimal("0.1")  # Detecto's own example is 8 % off; a lost digit changes a number by half, or more
_FEET_AND_INCHES = re.compile(r"(\d)[-'](\d{2}\.\d)(?:\"|'')?")  # two digits: 5'1.1" may have been 5'01.1" or 5'11.1"
_NUMBER = re.compile(r"[+-]?\d{1,5}(?:\.\d{1,3})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed(Frame):
    """A finished weighing, printed once: each is a reading. `model` and `serial` where the scale says them."""

    model: str | None = None
    serial: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line(Frame):
    """A line of a print that has several; the last one is a `Printed`. text: its number or numbers, as sent."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed(Frame):
    """One value of a scale that sends all the time (SMA). No group where the scale is empty."""

    weight: Decimal | None
    weight_unit: Unit | None
    is_moving: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Frame):
    """What a host sends to be told the weight."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineEnd(Frame):
    """A CR or LF that belongs to nothing."""


def number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def inches(text: str) -> Decimal | None:
    """Feet and inches, as 5'03.0" or 6-01.0."""
    found = _FEET_AND_INCHES.fullmatch(text)
    return int(found[1]) * _INCHES + Decimal(found[2]) if found and Decimal(found[2]) < _INCHES else None


def weighed(
    raw: bytes,
    weight: Decimal | None,
    unit: Unit,
    *,
    height: Value | None = None,
    bmi: str = "",
    status: frozenset[Status] = frozenset(),
    device_time: datetime | None = None,
) -> tuple[Observation, ...]:
    """One print. A weight of nothing, or less, is none: somebody pressed the key, and is told so.

    Its clock knows minutes only: two patients of one height within a minute are told apart by their whole prints.
    """
    record = f"{crc32(raw):08x}" if device_time else None
    has_weight = weight is not None and weight > 0
    value = Value(Name.WEIGHT, unit, weight if has_weight else None, None if has_weight else Absent.ERROR)
    beside = beside_value(Name.BMI, Unit.KG_PER_M2, bmi, number(bmi)) if has_weight else None
    first = Observation(
        kind=Kind.WEIGHT,
        values=(value, beside) if beside else (value,),
        raw=raw,
        status=status,
        device_time=device_time,
        record=record,
    )
    if height is None:
        return (first,)
    return first, Observation(kind=Kind.HEIGHT, values=(height,), raw=raw, device_time=device_time, record=record)


def agree(group: tuple[Observation, ...]) -> bool:
    """Whether the body-mass index is that of the weight and the height, or neither was measured."""
    values = {value.name: value for observation in group for value in observation.values}
    weight, height, bmi = (values.get(name) for name in (Name.WEIGHT, Name.HEIGHT, Name.BMI))
    if weight is None or weight.value is None or (height is None and bmi is None):
        return True
    if height is None or height.value is None or bmi is None or bmi.value is None:
        return False
    expected = weight.value * _KG[weight.unit] / (height.value * _METRES[height.unit]) ** 2
    return abs(bmi.value - expected) <= expected * _BMI_TOLERANCE


def beside_value(name: Name, unit: Unit, text: str, read: Decimal | None) -> Value | None:
    """Height or body-mass index: nothing, zero or dashes where it was not measured; else a number or an error."""
    if not text.strip(" -.0'\""):
        return None
    return Value(name, unit, read) if read is not None else Value(name, unit, absent=Absent.ERROR)
