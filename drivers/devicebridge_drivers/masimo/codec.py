"""Reads Masimo's ASCII 1 lines, one a second, and the lines of its trend download.

Sources: Masimo Rad-8 Operator's Manual p. 4-24 (trend lines, exception bits) and p. 7-3 (9600 8N1); MD PnP project,
poxrad_discrete.h (ASCII 1 lines of Radical-7 and Rad-5, alarm bits, the exceptions above 800); captures of a Rad-8 in
yahnatan/pulseox and remkolems/masimo-datacapture. There is no checksum, but every field has its fixed width: a line in
which a character is missing is not believed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from devicebridge.sdk import Absent, Frame, Kind, Name, Noise, Observation, Origin, Status, Unit, Value, Why
from devicebridge.sdk.framer import Framer

LINE_BYTES = 400  # twice the longest line known (Radical-7 with all parameters)

_HEAD = re.compile(r"(\d\d)[/\\](\d\d)[/\\](\d\d) (\d\d):(\d\d):(\d\d) +(.*)")
_DASHES = re.compile(r"[-+.%]+")  # not available
_NUMBERS = (  # with what a Masimo can display (Rad-8 Operator's Manual, specifications)
    (Name.SPO2, Unit.PERCENT, ("SPO2",), re.compile(r"(\d{3})%?"), range(101)),
    (Name.PULSE_RATE, Unit.PER_MINUTE, ("BPM", "PR"), re.compile(r"(\d{3})"), range(25, 241)),
    (Name.PERFUSION_INDEX, Unit.PERCENT, ("PI",), re.compile(r"(\d\d\.\d\d)%?"), range(21)),
)
_EXCEPTIONS = re.compile(r"([0-9A-F]{3,8})(:[A-Za-z,]*)?")
_ALARMS = re.compile(r"[0-9A-F]{2,8}")
_SERIAL = re.compile(r"[0-9A-Z]{1,16}")
_EXCEPTION_DIGITS = {2: 3, 4: 6, 6: 7}  # by the number of alarm digits: Rad-5; Rad-8 and Radical-7; Radical-7 in colour
_OWN_KEYS = frozenset({"SN", "SPO2", "BPM", "PR", "PI", "ALARM", "EXC"})

_ALARM_LOW_BATTERY = 0x40
_STATUS = {
    0x000001: Status.SENSOR_DISCONNECTED,  # no sensor
    0x000002: Status.SENSOR_FAULT,  # defective sensor
    0x000004: Status.LOW_PERFUSION,
    0x000008: Status.SIGNAL_ANALYSIS_ONGOING,  # pulse search
    0x000010: Status.SENSOR_INTERFERENCE,
    0x000020: Status.SENSOR_OFF,
    0x000040: Status.AMBIENT_LIGHT,
    0x000080: Status.SENSOR_FAULT,  # unrecognized sensor
    0x000100: Status.SENSOR_FAULT,  # incompatible sensor
    0x000400: Status.POOR_SIGNAL,  # low signal IQ
    0x001000: Status.SENSOR_DISCONNECTED,  # no cable
    0x004000: Status.SENSOR_FAULT,  # incompatible, unrecognized, defective cable
    0x008000: Status.SENSOR_FAULT,
    0x010000: Status.SENSOR_FAULT,
    0x020000: Status.CALIBRATION_ONGOING,
    0x100000: Status.SENSOR_FAULT,  # sensor current limit exceeded
}
_UNUSABLE = frozenset({Status.SENSOR_OFF, Status.SENSOR_DISCONNECTED, Status.SENSOR_FAULT, Status.CALIBRATION_ONGOING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line(Frame):
    """One second, or two of a trend. `others`: what else stands in the line, as KEY=VALUE, unread."""

    time: datetime | None
    serial: str | None
    alarms: int
    exceptions: int
    is_trend: bool
    others: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blank(Frame):
    """A line end, or a NUL, with nothing before it."""


def codec() -> Framer:
    """A devicebridge Codec."""
    return Framer(_recognise, LINE_BYTES)


def _recognise(data: bytes, ended: bool) -> Frame | Noise | None:
    if data[:1] in b"\r\n\0":  # a Radical-7 may begin its line with NULs
        return Blank(raw=data[:1])
    size = data.find(b"\n") + 1
    if not size and not ended:
        return None if len(data) < LINE_BYTES else Noise(data, Why.TOO_LONG)
    raw = data[:size] if size else data
    found = _line(raw)
    return Noise(raw, found if size else Why.INCOMPLETE) if isinstance(found, Why) else found


def _line(raw: bytes) -> Line | Why:
    """A line without its end is whole only if all its widths are."""
    head = _HEAD.fullmatch(raw.decode("latin-1").rstrip("\r\n "))
    if head is None:
        return Why.UNSYNCHRONISED
    month, day, year, hour, minute, second = map(int, head.groups()[:6])
    fields = _fields(head[7])
    if fields is None:
        return Why.BAD_FIELD
    try:
        time = datetime(2000 + year, month, day, hour, minute, second)
    except ValueError:
        time = None
    return _read(raw, time, fields) or Why.BAD_FIELD


def _fields(text: str) -> Mapping[str, str] | None:
    """KEY=VALUE by key; None where a key stands twice."""
    pairs = [token.partition("=")[::2] for token in text.upper().split() if "=" in token]
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None


def _read(raw: bytes, time: datetime | None, fields: Mapping[str, str]) -> Line | None:
    is_trend = "PR" in fields
    exceptions = _EXCEPTIONS.fullmatch(fields.get("EXC", ""))
    alarms = _ALARMS.fullmatch(fields.get("ALARM", "00" if is_trend else "0000"))
    if not exceptions or not alarms or _EXCEPTION_DIGITS.get(len(alarms[0]), len(exceptions[1])) != len(exceptions[1]):
        return None
    status = _status(int(exceptions[1], 16), int(alarms[0], 16), is_dated=time is not None)
    values = _values(fields, is_usable=not status & _UNUSABLE)
    if values is None:
        return None
    observation = Observation(
        kind=Kind.PULSE_OXIMETRY,
        values=values,
        raw=raw,
        device_time=time,
        origin=Origin.STORED if is_trend else Origin.LIVE,
        status=status,
    )
    return Line(
        raw=raw,
        group=(observation,),
        time=time,
        serial=serial[0] if (serial := _SERIAL.fullmatch(fields.get("SN", ""))) else None,
        alarms=int(alarms[0], 16),
        exceptions=int(exceptions[1], 16),
        is_trend=is_trend,
        others={key: value for key, value in fields.items() if key not in _OWN_KEYS},
    )


def _status(exceptions: int, alarms: int, *, is_dated: bool) -> frozenset[Status]:
    status = {word for mask, word in _STATUS.items() if exceptions & mask}
    if alarms & _ALARM_LOW_BATTERY:
        status.add(Status.LOW_BATTERY)
    if not is_dated:
        status.add(Status.CLOCK_UNSET)
    return frozenset(status)


def _values(fields: Mapping[str, str], *, is_usable: bool) -> tuple[Value, ...] | None:
    """None where a number is missing, or not written as it should be. Without a sensor no PI is sent."""
    values = []
    for name, unit, keys, pattern, possible in _NUMBERS:
        text = next((fields[key] for key in keys if key in fields), None)
        if text is None and name is Name.PERFUSION_INDEX:
            continue
        match = pattern.fullmatch(text or "")
        if match is None and not _DASHES.fullmatch(text or ""):
            return None
        number = Decimal(match[1]) if match else Decimal(0)
        absent = Absent.UNKNOWN if not number or not is_usable else None  # zero: no value (manual p. 4-24)
        if absent is None and int(number) not in possible:
            absent = Absent.ERROR
        values.append(Value(name, unit, None if absent else number, absent))
    return tuple(values)
