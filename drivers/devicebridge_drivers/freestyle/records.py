"""What a line of a meter's memory says.

`105  Nov  21 2026 14:28 G 0x00` (Optium, Precision Xtra), `105  Nov  21 2026 14:28 20 0x00` (Lite): value in mg/dL, HI
or LO; time; G for glucose, K for ketones, or two digits; flags. Ketones are stored as 18 times the mmol/L. Sources:
those of the manifest; the flags (1: control solution, 2: the time was lost), the limits and the 18 from
tidepool-org/uploader, abbottPrecisionXtra.js; that a ketone of 003 is shown as 0.2 mmol/L, and that its HI is above
8.0, from freestyle-optium.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from devicebridge.sdk import Absent, Comparator, Kind, Name, Observation, Origin, Status, Unit, Value

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTH = r"(?:(?:Jan|Feb|Mar|Apr|May|Aug|Sep|Oct|Nov|Dec) |June|July|Jun |Jul )"
DAY = rf"({MONTH}) (\d\d) (\d{{4}}) (\d\d):(\d\d)"
RECORD = re.compile(rf"(\d{{3}}|HI |LO )  {DAY} ([GK]|[0-9A-Fa-f]{{2}}) 0x([0-9A-Fa-f]{{2}})")

_WHEN = re.compile(DAY)

_CONTROL, _TIME_LOST = 0x01, 0x02
_GLUCOSE_LIMITS = {Comparator.BELOW: Decimal(20), Comparator.ABOVE: Decimal(500)}
_KETONE_LIMITS = {Comparator.ABOVE: Decimal("8.0")}
_KETONE_FACTOR, _KETONE_STEP = 18, Decimal("0.1")
NumberOf = Callable[[str], Decimal]
_OUT_OF_RANGE = {Comparator.ABOVE: Status.RESULT_ABOVE_RANGE, Comparator.BELOW: Status.RESULT_BELOW_RANGE}


def observation(found: re.Match[str], raw: bytes) -> Observation:
    """found: a match of RECORD."""
    result, kind, flags = found[1], found[7], int(found[8], 16)
    time = None if flags & _TIME_LOST else moment(found.groups()[1:6])
    value = _ketone(result) if kind == "K" else _glucose(result)
    status = {_OUT_OF_RANGE[value.comparator]} if value.comparator else set()
    if flags & _CONTROL:
        status.add(Status.CONTROL_SOLUTION)
    if flags & ~(_CONTROL | _TIME_LOST):
        status.add(Status.UNEXPECTED_FORMAT)
    if time is None:
        status.add(Status.CLOCK_UNSET)
    return Observation(
        kind=Kind.GLUCOSE,
        values=(value,),
        raw=raw,
        device_time=time,
        origin=Origin.STORED,
        status=frozenset(status),
    )


def unreadable(row: str, raw: bytes) -> Observation:
    """A row of a memory that is no RECORD: something was measured then."""
    found = _WHEN.search(row)
    return Observation(
        kind=Kind.GLUCOSE,
        values=(Value(Name.GLUCOSE, Unit.MG_PER_DL, absent=Absent.ERROR),),
        raw=raw,
        device_time=moment(found.groups()) if found else None,
        origin=Origin.STORED,
        status=frozenset({Status.UNEXPECTED_FORMAT}),
    )


def moment(words: tuple[str, ...]) -> datetime | None:
    """Month, day, year, hour, minute and, where there are, seconds; None where they make no time."""
    month, *rest = words
    day, year, hour, minute, second = map(int, (*rest, "0")[:5])
    try:
        return datetime(year, MONTHS.index(month[:3]) + 1, day, hour, minute, second)
    except ValueError:
        return None


def _glucose(result: str) -> Value:
    return _value(Name.GLUCOSE, Unit.MG_PER_DL, result, _GLUCOSE_LIMITS, Decimal)


def _ketone(result: str) -> Value:
    """As the meter shows it, to a tenth. There is no LO."""
    return _value(Name.KETONE, Unit.MMOL_PER_L, result, _KETONE_LIMITS, _shown_ketone)


def _shown_ketone(digits: str) -> Decimal:
    return (Decimal(digits) / _KETONE_FACTOR).quantize(_KETONE_STEP, ROUND_HALF_UP)


def _value(name: Name, unit: Unit, result: str, limits: dict[Comparator, Decimal], number_of: NumberOf) -> Value:
    comparator = {"HI ": Comparator.ABOVE, "LO ": Comparator.BELOW}.get(result)
    if comparator is None:
        number = number_of(result)
        if name is Name.GLUCOSE and number == 0:
            return Value(name, unit, absent=Absent.ERROR)
        if number > limits[Comparator.ABOVE]:
            comparator = Comparator.ABOVE
        elif number < limits.get(Comparator.BELOW, number):
            comparator = Comparator.BELOW
        else:
            return Value(name, unit, number)
    if comparator not in limits:
        return Value(name, unit, absent=Absent.ERROR)
    return Value(name, unit, limits[comparator], comparator=comparator)
