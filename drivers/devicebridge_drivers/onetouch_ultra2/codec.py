r"""OneTouch Ultra2 and Ultra: lines of text, each with the 16-bit sum of its characters.

Host: DC1 CR and a command, `\x11\rDM?`. Meter: a text, a space, four hexadecimal digits, CR LF. A record is
`P "SAT","03/21/15","16:45:24   ","  081 ","N","03", 00 09B6`: day, date (month first), time, value in mg/dL, meal and
comment (Ultra2 only). Sources: those of the manifest; glucometers-tech/glucometerutils, drivers/otultra2.py (fields and
comment codes as in LifeScan's specification); Doume/Glucometer, readers/OTUltra.java (the marks C, K, !, I and HIGH).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from devicebridge.sdk import (
    Absent,
    Comparator,
    Context,
    Frame,
    Kind,
    Name,
    Noise,
    Observation,
    Origin,
    Status,
    Unit,
    Value,
    Why,
)
from devicebridge.sdk.framer import Framer

LINE_MAX_BYTES = 96  # the longest line there is has 64
HIGHEST_MG_DL, LOWEST_MG_DL = 600, 20  # what the meters can show; beyond is HI or LO (tidepool-org/uploader, as above)

_DC1, _CR, _LF = 0x11, 0x0D, 0x0A
_COMMAND = re.compile(rb"\x11\r(DM(?:[?@FPZ]|[ST][ -~]*))\r*")  # only S and T are followed by words
_HEADS = tuple(b"\x11\rDM" + letter for letter in (b"?", b"@", b"F", b"P", b"Z", b"S", b"T"))
_SUMMED = re.compile(rb"([!-~][ -~]*) ([0-9A-F]{4})\r?\n?")
_TIME = rb'"[^",]{2,4}","(\d\d)/(\d\d)/(\d\d)","(\d\d):(\d\d):(\d\d) *"'
_RECORD = re.compile(rb"P " + _TIME + rb',"([^"]{6})"(?:,"([NBA])","(\d\d)")?, 00')
_TEXTS = {
    "count": re.compile(rb'P (\d{3}),"([0-9A-Z]{9})","(?:MG/DL |MMOL/L)"'),
    "serial": re.compile(rb'@ "([0-9A-Z]{9})"'),
    "clock": re.compile(rb"[FT] " + _TIME),
    "firmware": re.compile(rb"\?(P[ -~]+)"),
    "unit": re.compile(rb'SU\?,"(MG/DL |MMOL/L)"'),
    "setting": re.compile(rb"(S[ -~]*|T)"),
    "erased": re.compile(rb"(Z)"),
}
_RESULT = re.compile(r"([CKI!]?) *(?:(\d{3})|(HIGH|HI)|(LOW|LO))? *(\??)")
_MEALS = {"B": Context.BEFORE_MEAL, "A": Context.AFTER_MEAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Frame):
    """What the host says."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line(Frame):
    """A reply of one line; `text` is what it says."""

    name: str
    text: str
    serial: str | None = None
    count: int | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Frame):
    """One record of the memory. `comment`: LifeScan's code 00 to 11, None of an Ultra."""

    comment: str | None


def codec() -> Framer:
    return Framer(recognise, LINE_MAX_BYTES)


def recognise(data: bytes, ended: bool) -> Frame | Noise | Why | None:
    if data[0] == _DC1:
        return _command(data, ended=ended)
    if not 0x21 <= data[0] <= 0x7E:
        return Why.UNSYNCHRONISED
    end = _end(data, ended=ended)
    if end is None:
        return None
    return _line(data[:end]) or Why.UNSYNCHRONISED


def _command(data: bytes, *, ended: bool) -> Frame | Why | None:
    found = _COMMAND.match(data)
    if not found:
        return None if not ended and any(data.startswith(head[: len(data)]) for head in _HEADS) else Why.UNSYNCHRONISED
    if found.end() == len(data) and not ended:
        return None  # more of it may come, or of its line end
    return Command(raw=found[0], text=found[1].decode())


