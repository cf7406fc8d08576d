"""TaiDoc's frames: 51, command, four bytes of data, A3 from the host or A5 from the meter, sum of these modulo 256.

Command 71, of scales, has a length in the place of its first data byte. A record's value (26) is read with the model
and the record's time (25) that the meter sent before it; alone, only where it can mean one thing. Sources: those of the
manifest, and medical_ble_toolkit, tests/test_fora_protocol.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from devicebridge.sdk import Frame, Kind, Name, Noise, Observation, Origin, Status, Unit, Value, Why
from devicebridge.sdk.framer import Framer

from .records import moment, observation, oximetry

SERVICE, CHARACTERISTIC = "00001523-1212-efde-1523-785feabcd123", "00001524-1212-efde-1523-785feabcd123"
"""Over Bluetooth LE (fora6_connect, live protocol evidence): questions and answers in one characteristic."""

START, HOST, METER = 0x51, 0xA3, 0xA5
FRAME_BYTES = 8
TIME_BYTES = 4

_WEIGHING = 0x71
_WEIGHING_BYTES = {0x02: 7, 0x1D: 34, 0x23: 40}  # by the length: the question, and answers of two kinds of scale
_NAMES = {
    0x22: "connect",
    0x23: "clock",
    0x24: "model",
    0x25: "record-time",
    0x26: "record-value",
    0x27: "serial-end",
    0x28: "serial-begin",
    0x29: "firmware",
    0x2B: "count",
    0x33: "set-clock",
    0x41: "start-temperature",
    0x43: "start-blood-pressure",
    0x47: "start-oximetry",
    0x49: "oximetry",
    0x50: "off",
    0x52: "erase",
    0x54: "communicating",
    0x61: "oximetry-value",
    _WEIGHING: "weighing",
}
_DATED = frozenset({0x23, 0x25, 0x33})
_KEEPS_TIME = frozenset({0x25, 0x54})  # after these a value still belongs to the time before it


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Frame):
    """One frame of either side; what is in its data where that is known."""

    command: int
    name: str
    is_from_meter: bool
    data: bytes
    time: datetime | None = None
    count: int | None = None
    model: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Time(Frame):
    """The four bytes of a time and nothing else, as they stand in other projects' tests."""

    time: datetime


def codec(model: str | None) -> Framer:
    return Framer(_Reader(model).recognise, max(_WEIGHING_BYTES.values()))


def encode(command: int, data: bytes = bytes(4)) -> bytes:
    """A frame of the host."""
    frame = bytes((START, command)) + data + bytes((HOST,))
    return frame + bytes((sum(frame) & 0xFF,))


class _Reader:
    """What the meter has said before changes what a value means."""

    def __init__(self, model: str | None) -> None:
        number = re.search(r"\d{4}", model or "")
        self._model = number[0] if number else None
        self._time: Message | None = None  # of the record whose value comes next
        self._is_fresh = True

    def recognise(self, data: bytes, ended: bool) -> Frame | Noise | Why | None:
        if self._is_fresh and data[0] != START and len(data) <= TIME_BYTES:
            return self._bare_time(data) if ended else None
        self._is_fresh = False
        found = _message(data, ended=ended)
        return self._read(found) if isinstance(found, Message) else found

    def _bare_time(self, data: bytes) -> Frame | Why:
        self._is_fresh = False
        time = moment(data) if len(data) == TIME_BYTES else None
        return Time(raw=data, time=time) if time else Why.UNSYNCHRONISED

    def _read(self, message: Message) -> Message:
        if not message.is_from_meter:
            return message
        before = self._time
        if message.command == 0x25:
            self._time = message
        elif message.command not in _KEEPS_TIME:
            self._time = None
        if message.command == 0x24:
            self._model = message.model
        elif message.command == 0x26:
            raw = before.raw + message.raw if before else message.raw
            record = observation(self._model, before.data if before else None, message.data, raw)
            return replace(message, group=(record,) if record else ())
        return message


def _message(data: bytes, *, ended: bool) -> Message | Noise | Why | None:
    if data[0] != START:
        return Why.UNSYNCHRONISED
    if len(data) < 3:
        return Why.INCOMPLETE if ended else None
    size = _WEIGHING_BYTES.get(data[2], FRAME_BYTES) if data[1] == _WEIGHING else FRAME_BYTES
    if len(data) < size:
        return Why.INCOMPLETE if ended else None
    raw = data[:size]
    if raw[-2] not in (HOST, METER):
        return Why.UNSYNCHRONISED
    if sum(raw[:-1]) & 0xFF != raw[-1]:
        return Noise(raw, Why.CHECKSUM)
    return _said(raw)


def _said(raw: bytes) -> Message:
    command, data, is_from_meter = raw[1], raw[2:-2], raw[-2] == METER
    message = Message(
        raw=raw, command=command, name=_NAMES.get(command, "unknown"), is_from_meter=is_from_meter, data=data
    )
    if command in _DATED and (is_from_meter or command == 0x33):
        return replace(message, time=moment(data))
    if not is_from_meter:
        return message
    if command == 0x24:
        return replace(message, model=data[1::-1].hex())
    if command in (0x27, 0x28):
        return replace(message, text=data[::-1].hex().upper())
    if command == 0x2B:
        return replace(message, count=data[0] | data[1] << 8)
    if command == 0x61:
        return replace(message, group=(_live_oximetry(raw, data),))
    if command == _WEIGHING and len(raw) in (34, 40):
        return replace(message, group=(_weighing(raw),))
    return message


def _live_oximetry(raw: bytes, data: bytes) -> Observation:
    """pl.cardioscp.rehab, Td8255Session.kt: SpO2, a byte, pulse rate."""
    said = oximetry(data[0], data[2])
    return Observation(kind=said.kind, values=said.values, raw=raw, origin=Origin.LIVE)


_POUND = 1


def _weighing(raw: bytes) -> Observation:
    """Numbers with the high byte first (ForaW310.m, with an example). The height in it is the user's profile."""
    year, month, day, hour, minute, user = raw[4:10]
    try:
        time = datetime(2000 + year, month, day, hour, minute)
    except ValueError:
        time = None
    unit, at = (Unit.POUND, 18) if raw[15] == _POUND else (Unit.KG, 16)
    return Observation(
        kind=Kind.WEIGHT,
        values=(Value(Name.WEIGHT, unit, Decimal(int.from_bytes(raw[at : at + 2], "big")).scaleb(-1)),),
        raw=raw,
        device_time=time,
        device_user=user,
        origin=Origin.STORED,
        status=frozenset() if time else frozenset({Status.CLOCK_UNSET}),
    )
