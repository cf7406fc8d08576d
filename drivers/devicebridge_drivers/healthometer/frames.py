"""What a packet of a Health o meter scale says.

Sources: Pelstar, "Health o meter Professional Communication Protocols", rev. 2023-07-11 (packets p. 4 on, binary frames
pp. 14 and 16); "Pro Plus 1100KL Operation Manual", pp. 33-35 (the table of ESC characters); for the weight that stands
for an overload Rice Lake, "160-10-7N", 5.2.1, and "140-10-7 Series", 8.3, which have the same packets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from devicebridge.sdk import Absent, Frame, Kind, Name, Noise, Observation, Origin, Status, Unit, Value, Why

OVERLOADS = (Decimal("999.9"), Decimal("999.99"))
"""What is sent in place of a weight beyond the scale's range, above or below."""

_UNITS = {"c": (Unit.POUND, Unit.INCH), "m": (Unit.KG, Unit.CENTIMETRE)}  # constitutional, metric
_BINARY_UNITS = {0x80: Unit.POUND, 0x82: Unit.KG}
_NUMBER = re.compile(r"[+-]?\d{1,4}(?:\.\d{1,3})?")
_DIGIT = re.compile(r"\d")
_FAILURES = frozenset({Status.OVERLOAD, Status.DEVICE_ERROR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing(Frame):
    """One packet. Numbers as sent, zeros included; None where there is none. No group where the scale is empty.

    copies: how often the scale sends each of its values. The patient id a packet may hold is in `raw` only: it was
    typed in on the scale, and is nobody's word for who stands on it.
    """

    weight: Decimal | None
    weight_unit: Unit
    height: Decimal | None = None
    bmi: Decimal | None = None
    tare: Decimal | None = None
    copies: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Control(Frame):
    """A command of the host, or a reply that is no weighing. letters: its ESC characters, in order."""

    letters: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineEnd(Frame):
    """A CR or LF between packets."""


def packet(raw: bytes, fields: list[tuple[str, str]]) -> Weighing | Control | Noise:
    """A whole ESC packet: its fields, without the end of packet."""
    named = {letter: text.strip() for letter, text in fields}
    if len(named) < len(fields):
        return Noise(raw, Why.BAD_FIELD)
    if fields[0][0] != "R" or "W" not in named:
        return Control(raw=raw, letters="".join(letter for letter, _ in fields))
    units = _UNITS.get(named.get("N", ""))
    if units is None or _is_damaged(named["W"]):
        return Noise(raw, Why.BAD_FIELD)
    weight, height, bmi, tare = (_number(named.get(letter, "")) for letter in "WHBT")
    status = _status(named["W"], weight, tare)
    beside = _beside(Name.BMI, Unit.KG_PER_M2, named.get("B", ""), bmi)
    heights = _beside(Name.HEIGHT, units[1], named.get("H", ""), height)
    weighed = _weighed(weight, units[0], beside, status, raw)
    group = (*weighed, *(Observation(kind=Kind.HEIGHT, values=(value,), raw=raw) for value in heights if weighed))
    if "D" in named:
        group = tuple(replace(o, origin=Origin.STORED, record=named["D"] or None) for o in group)
    return Weighing(raw=raw, weight=weight, weight_unit=units[0], height=height, bmi=bmi, tare=tare, group=group)


def binary(raw: bytes) -> Weighing | Noise:
    """A frame of the 2595KL and the baby scales: start, unit, two fixed bytes, the weight in ASCII, CR."""
    text = raw[4:-1].decode("ascii").strip()
    if _is_damaged(text):
        return Noise(raw, Why.BAD_FIELD)
    unit, weight = _BINARY_UNITS[raw[1]], _number(text)
    group = _weighed(weight, unit, (), _status(text, weight, None), raw)
    return Weighing(raw=raw, weight=weight, weight_unit=unit, copies=2, group=group)


def _weighed(
    weight: Decimal | None, unit: Unit, beside: tuple[Value, ...], status: frozenset[Status], raw: bytes
) -> tuple[Observation, ...]:
    """The weight, or the reason why there is none; nothing where nothing is on the scale."""
    if status & _FAILURES:
        values: tuple[Value, ...] = (Value(Name.WEIGHT, unit, absent=Absent.ERROR),)
    elif weight is None or weight <= 0:
        return ()
    else:
        values = (Value(Name.WEIGHT, unit, weight), *beside)
    return (Observation(kind=Kind.WEIGHT, values=values, raw=raw, status=status),)


def _beside(name: Name, unit: Unit, text: str, number: Decimal | None) -> tuple[Value, ...]:
    """Zero means that it was not measured; what is no number (old firmware sends garbage) is an error."""
    if text and number is None:
        return (Value(name, unit, absent=Absent.ERROR),)
    return (Value(name, unit, number),) if number and number > 0 else ()


def _status(text: str, weight: Decimal | None, tare: Decimal | None) -> frozenset[Status]:
    status = set()
    if text and weight is None:
        status.add(Status.DEVICE_ERROR)
    if weight in OVERLOADS:
        status.add(Status.OVERLOAD)
    if tare:
        status.add(Status.TARED)
    return frozenset(status)


def _is_damaged(text: str) -> bool:
    """It has digits, and is no number: not a word of the scale's."""
    return _number(text) is None and _DIGIT.search(text) is not None


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None
