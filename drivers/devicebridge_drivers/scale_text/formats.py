"""The formats, one function each: a line's text and bytes to a frame, or why it is none.

Sources: Detecto 0044-0391-0M rev. A, p. 20 (solo) and 0044-M340-O1 rev. D, p. 41 (ProDoc, metric); Detecto
3300-0188-0M rev. L, p. 28, and Sartorius "PR 5220 Instrument Manual", EN-130 (SMA); Rice Lake 350-10 series manual, 4.1
(its examples have one space more than its format, and older manuals a minus too many); Tanita SC-240 manual p. 24,
SC-330 pp. 46-47, WB-3000 p. 10, HD-351BT pp. 4-5 (stones), BD-815U pp. 22-23 (grams, no checksum).

Where there is no checksum a lost digit would be another weight: there the widths of the manuals' examples are asked
for, and that weight, height and body-mass index, or gross, tare and net, go together.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, Observation, Status, Unit, Value, Why

from .frames import UNITS, Line, Printed, Request, Streamed, agree, beside_value, inches, number, weighed

_DETECTO = re.compile(r"([ \d]\d):(\d\d),(\d\d)/(\d\d)/(\d\d),([^,]*),([^,]*),( *-?\d{1,3}\.\d) *(lb|kg) *")
_DETECTO_BMI = re.compile(r"\d{1,2}\.\d|[-. ]*")
_DETECTO_ALONE = {"lb": 5, "kg": 4}  # characters of a weight that nothing confirms; many a patient has two digits of kg
_METRIC_HEIGHT = re.compile(r"(\d{1,3}\.\d) *(cm|in)")
_RICE_LAKE = re.compile(r"( *-?\d{1,6}(?:\.\d{1,3})?) (lb|kg) +(gross|net) *", re.IGNORECASE)
_RICE_LAKE_FIELD = 9  # characters: a line that was joined in its midst has fewer, and another weight
_PRINT = re.compile(r"(GROSS WEIGHT|TARE WEIGHT|NET WEIGHT|PATIENT HEIGHT|PATIENT BMI) +(\S+)(?: +(LB|KG|FT|CM|IN))? *")
_SMA = re.compile(r"([ ZOUEIT])(\d)([GNTgn])([M ])(.)(.{10})(lb|kg|   ) ?")
_SMA_FAILURES = {"O": Status.OVERLOAD, "E": Status.DEVICE_ERROR, "I": Status.DEVICE_ERROR, "T": Status.DEVICE_ERROR}
_REQUESTS = {"P": "print", "W": "weight"}

LINE_START = re.compile(rb"\{0,|[ \d]\d:\d\d,\d\d/\d\d/\d\d,")
"""What begins a line of Tanita's or Detecto's, and nothing else."""
_TANITA_START = b"{0,"
_TANITA_WEIGHTS = {"Wk": Unit.KG, "Wp": Unit.POUND, "Ws": Unit.POUND, "Wg": Unit.GRAM}
_TANITA_UNCHECKED = "BD-815"  # the one model whose manual shows no checksum
_TANITA_BABY = re.compile(r'\{0,16,~0,1,MO,"BD-815",Wg,\d{4,5}')  # below 1000 g: sooner a lost digit than a baby
_TANITA_TIME = re.compile(r"(\d\d)/(\d\d)/(\d{4}) (\d\d):(\d\d)")
_STONES = re.compile(r"(\d{1,2})\.(\d{2})\.(\d)")
_POUNDS = 14


def detecto(text: str, raw: bytes) -> Printed | Why | None:
    """Time, date, BMI, height, weight."""
    found = _DETECTO.fullmatch(text)
    if found is None:
        return None
    hour, minute, month, day, year, bmi, height, weight, unit = found.groups()
    time = _time(f"20{year}", month, day, hour, minute)
    group = weighed(
        raw,
        Decimal(weight.strip()),
        UNITS[unit],
        height=_detecto_height(height.strip()),
        bmi=bmi.strip(),
        status=frozenset() if time else frozenset({Status.CLOCK_UNSET}),
        device_time=time,
    )
    is_alone = len(group) == len(group[0].values) == 1 and group[0].values[0].value is not None
    if (is_alone and len(weight) < _DETECTO_ALONE[unit]) or not _DETECTO_BMI.fullmatch(bmi.strip()) or not agree(group):
        return Why.BAD_FIELD
    return Printed(raw=raw, group=group)


def rice_lake(text: str, raw: bytes) -> Printed | None:
    """Weight, unit, gross or net."""
    found = _RICE_LAKE.fullmatch(text)
    if found is None or len(found[1]) != _RICE_LAKE_FIELD:
        return None
    status = frozenset({Status.TARED} if found[3].lower() == "net" else ())
    return Printed(raw=raw, group=weighed(raw, Decimal(found[1].strip()), UNITS[found[2].lower()], status=status))


def rice_lake_line(text: str, raw: bytes) -> Line | None:
    """One of the five lines that are printed while the body-mass index is shown."""
    found = _PRINT.fullmatch(text)
    return Line(raw=raw, name=found[1].lower(), text=" ".join(filter(None, found.groups()[1:]))) if found else None


def rice_lake_print(lines: dict[str, Line]) -> tuple[Observation, ...]:
    """The five lines together; nothing where they contradict one another, or nothing confirms the weight."""
    raw = b"".join(line.raw for line in lines.values())
    unit = _words(lines, "net weight")[1]
    gross, tare, weight = (number(_words(lines, f"{name} weight")[0]) for name in ("gross", "tare", "net"))
    if weight is None or unit not in ("LB", "KG") or tare is None:
        return ()
    text, height_unit = _words(lines, "patient height")
    read = inches(text) if height_unit == "FT" else number(text)
    height = beside_value(Name.HEIGHT, UNITS[height_unit.lower()], text, read) if height_unit else None
    group = weighed(
        raw,
        weight,
        UNITS[unit.lower()],
        height=height,
        bmi=_words(lines, "patient bmi")[0],
        status=frozenset({Status.TARED} if tare else ()),
    )
    is_sum = abs(gross - tare - weight) <= 1 if gross is not None else len(group) > 1  # then the height confirms it
    return group if is_sum and agree(group) else ()


def sma(text: str, raw: bytes) -> Streamed | Why | None:
    """Status, range, gross or net, motion, a spare, ten characters of weight, unit."""
    found = _SMA.fullmatch(text)
    if found is None:
        return None
    state, mode, is_moving, field = found[1], found[3], found[4] == "M", found[6].strip()
    unit, weight = UNITS.get(found[7]), number(field)
    if (weight is None and field.strip("-")) or (weight is not None and unit is None):
        return Why.BAD_FIELD
    is_empty = state in "ZU" or mode == "T" or (state == " " and weight is not None and weight <= 0)
    marks = {Status.UNSTABLE: is_moving, Status.TARED: mode in "Nn", _SMA_FAILURES.get(state): state in _SMA_FAILURES}
    status = frozenset(mark for mark, is_set in marks.items() if mark and is_set)
    sent = weight if state == " " else None
    value = Value(Name.WEIGHT, unit or Unit.KG, sent, Absent.ERROR if sent is None else None)
    group = () if is_empty else (Observation(kind=Kind.WEIGHT, values=(value,), raw=raw, status=status),)
    return Streamed(raw=raw, weight=weight, weight_unit=unit, is_moving=is_moving, group=group)


def request(text: str, raw: bytes) -> Request | None:
    return Request(raw=raw, name=_REQUESTS[text]) if text in _REQUESTS else None


def tanita(text: str, raw: bytes) -> Printed | Why | None:
    """Keys and values, separated by commas; at the end the sum of all that stands before its key."""
    if not raw.startswith(_TANITA_START):
        return None
    words = [word.strip().strip('"').strip() for word in text.split(",")]
    fields = dict(zip(words[::2], words[1::2], strict=False))
    if len(words) % 2 or len(fields) < len(words) // 2:
        return Why.BAD_FIELD
    model = fields.get("MO")
    if "CS" in fields:
        before = raw[: raw.rindex(b"CS")]
        if words[-2] != "CS" or f"{sum(before) & 0xFF:02X}" != fields["CS"].upper():
            return Why.CHECKSUM
    elif model != _TANITA_UNCHECKED:
        return Why.INCOMPLETE
    elif not _TANITA_BABY.fullmatch(text):
        return Why.BAD_FIELD
    group = _tanita_group(fields, raw)
    return Printed(raw=raw, group=group, model=model, serial=fields.get("SN")) if group else Why.BAD_FIELD


def _tanita_group(fields: dict[str, str], raw: bytes) -> tuple[Observation, ...]:
    found = [(key, fields[key]) for key in _TANITA_WEIGHTS if key in fields]
    if len(found) != 1:
        return ()
    key, text = found[0]
    weight = _pounds(text) if key == "Ws" else number(text)
    if weight is None:
        return ()
    time = _tanita_time(fields)
    status = {Status.TARED} if number(fields.get("Pt", "")) else set()
    status |= {Status.CLOCK_UNSET} if "Da" in fields and time is None else set()
    return weighed(
        raw,
        weight,
        _TANITA_WEIGHTS[key],
        height=_tanita_height(fields),
        bmi=fields.get("MI", ""),
        status=frozenset(status),
        device_time=time,
    )


def _tanita_height(fields: dict[str, str]) -> Value | None:
    if "Hm" in fields:
        return beside_value(Name.HEIGHT, Unit.CENTIMETRE, fields["Hm"], number(fields["Hm"]))
    text = fields.get("Hf", "")  # the manuals do not show how it is written: 5.11 could be feet or feet and inches
    return beside_value(Name.HEIGHT, Unit.INCH, text, inches(text))


def _detecto_height(text: str) -> Value | None:
    metric = _METRIC_HEIGHT.fullmatch(text)
    if metric:
        return beside_value(Name.HEIGHT, UNITS[metric[2]], metric[1], number(metric[1]))
    return beside_value(Name.HEIGHT, Unit.INCH, text, inches(text))


def _words(lines: dict[str, Line], name: str) -> tuple[str, str]:
    """The number and the unit of a line; empty where it is missing."""
    found, _, unit = lines[name].text.partition(" ") if name in lines else ("", "", "")
    return found, unit


def _pounds(text: str) -> Decimal | None:
    """Stones and pounds: 12.05.5 is twelve stone five and a half."""
    found = _STONES.fullmatch(text)
    return int(found[1]) * _POUNDS + Decimal(f"{found[2]}.{found[3]}") if found else None


def _tanita_time(fields: dict[str, str]) -> datetime | None:
    found = _TANITA_TIME.fullmatch(f"{fields.get('Da')} {fields.get('TI')}")
    return _time(found[3], found[2], found[1], found[4], found[5]) if found else None


def _time(*parts: str) -> datetime | None:
    """Year, month, day, hour, minute; None where they make no time."""
    year, month, day, hour, minute = map(int, parts)
    try:
        return datetime(year, month, day, hour, minute)
    except ValueError:
        return None
