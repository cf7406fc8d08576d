"""Finds the packets of a Health o meter scale in a stream of bytes.

A packet is a row of fields, each an ESC, a letter and a value, from ESC R (a reading) or another letter (a command or
its reply) to ESC E. Scales with an L in their serial number put a 6 in place of the first ESC of every packet but the
first. A binary frame has a start byte (1 or 2), a unit byte, D7 E4, the weight in ASCII and CR. Neither has a
checksum: what is trusted is what repeats itself (`session`).
"""

from __future__ import annotations

import re

from devicebridge.sdk import Frame, Noise, Why
from devicebridge.sdk.framer import Framer

from .frames import Control, LineEnd, Weighing, binary, packet

PACKET_BYTES = 160  # the longest documented packet has 60
_ESC = b"\x1b"
_END = b"\x1bE"
_RESTART = re.compile(rb"6?\x1bR|6R(?=\x1b)")
_FIELD = re.compile(rb"([A-Za-z])([\x20-\x7e]{0,24})")
_BINARY = re.compile(rb"[\x01\x02][\x80\x82]\xd7\xe4([\x20-\x7e]{1,8})\r")
_BINARY_START = re.compile(rb"[\x01\x02](?:[\x80\x82](?:\xd7(?:\xe4[\x20-\x7e]{0,8})?)?)?")


def make_codec() -> Framer:
    return Framer(_recognise, PACKET_BYTES)


def _recognise(data: bytes, ended: bool) -> Frame | Noise | Why | None:
    first = data[0]
    if first == 0x1B:
        return _packet(data, 0)
    if first in (0x01, 0x02):
        return _binary(data)
    if first in b"\r\n":
        return LineEnd(raw=data[:1])
    if first == ord("6"):
        return _numbered_packet(data, ended)
    return Why.UNSYNCHRONISED


def _numbered_packet(data: bytes, ended: bool) -> Frame | Noise | Why | None:
    """The packet of an L variant: "6" for its first ESC, or, as the document can also be read, before it."""
    if b"6R\x1b".startswith(data[:3]) or b"6\x1bR".startswith(data[:3]):
        if len(data) < 3:
            return Why.UNSYNCHRONISED if ended else None
        return _packet(data, 1)
    return Why.UNSYNCHRONISED


def _packet(data: bytes, skipped: int) -> Weighing | Control | Noise | None:
    """skipped: how many bytes stand before the first field's letter or its ESC."""
    end = data.find(_END, skipped + 1)
    restart = _RESTART.search(data, skipped + 2)
    if restart and (end < 0 or restart.start() < end):
        return Noise(data[: restart.start()], Why.INCOMPLETE)
    if end < 0:
        return None
    raw = data[: end + len(_END)]
    fields = []
    for piece in data[skipped:end].removeprefix(_ESC).split(_ESC):
        field = _FIELD.fullmatch(piece)
        if field is None:
            return Noise(raw, Why.BAD_FIELD)
        fields.append((field[1].decode("ascii"), field[2].decode("ascii")))
    return packet(raw, fields)


def _binary(data: bytes) -> Weighing | Noise | Why | None:
    found = _BINARY.match(data)
    if found:
        return binary(found[0])
    return None if _BINARY_START.fullmatch(data) else Why.UNSYNCHRONISED
