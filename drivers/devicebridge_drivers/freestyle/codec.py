r"""Abbott's text protocols: what a meter says in lines, and its whole memory as one frame.

Host: `mem` (Lite), or `$colq`, `$xmem` and the like with CR LF (Optium, Precision Xtra). A memory is CR LF, serial
number, version, present time, number of records, the records, `0x` with the 16-bit sum of all characters before it,
from the first CR LF on, and `END`; or `Log Empty END`. Nothing of a memory whose sum is wrong is believed; where it is
right, a row that cannot be read is a record without a value. A record that comes alone has no sum. Sources: those of
the manifest; Alexander Schrijver, flupzor.nl/protocol.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from devicebridge.sdk import Frame, Noise, Observation, Why
from devicebridge.sdk.framer import Framer

from .records import DAY, MONTHS, RECORD, moment, observation, unreadable

MEMORY_MAX_BYTES = 16_000  # 450 records of 32 characters (Precision Xtra), 400 of 33 (Lite), and the head
LINE_MAX_BYTES = 64
_FIRST_LINE_END = sum(b"\r\n")  # before the serial number; counted, though it came in a line of its own

_SERIAL = r"[A-Z]-[A-Z0-9]{4}-[A-Z0-9]{5}|[A-Z0-9]{7}-[A-Z0-9]{5}|[XC][A-Z][GM][A-Z0-9]{8}"
_VERSION = r"[0-9][0-9A-Za-z. -]{2,20}"
_NOW = rf"{DAY}:(\d\d)"
_HEAD = (re.compile(_SERIAL), re.compile(_VERSION), re.compile(_NOW))
_MEMORY_END = re.compile(rb"(?:0x([0-9A-F]{4})|Log Empty) *END")
_COMMAND = re.compile(rb"(mem)|\$([a-z]{3,4}(?:,[0-9,]*)?)\r?\n")
_LINES = {
    "serial": re.compile(rf"(?:S/N:\t)?({_SERIAL})"),
    "clock": re.compile(_NOW),
    "clock-line": re.compile(rf"Clock:\t({'|'.join(MONTHS)})  (\d\d) (\d{{4}})\t(\d\d):(\d\d):(\d\d)"),
    "version": re.compile(r"(Ver:\t[ -~\t]+)"),
    "usage": re.compile(r"Usage:\t(\d+)"),
    "information": re.compile(r"((?:Market|ROM):[\t0-9 ]*)"),
    "temperature": re.compile(r"(Temperature = [ -~]+)"),
    "done": re.compile(r"(CMD OK)"),
    "refused": re.compile(r"(CMD Fail!)"),
    "not-found": re.compile(r"(Log Not Found)"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Frame):
    """What the host says."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line(Frame):
    """A line of a reply; `text` is what it says. An empty one is `blank`."""

    name: str
    text: str = ""
    time: datetime | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Frame):
    """One record that came alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory(Frame):
    """A whole memory, its sum right. `group` holds all its records in order, each an act of its own."""

    serial: str
    version: str
    time: datetime | None
    count: int


def codec() -> Framer:
    return Framer(recognise, MEMORY_MAX_BYTES)


def recognise(data: bytes, ended: bool) -> Frame | Noise | Why | None:
    if data[0] in b"\r\n":
        return _blank(data, ended=ended)
    if found := _COMMAND.match(data):
        return Command(raw=found[0], text=(found[1] or found[2]).decode())
    line, end = _next_line(data, 0)
    if line is None and not ended:
        is_text = len(data) < LINE_MAX_BYTES and all(0x20 <= byte <= 0x7E or byte in b"\t\r" for byte in data)
        return None if is_text else Why.UNSYNCHRONISED
    text, raw = (line, data[:end]) if line is not None else (_decoded(data), data)
    if _HEAD[0].fullmatch(text):
        memory = _memory(data, ended=ended)
        if memory is None or isinstance(memory, Frame | Noise):
            return memory
    return _said(raw, text) or Why.UNSYNCHRONISED


def _blank(data: bytes, *, ended: bool) -> Frame | Why | None:
    if data[:1] == b"\n":
        return Line(raw=b"\n", name="blank")
    if data[:2] == b"\r\n":
        return Line(raw=b"\r\n", name="blank")
    return None if data == b"\r" and not ended else Why.UNSYNCHRONISED


def _next_line(data: bytes, start: int) -> tuple[str | None, int]:
    """The line without its end, and where the next one begins; None where its end has not come."""
    end = data.find(b"\n", start)
    if end < 0:
        return None, len(data)
    return _decoded(data[start:end].removesuffix(b"\r")), end + 1


def _decoded(data: bytes) -> str:
    return data.decode("latin-1")


def _said(raw: bytes, text: str) -> Frame | None:
    if found := RECORD.fullmatch(text.strip()):
        return Record(raw=raw, group=(observation(found, raw),))
    for name, pattern in _LINES.items():
        if found := pattern.fullmatch(text):
            return _line(raw, name, found)
    return None


def _line(raw: bytes, name: str, found: re.Match[str]) -> Line:
    if name.startswith("clock"):
        return Line(raw=raw, name="clock", text=found[0], time=moment(found.groups()))
    return Line(raw=raw, name=name, text=found[1], count=int(found[1]) if name == "usage" else None)


def _memory(data: bytes, *, ended: bool) -> Memory | Noise | Why | None:
    """A memory from its serial number on; UNSYNCHRONISED where this is none."""
    lines, start = [], 0
    for pattern in _HEAD:
        line, start = _next_line(data, start)
        while line == "":
            line, start = _next_line(data, start)
        if line is None:
            return Why.UNSYNCHRONISED if ended else None
        if not pattern.fullmatch(line):
            return Why.UNSYNCHRONISED
        lines.append(line)
    end = _MEMORY_END.search(data, start)
    if end is None:
        return Why.UNSYNCHRONISED if ended else None
    return _whole(data[: end.end()], lines, _decoded(data[start : end.start()]), end)


def _whole(raw: bytes, head: list[str], body: str, end: re.Match[bytes]) -> Memory | Noise:
    given = end[1]
    if given and (sum(raw[: end.start()]) + _FIRST_LINE_END) & 0xFFFF != int(given, 16):
        return Noise(raw, Why.CHECKSUM)
    rows = [row.strip() for row in body.splitlines() if row.strip()]
    count = int(rows[0]) if rows and rows[0].isdigit() else 0
    is_sound = all(row.isascii() and row.isprintable() for row in rows) and (not rows or rows[0].isdigit())
    if (given and not rows) or count != len(rows[1:]) or not is_sound:
        return Noise(raw, Why.BAD_FIELD)
    now = re.fullmatch(_NOW, head[2])
    return Memory(
        raw=raw,
        serial=head[0],
        version=head[1].strip(),
        time=moment(now.groups()) if now else None,
        count=count,
        group=tuple(map(_record, rows[1:])),
    )


def _record(row: str) -> Observation:
    raw = row.encode("latin-1")
    found = RECORD.fullmatch(row)
    return observation(found, raw) if found else unreadable(row, raw)
