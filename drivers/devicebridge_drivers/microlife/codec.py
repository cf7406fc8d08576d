"""Finds M-frames in the values of FFF1, and of FFF2 what the host asks: `4D code length(2) payload sum`.

The code is FF of a host and 3A of a monitor. The length, high byte first, counts payload and sum; the sum is that of
all bytes before it, modulo 256. Sources: github.com/joergmlpts/blood-pressure-monitor, bpm_bt.py; the SDK of the maker
(com.microlife_sdk, BPMProtocol, DRecord, DeviceInfo) for the fields that project leaves out.

The answer to "history" is given out in parts, each a whole measurement: what stands before the records, record by
record, the sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from devicebridge.sdk import Frame, Noise, Why
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.framer import Framer
from devicebridge.sdk.lone import Lone

from .records import CUFF_FITS, RECORD_BYTES, is_dated, is_empty, looks_like, observe

NOTIFY = uuid16(0xFFF1)
WRITE = uuid16(0xFFF2)

HOST, MONITOR = 0xFF, 0x3A
HISTORY, READ_TIME = 0x00, 0x0C
RECORDS_OFFSET = 38
"""Command, seven bytes of head and three measurements of the present cycle."""
_RECORDS_MAX = 255  # their number is one byte
_HEAD_BYTES = 4
LENGTH_MAX = RECORDS_OFFSET + _RECORDS_MAX * RECORD_BYTES + 1
_ACK = 0x81
USERS = (1, 2, 3)  # 3 is the guest

_COMMANDS = {  # of the maker's SDK
    HISTORY: "get_measurements",
    0x03: "clear_history",
    0x04: "disconnect",
    0x05: "get_user_and_version",
    0x06: "set_user",
    0x07: "get_pulse_info",
    0x08: "get_oscillation",
    0x0B: "get_device_info",
    READ_TIME: "get_time",
    0x0D: "set_time",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Frame):
    """What a host asks."""

    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack(Frame):
    """A command was taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock(Frame):
    """now: None where the clock was never set."""

    now: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Frame):
    """An answer to what this driver does not ask; kept as bytes, since a person's name may stand there."""

    command: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History(Frame):
    """The head of the memory. records: as many as it announces. is_measuring: it tells of the present cycle only."""

    records: int
    user: int | None
    mode: int
    mam: int
    is_measuring: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Frame):
    """A measurement; its group is the one observation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty(Frame):
    """A place in the memory without a measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Frame):
    """The sum behind the last record: all have come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory(Frame):
    """Head, records and sum in one."""


class Codec:
    """Of the stream of one characteristic."""

    def __init__(self) -> None:
        self._framer = Framer(_recognise, _HEAD_BYTES + LENGTH_MAX)

    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        return _parted(self._framer.feed(data))

    def close(self) -> Sequence[Frame | Noise]:
        return _parted(self._framer.close())


def offline() -> Lone:
    """A codec for bytes from a file: it also takes a record, or the payload of a memory, without its frame."""
    return Lone(
        Codec(),
        head_bytes=2,
        begins=lambda head: head[0] == 0x4D and head[1] in (HOST, MONITOR),
        read=_bare,
        longest_bytes=LENGTH_MAX - 1,
    )


def encode(command: int, data: bytes = b"") -> bytes:
    """What the host sends."""
    body = bytes((0x4D, HOST)) + (len(data) + 2).to_bytes(2, "big") + bytes((command,)) + data
    return body + bytes((sum(body) & 0xFF,))


def _recognise(data: bytes, _: bool) -> Frame | Noise | Why | None:
    if data[0] != 0x4D or (len(data) > 1 and data[1] not in (HOST, MONITOR)):
        return Why.UNSYNCHRONISED
    if len(data) < _HEAD_BYTES:
        return None
    length = int.from_bytes(data[2:4], "big")
    if not 2 <= length <= LENGTH_MAX:
        return Why.UNSYNCHRONISED
    if len(data) < _HEAD_BYTES + length:
        return None
    raw = data[: _HEAD_BYTES + length]
    if sum(raw[:-1]) & 0xFF != raw[-1]:
        return Why.CHECKSUM
    return _asked(raw) if raw[1] == HOST else _answered(raw)


def _asked(raw: bytes) -> Frame | Noise:
    name = _COMMANDS.get(raw[4])
    return Noise(raw, Why.BAD_FIELD) if name is None else Command(raw=raw, command=name)


def _answered(raw: bytes) -> Frame | Noise:
    payload = raw[_HEAD_BYTES:-1]
    if payload[-1:] == bytes((_ACK,)) and len(payload) <= 2:
        return Ack(raw=raw)
    if payload[0] == READ_TIME and len(payload) == 8:
        return Clock(raw=raw, now=_clock(payload))
    if payload[0] == HISTORY and _is_memory(payload):
        return _Memory(raw=raw)
    return Answer(raw=raw, command=payload[0])


def _clock(payload: bytes) -> datetime | None:
    if payload[1] != 1:
        return None
    try:
        return datetime(2000 + payload[2], *payload[3:8])
    except ValueError:
        return None


def _is_memory(payload: bytes) -> bool:
    return len(payload) >= RECORDS_OFFSET and (len(payload) - RECORDS_OFFSET) % RECORD_BYTES == 0


def _parted(items: Sequence[Frame | Noise]) -> Sequence[Frame | Noise]:
    out: list[Frame | Noise] = []
    for item in items:
        if isinstance(item, _Memory):
            out += _memory(item.raw[: _HEAD_BYTES + RECORDS_OFFSET], item.raw[_HEAD_BYTES + RECORDS_OFFSET : -1])
            out.append(End(raw=item.raw[-1:]))
        else:
            out.append(item)
    return out


def _memory(head: bytes, body: bytes) -> Iterator[Frame | Noise]:
    """head: to the end of the measurements of the present cycle, with its frame or without."""
    fields = head[-RECORDS_OFFSET:]
    user = fields[4] if fields[4] in USERS else None
    yield History(
        raw=head,
        records=fields[3],
        user=user,
        mode=fields[1],
        mam=fields[5],
        is_measuring=any(fields[8:]),
    )
    records = [body[i : i + RECORD_BYTES] for i in range(0, len(body), RECORD_BYTES)]
    marks_cuff = any(record[8] & CUFF_FITS for record in records)
    for record in records:
        yield _record(record, marks_cuff=marks_cuff, user=user)


def _record(record: bytes, *, marks_cuff: bool, user: int | None) -> Frame | Noise:
    if is_empty(record):
        return Empty(raw=record)
    if not is_dated(record):
        return Noise(record, Why.BAD_FIELD)
    return Record(raw=record, group=(observe(record, marks_cuff=marks_cuff, user=user),))


def _bare(data: bytes) -> Sequence[Frame | Noise] | None:
    if looks_like(data):
        return (_record(data, marks_cuff=False, user=None),)
    if data[0] == HISTORY and _is_memory(data):
        return tuple(_memory(data[:RECORDS_OFFSET], data[RECORDS_OFFSET:]))
    return None
