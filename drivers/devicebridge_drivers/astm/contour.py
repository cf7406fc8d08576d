"""Results of the Contour family of glucose meters, whose records are laid out in two ways of their own.

USB meters put markers in R-7 ("B/M0/T1") and the time in R-9; meters with a serial cable flags in R-7, the user's mark
in R-8, "E" for a control test in R-9 and the time in R-12. HI and LO come as the first number beyond the range with
">" or "<" beside it: 601 where 600 is the highest, which the header's V tells.

Sources: tidepool-org/uploader, lib/drivers/bayer/bayerContourNext.js (USB) and bayerContour.js (serial), and pull
request 123 for 601; glucometers-tech/glucometerutils, drivers/contourusb.py and support/contourusb.py; andyrozman/ggc,
AscensiaDecoder.java (marker letters, Z1 to ZC); bewest/glucodump, glucodump/test/test_contourusb.py (an order record
with action code Q is a control's); drougas/contourpp, src/contourpp_driver.cpp (reference methods, Carb and Insulin).
"""

from __future__ import annotations

import re
from decimal import Decimal

from devicebridge.sdk import Absent, Comparator, Context, Kind, Name, Observation, Origin, Status, Unit, Value

from .records import Record
from .results import UNITS, Message, analyte_code, number, stamp, unusual

_NAMES = {
    "glucose": (Kind.GLUCOSE, Name.GLUCOSE, Unit.MG_PER_DL),
    "ketone": (Kind.GLUCOSE, Name.KETONE, Unit.MMOL_PER_L),
}
_DIARY = frozenset({"carb", "insulin"})  # what the user typed in
_METHODS = {  # to which the result refers
    "P": Context.PLASMA,
    "B": Context.WHOLE_BLOOD,
    "C": Context.CAPILLARY_WHOLE_BLOOD,
    "D": Context.WHOLE_BLOOD,  # deproteinized
}
_MEALS = {"B": Context.BEFORE_MEAL, "A": Context.AFTER_MEAL, "F": Context.FASTING}
_AFTER_MEAL = re.compile(r"Z[1-9A-C]")  # a quarter of an hour to three hours after a meal
_BOUNDS = {">": Comparator.ABOVE, "<": Comparator.BELOW}
_OUT_OF_RANGE = {  # where the number is missing beside the flag
    Comparator.ABOVE: (Absent.POSITIVE_INFINITY, Status.RESULT_ABOVE_RANGE),
    Comparator.BELOW: (Absent.NEGATIVE_INFINITY, Status.RESULT_BELOW_RANGE),
}
_CONTROL = "C"
_UNSAID = frozenset({"", "D", "I", "S", "X", "N", *_BOUNDS})  # diary marks: not right, sick, stress, activity, none
_SETTINGS = re.compile(r"[MT]\d")
_SERIAL_CONTROL, _SERIAL_TEMPERATURE = "E", "T"
_AVERAGE = "1"
_DIGITS = re.compile(r"\d{8,14}", re.ASCII)
_USB_FIELDS = 9


def is_meters(record: Record, message: Message) -> bool:
    """Whether the result is of a meter: by the header, or by a reference method behind the unit or a diary entry."""
    if message.header.is_meter:
        return True
    code = analyte_code(record).casefold()
    return (code in _NAMES and record.component(5, 2) in _METHODS) or (code in _DIARY and _has_usb_time(record))


def observation(record: Record, message: Message) -> Observation | None:
    """A measurement from the meter's memory; None for a diary entry, and for the average of them all.

    A meter with a serial cable sends the average as its first result, in the form of a measurement.
    """
    found = _NAMES.get(analyte_code(record).casefold())
    if found is None or _is_average(record, message):
        return None
    kind, name, usual_unit = found
    is_usb = _has_usb_time(record) or len(record.fields) <= _USB_FIELDS
    flags, meal, status = _usb_markers(record) if is_usb else _serial_marks(record)
    time, clock = stamp(record, 9 if is_usb else 12)
    value, trouble = _value(record, name, usual_unit, flags, message.limits_mg_dl)
    method = _METHODS.get(record.component(5, 2))
    return Observation(
        kind=kind,
        values=(value,),
        raw=record.raw,
        device_time=time,
        record=None if time else record.field(2)[:20] or None,  # a place in a list that shifts: better than nothing
        origin=Origin.STORED,
        status=status | clock | trouble | message.status | unusual(record),
        context=meal | ({method} if method else set()),
    )