def _end(data: bytes, *, ended: bool) -> int | None:
    """Where the line ends, with CR LF, CR or LF; 0 where this is no text; None where it goes on."""
    for place, byte in enumerate(data):
        if byte == _LF:
            return place + 1
        if byte == _CR:
            if place + 1 == len(data):
                return place + 1 if ended else None
            return place + 1 + (data[place + 1] == _LF)
        if not 0x20 <= byte <= 0x7E:
            return 0
    return len(data) if ended else None


def _line(raw: bytes) -> Frame | Noise | None:
    """A line from its first character on; None where what is before a good line does not belong to it."""
    found = _SUMMED.fullmatch(raw)
    if not found:
        return None
    if sum(found[1]) & 0xFFFF == int(found[2], 16):
        return _said(raw, found[1]) or Noise(raw, Why.BAD_FIELD)
    has_good_end = any(isinstance(_line(raw[place:]), Frame) for place in range(1, len(raw)) if _starts(raw[place]))
    return None if has_good_end else Noise(raw, Why.CHECKSUM)


def _starts(byte: int) -> bool:
    return byte in b"P@FT?SZ"


def _said(raw: bytes, text: bytes) -> Frame | None:
    if found := _RECORD.fullmatch(text):
        return _record(raw, found)
    for name, pattern in _TEXTS.items():
        if found := pattern.fullmatch(text):
            return _reply(raw, name, found)
    return None


def _reply(raw: bytes, name: str, found: re.Match[bytes]) -> Line:
    words = [word.decode() for word in found.groups()]
    if name == "count":
        return Line(raw=raw, name=name, text=words[0], count=int(words[0]), serial=words[1])
    if name == "clock":
        return Line(raw=raw, name=name, text=found[0].decode(), time=_time(words))
    return Line(raw=raw, name=name, text=words[0].strip(), serial=words[0] if name == "serial" else None)


def _record(raw: bytes, found: re.Match[bytes]) -> Frame | None:
    words = [word.decode() if word else "" for word in found.groups()]
    result = _RESULT.fullmatch(words[6].strip())
    if not result:
        return None
    time = _time(words)
    value, status = _value(*result.groups(default=""))
    group = Observation(
        kind=Kind.GLUCOSE,
        values=(value,),
        raw=raw,
        device_time=time,
        origin=Origin.STORED,
        status=status | (frozenset() if time else {Status.CLOCK_UNSET}),
        context=frozenset({_MEALS[words[7]]} if words[7] in _MEALS else ()),
    )
    is_glucose = result[1] != "I"  # insulin and the like, which an Ultra2's owner can enter
    return Record(raw=raw, comment=words[8] or None, group=(group,) if is_glucose else ())


def _value(mark: str, digits: str, high: str, low: str, doubt: str) -> tuple[Value, frozenset[Status]]:
    """mark: C or K for control solution, ! for an unread strip. doubt: the record's own parity is wrong."""
    control = frozenset({Status.CONTROL_SOLUTION} if mark in {"C", "K"} else ())
    number = int(digits) if digits else 0
    if doubt or mark == "!" or not (number or high or low):
        return Value(Name.GLUCOSE, Unit.MG_PER_DL, absent=Absent.ERROR), control | {Status.DEVICE_ERROR}
    if high or number > HIGHEST_MG_DL:
        return _beyond(HIGHEST_MG_DL, Comparator.ABOVE), control | {Status.RESULT_ABOVE_RANGE}
    if low or number < LOWEST_MG_DL:
        return _beyond(LOWEST_MG_DL, Comparator.BELOW), control | {Status.RESULT_BELOW_RANGE}
    return Value(Name.GLUCOSE, Unit.MG_PER_DL, Decimal(number)), control


def _beyond(limit: int, comparator: Comparator) -> Value:
    return Value(Name.GLUCOSE, Unit.MG_PER_DL, Decimal(limit), comparator=comparator)


def _time(words: list[str]) -> datetime | None:
    month, day, year, hour, minute, second = map(int, words[:6])
    try:
        return datetime(2000 + year, month, day, hour, minute, second)
    except ValueError:
        return None
