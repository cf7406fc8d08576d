"""Finds the lines of these scales in a stream of bytes, and tells their formats apart by their structure.

Detecto's lines end with CR, those of SMA scales stand between LF and CR, the others end with CR LF. A line is taken
whole or not at all; what is unmistakable as the start of a line, Tanita's or Detecto's, is also looked for behind
noise, such as the WB-3000 sends after each line. Where the stream ends, a line that lacks only its end is taken too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from devicebridge.sdk import Frame, Noise, Why
from devicebridge.sdk.framer import Framer

from .formats import (
    LINE_START,
    detecto,
    request,
    rice_lake,
    rice_lake_line,
    rice_lake_print,
    sma,
    tanita,
)
from .frames import Line, LineEnd, Printed, Request

LINE_BYTES = 640  # Tanita's longest documented line has some 330
_ENQ = 0x05
_QUOTES = ((b"\xe2\x80\x99", b"'"), (b"\xe2\x80\x9d", b'"'), (b"\x92", b"'"), (b"\x94", b'"'))  # as manuals print them
_TEXT = re.compile(rb"[\x20-\x7e\x80\x92\x94\x99\x9d\xe2]*")  # ASCII, and the bytes of those quotes
_SMA_STARTS = b" ZOUEITPW"
_CRLF_FORMATS: tuple[Callable[[str, bytes], Frame | Why | None], ...] = (tanita, rice_lake, rice_lake_line)
_FIRST_LINE, _LAST_LINE = "gross weight", "patient bmi"


class Codec:
    """A devicebridge Codec."""

    def __init__(self) -> None:
        self._framer = Framer(self._recognise, LINE_BYTES)
        self._print: dict[str, Line] = {}  # the lines so far of a print that has several

    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        return self._framer.feed(data)

    def close(self) -> Sequence[Frame | Noise]:
        return self._framer.close()

    def _recognise(self, data: bytes, ended: bool) -> Frame | Noise | Why | None:
        found = _find(data, ended)
        if isinstance(found, Line):
            return self._printed(found)
        if found is not None and not isinstance(found, LineEnd):
            self._print.clear()
        return found

    def _printed(self, line: Line) -> Line | Printed:
        if line.name == _FIRST_LINE or line.name in self._print:
            self._print.clear()
        self._print[line.name] = line
        group = rice_lake_print(self._print) if line.name == _LAST_LINE else ()
        return Printed(raw=line.raw, group=group) if group else line


def _find(data: bytes, ended: bool) -> Frame | Noise | Why | None:
    first = data[0]
    if first == _ENQ:
        return Request(raw=data[:1], name="weight")
    if first == ord("\n"):
        return _between_lf_and_cr(data, ended)
    if first == ord("\r"):
        return LineEnd(raw=data[:1])
    text = _text(data)
    if not text:
        return Why.UNSYNCHRONISED
    rest = data[len(text) :]
    if rest and rest[0] not in b"\r\n":
        return Noise(text, Why.UNSYNCHRONISED)
    later = LINE_START.search(text, 1)
    if later and (rest or ended or len(text) == LINE_BYTES):
        return Noise(text[: later.start()], Why.UNSYNCHRONISED)
    if len(text) == LINE_BYTES:
        return Noise(text, Why.TOO_LONG)
    return _line(text, rest, ended) if rest or ended else None


def _line(text: bytes, rest: bytes, ended: bool) -> Frame | Noise | None:
    """A line whose text is complete. rest: what follows it, empty where the stream has ended."""
    words = _words(text)
    found: Frame | Why | None = detecto(words, text + (b"\r" if rest.startswith(b"\r") else b""))
    if isinstance(found, Frame):
        return found
    if rest == b"\r" and not ended:
        return None
    whole = text + (b"\r\n" if rest.startswith(b"\r\n") else rest[:1])
    for read in _CRLF_FORMATS:
        found = found or read(words, whole)
    if isinstance(found, Frame):
        return found
    return Noise(whole if whole.endswith(b"\r\n") else text, found or Why.UNSYNCHRONISED)


def _between_lf_and_cr(data: bytes, ended: bool) -> Frame | Noise | None:
    """An SMA line, or a line feed that belongs to nothing."""
    if len(data) == 1:
        return LineEnd(raw=data) if ended else None
    if data[1] not in _SMA_STARTS:
        return LineEnd(raw=data[:1])
    text = _text(data[1:])
    rest = data[1 + len(text) :]
    if not rest and not ended:
        return None
    raw = data[: 1 + len(text) + rest.startswith(b"\r")]
    words = _words(text)
    found = request(words, raw) or sma(words, raw)
    if isinstance(found, Why):
        return Noise(raw, found)
    return found or LineEnd(raw=data[:1])


def _text(data: bytes) -> bytes:
    found = _TEXT.match(data)
    return found[0] if found else b""


def _words(text: bytes) -> str:
    """The line with plain quotes."""
    for typographic, plain in _QUOTES:
        text = text.replace(typographic, plain)
    return text.decode("latin-1")
