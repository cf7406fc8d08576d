"""Finds the messages of DINAMAP host communications in a stream of bytes.

A message is text: unit, parameter, command, data, two characters of checksum, and a carriage return (GE 2010566 Rev. E,
"Host Communications Reference Manual", contents of messages and appendix B; commands with their checksums in
tnez/TK-BP, TKBPController.h). The blocks of a PRO 1000 in native binary mode are recognised as well, so that a monitor
set to that mode is not taken for noise.
"""

from __future__ import annotations

from devicebridge.sdk import Frame, Noise, Why
from devicebridge.sdk.framer import Framer

from .blocks import block, may_be_block
from .messages import LENGTHS, Blank, is_known, message

LINE_MAX_BYTES = 256  # several times the longest answer
_CHECKSUM_CHARACTERS = 2
_SHORTEST = 5  # unit, parameter, command, checksum
_ENDS = b"\r\n"


def codec() -> Framer:
    """A devicebridge Codec."""
    return Framer(_recognise, LINE_MAX_BYTES)


def checksum(body: str) -> str:
    """Twelve bits, with the carry brought round, as two characters (2010566 Rev. E, appendix B)."""
    total = 0
    for character in body:
        total += ord(character) - 31
        total -= 0xFFF if total > 0xFFF else 0
    return chr(0x20 + (total >> 6)) + chr(0x20 + (total & 0x3F))


def _recognise(data: bytes, ended: bool) -> Frame | Noise | Why | None:
    found = block(data)
    if found is not None:
        return found
    if data[0] in _ENDS:
        return _line_end(data, ended)
    text = _printable(data)
    is_whole = data[len(text) : len(text) + 1] == b"\r"
    if len(text) >= _SHORTEST and (is_whole or (ended and len(text) == len(data))):
        return _line(data, text, is_whole=is_whole)
    if len(text) == len(data):
        return None if len(data) < LINE_MAX_BYTES else Why.TOO_LONG
    return None if may_be_block(data) else Why.UNSYNCHRONISED


def _line_end(data: bytes, ended: bool) -> Blank | Why | None:
    """A carriage return of its own, or the number of a binary block."""
    if len(data) == 1:
        return Blank(raw=data) if ended else None
    if data[1] in _ENDS or 0x20 <= data[1] < 0x7F:
        return Blank(raw=data[:1])
    return None if may_be_block(data) else Why.UNSYNCHRONISED


def _line(data: bytes, text: str, *, is_whole: bool) -> Frame | Noise:
    """A line of text is a message, ends with one that is known, or is noise to its end."""
    size = len(text) + is_whole
    if _is_summed(text):
        return message(data[:size], text[:-_CHECKSUM_CHARACTERS])
    for length in LENGTHS:
        tail = text[-length - _CHECKSUM_CHARACTERS :]
        if len(tail) < len(text) and _is_summed(tail) and is_known(tail[:-_CHECKSUM_CHARACTERS]):
            return Noise(data[: len(text) - len(tail)], Why.CHECKSUM)
    return Noise(data[:size], Why.CHECKSUM if is_whole else Why.INCOMPLETE)


def _is_summed(text: str) -> bool:
    body = text[:-_CHECKSUM_CHARACTERS]
    return len(text) >= _SHORTEST and checksum(body) == text[-_CHECKSUM_CHARACTERS:]


def _printable(data: bytes) -> str:
    """The printable characters that the data begin with."""
    for at, byte in enumerate(data):
        if not 0x20 <= byte < 0x7F:
            return data[:at].decode("ascii")
    return data.decode("ascii")
