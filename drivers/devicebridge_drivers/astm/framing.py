"""Finds the frames and control characters of LIS1-A (ASTM E1381) in a stream of bytes, and bare records of E1394.

A frame is STX, a digit 0 to 7, text, ETX or ETB, two hexadecimal digits of the sum of all from the digit to ETX or
ETB modulo 256, CR, LF. The text holds none of the characters that control the link ("restricted characters"), so that
a broken frame ends where the next thing begins. Bare records, one a line, are looked for only where asked, and only
until the first frame or ENQ: behind a data link a record without a frame is the rest of a damaged one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from devicebridge.sdk import Noise, Why

TEXT_MAX_BYTES = 7_993  # E1381 allows 240, LIS1-A 63,993; instruments that ignore the 240 stay within a record or two
_NOISE_BYTES = 256  # noise is reported in pieces of this size at most
_PIECE_BYTES = 512  # taken into the buffer at once, so that it stays bounded

STX, ETX, LF, CR, ETB = 0x02, 0x03, 0x0A, 0x0D, 0x17
_RESTRICTED = re.compile(rb"[\x00-\x06\x10-\x17]")
_LINE_END = re.compile(rb"[\x00-\x06\x0a\x0d\x10-\x17]")
_LINE_STARTS = frozenset(b"01234567HPORCMLQSD")


class Control(StrEnum):
    ENQ = "ENQ"
    EOT = "EOT"
    ACK = "ACK"
    NAK = "NAK"


BYTES = {Control.ENQ: b"\x05", Control.EOT: b"\x04", Control.ACK: b"\x06", Control.NAK: b"\x15"}
_CONTROLS = {sent[0]: control for control, sent in BYTES.items()}


@dataclass(frozen=True, slots=True)
class Framed:
    """A frame whose sum is right. `is_final`: it ended in ETX; after ETB the text goes on in the next."""

    raw: bytes
    number: int
    text: bytes
    is_final: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A record without a data link."""

    raw: bytes
    text: bytes


Token = Control | Framed | Line | Noise


class _Need(Enum):
    MORE = auto()


_Verdict = Framed | Line | Noise | _Need | None  # None: no such thing begins here


class Framer:
    """Bytes to tokens, each byte in exactly one. bare: records without a data link may be met."""

    def __init__(self, *, bare: bool) -> None:
        self._buffer = bytearray()
        self._noise = bytearray()
        self._takes_lines = bare
        self._is_line_start = True
        self._delimiter = b"|"

    def feed(self, data: bytes, /) -> Iterator[Token]:
        for start in range(0, len(data), _PIECE_BYTES):
            self._buffer += data[start : start + _PIECE_BYTES]
            yield from self._drain(ended=False)

    def close(self) -> Iterator[Token]:
        yield from self._drain(ended=True)
        yield from self._flush()

    def _drain(self, *, ended: bool) -> Iterator[Token]:
        while self._buffer:
            if self._buffer[0] in _CONTROLS:
                yield from self._flush()
                yield self._control()
                continue
            verdict = self._recognise(bytes(self._buffer), ended=ended)
            if verdict is _Need.MORE:
                return
            if verdict is None:
                yield from self._skip()
                continue
            yield from self._flush()
            yield self._taken(verdict)

    def _recognise(self, data: bytes, *, ended: bool) -> _Verdict:
        if data[0] == STX:
            return _frame(data, ended=ended)
        if self._takes_lines and self._is_line_start and data[0] in _LINE_STARTS:
            return _line(data, self._delimiter, ended=ended)
        return None

    def _control(self) -> Control:
        control = _CONTROLS[self._buffer.pop(0)]
        self._is_line_start = True
        self._takes_lines = self._takes_lines and control is not Control.ENQ
        return control

    def _taken(self, token: Framed | Line | Noise) -> Token:
        del self._buffer[: len(token.raw)]
        self._is_line_start = True
        if isinstance(token, Line):
            if token.text[:1] == b"H":
                self._delimiter = token.text[1:2]
        else:
            self._takes_lines = self._takes_lines and isinstance(token, Noise) and token.why is not Why.CHECKSUM
        return token

    def _skip(self) -> Iterator[Noise]:
        byte = self._buffer.pop(0)
        self._noise.append(byte)
        self._is_line_start = byte in (CR, LF)
        if byte == LF or len(self._noise) >= _NOISE_BYTES:
            yield from self._flush()

    def _flush(self) -> Iterator[Noise]:
        if self._noise:
            yield Noise(bytes(self._noise), Why.UNSYNCHRONISED)
            self._noise.clear()


def checksum(data: bytes) -> bytes:
    """Two hexadecimal digits of the sum modulo 256."""
    return b"%02X" % (sum(data) & 0xFF)


def _frame(data: bytes, *, ended: bool) -> _Verdict:
    """The frame at the beginning of the data, or what is wrong with it."""
    if len(data) > 1 and data[1] not in b"01234567":
        return None
    end = _RESTRICTED.search(data, 1)
    if end is None:
        if len(data) > TEXT_MAX_BYTES + 2:
            return Noise(data, Why.TOO_LONG)
        return Noise(data, Why.INCOMPLETE) if ended else _Need.MORE
    at = end.start()
    if at < 2 or data[at] not in (ETX, ETB):
        return Noise(data[:at], Why.INCOMPLETE)
    size = _size(data, at + 3, ended=ended)
    if size is _Need.MORE:
        return size
    raw = data[:size]
    if checksum(raw[1 : at + 1]) != raw[at + 1 : at + 3].upper():
        return Noise(raw, Why.INCOMPLETE if len(raw) < at + 3 else Why.CHECKSUM)
    if at - 2 > TEXT_MAX_BYTES:
        return Noise(raw, Why.TOO_LONG)
    return Framed(raw, data[1] - 0x30, data[2:at], data[at] == ETX)


def _size(data: bytes, size: int, *, ended: bool) -> int | _Need:
    """`size` with the CR and LF that follow; where something else follows, without."""
    for expected in (CR, LF):
        if len(data) <= size:
            return min(size, len(data)) if ended else _Need.MORE
        if data[size] != expected:
            return size
        size += 1
    return size


def _line(data: bytes, delimiter: bytes, *, ended: bool) -> _Verdict:
    """A record, perhaps behind the frame number that a log has kept."""
    text_at = 1 if data[0] in b"01234567" else 0
    if len(data) < text_at + 2:
        return None if ended else _Need.MORE
    letter, after = data[text_at], data[text_at + 1 : text_at + 2]
    is_header = letter == ord("H") and after.isascii() and not after.isalnum() and after.decode().isprintable()
    if letter not in b"HPORCMLQSD" or not (is_header or after == delimiter):
        return None
    end = _LINE_END.search(data)
    if end is None:
        if len(data) > TEXT_MAX_BYTES:
            return Noise(data, Why.TOO_LONG)
        return Line(data, data[text_at:]) if ended else _Need.MORE
    at = size = end.start()
    if data[at] == CR and len(data) == at + 1 and not ended:
        return _Need.MORE
    if data[at] in (CR, LF):
        size += 2 if data[at : at + 2] == b"\r\n" else 1
    return Line(data[:size], data[text_at:at])