def _is_average(record: Record, message: Message) -> bool:
    is_first = record.field(2) == _AVERAGE and not _has_usb_time(record)
    return is_first and (message.header.is_meter or not record.field(12))


def _has_usb_time(record: Record) -> bool:
    """Digits where a USB meter puts the time, be they a time or not."""
    return bool(_DIGITS.fullmatch(record.field(9)))


_Marks = tuple[frozenset[Comparator], frozenset[Context], frozenset[Status]]


def _usb_markers(record: Record) -> _Marks:
    markers = [marker.strip() for marker in record.field(7).split("/")]
    flags = frozenset(_BOUNDS[marker] for marker in markers if marker in _BOUNDS)
    meal = {_MEALS[marker] for marker in markers if marker in _MEALS}
    meal |= {Context.AFTER_MEAL for marker in markers if _AFTER_MEAL.fullmatch(marker)}
    status = {Status.CONTROL_SOLUTION for marker in markers if marker == _CONTROL}
    known = {*_UNSAID, *_MEALS, _CONTROL}
    for marker in markers:
        if marker not in known and not _SETTINGS.fullmatch(marker) and not _AFTER_MEAL.fullmatch(marker):
            status.add(Status.UNEXPECTED_FORMAT)
    return flags, frozenset(meal), frozenset(status)


def _serial_marks(record: Record) -> _Marks:
    flags = frozenset(_BOUNDS[flag] for flag in record.repeats(7) if flag in _BOUNDS)
    meal = frozenset({_MEALS[mark] for mark in record.repeats(8) if mark in _MEALS})
    status = {Status.CONTROL_SOLUTION for state in record.repeats(9) if state == _SERIAL_CONTROL}
    status |= {Status.QUESTIONABLE_MEASUREMENT for flag in record.repeats(7) if flag == _SERIAL_TEMPERATURE}
    return flags, meal, frozenset(status)


def _value(
    record: Record,
    name: Name,
    usual_unit: Unit,
    flags: frozenset[Comparator],
    limits_mg_dl: tuple[Decimal, Decimal] | None,
) -> tuple[Value, frozenset[Status]]:
    unit = UNITS.get(record.component(5, 1).casefold())
    found = number(record.field(4), flags)
    if found is not None and unit in (Unit.MMOL_PER_L, usual_unit):
        shown, bound = found
        if bound is None:
            return Value(name, unit, shown), frozenset()
        if record.field(4)[0] not in _BOUNDS:
            shown = _limit(shown, bound, limits_mg_dl if unit is Unit.MG_PER_DL else None)
        return Value(name, unit, shown, comparator=bound), frozenset({_OUT_OF_RANGE[bound][1]})
    absent, why = (Absent.ERROR, Status.UNEXPECTED_FORMAT)
    if not record.field(4) and len(flags) == 1:
        absent, why = _OUT_OF_RANGE[next(iter(flags))]
    return Value(name, usual_unit, absent=absent), frozenset({why})


def _limit(shown: Decimal, bound: Comparator, limits: tuple[Decimal, Decimal] | None) -> Decimal:
    """The end of the range that the number shown lies beyond; where the header tells none, one step back from it."""
    step = Decimal(1).scaleb(int(shown.as_tuple().exponent))
    if bound is Comparator.ABOVE:
        return limits[1] if limits and shown >= limits[1] else shown - step
    return limits[0] if limits and shown <= limits[0] else shown + step
