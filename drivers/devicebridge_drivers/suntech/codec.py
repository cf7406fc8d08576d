"""The packets of SunTech's OEM blood pressure modules.

Sources: ak-git/DesktopFX, com.ak.comm.bytes.suntech and its tests, with the comments of the SunTech OEM manual
(packets, checksum, the 24 bytes of a result); 519984307/Appciton, Providers/SuntechProvider (commands, replies of one
letter, error codes). The host sends 3A, a command, its data and a checksum; the module sends 3E, the number of bytes
in the packet, its data and a checksum. The checksum makes all bytes of a packet sum to 0 modulo 256.

The error codes are decimal in the manual: 85 is a blocked pneumatic line. (Appciton lists them right, as 0x55 and so
on, but compares with 0x85 in `isResult`.)
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from devicebridge.sdk import Absent, Frame, Kind, Name, Observation, Status, Unit, Value, Why
from devicebridge.sdk.framer import Framer

HOST, MODULE = 0x3A, 0x3E
PACKET_MAX_BYTES = 67  # the answer to "get return string", the longest known
_SHORTEST_BYTES = 4
_RESULT_BYTES = 24
_NO_ERROR = 0

_COMMANDS = {  # first byte: (name, bytes of data); 79 is told apart by its data
    0x00: ("get-module-data", 0),
    0x04: ("calibrate", 1),
    0x0C: ("control-pneumatics", 3),
    0x17: ("set-initial-pressure", 2),
    0x20: ("start-adult", 0),
    0x28: ("start-neonate", 0),
    0x79: ("request", 2),
    0x81: ("sleep", 4),
    0x86: ("venous-stasis", 3),
    0x87: ("start-pediatric", 0),
    0x8A: ("reset", 0),
}
_REQUESTS = {
    bytes((0x01, 0x00)): "abort",
    bytes((0x03, 0x00)): "get-result",
    bytes((0x05, 0x00)): "get-cuff-pressure",
    bytes((0x02, 0x03)): "get-return-code",
    bytes((0x02, 0x40)): "get-return-string",
    bytes((0x10, 0x03)): "get-status",
    bytes((0x11, 0x00)): "get-status",  # Advantage A+
}
_ERRORS = {
    1: ("weak-signal", Status.INADEQUATE_SIGNAL),
    2: ("artifact", Status.ARTIFACT),
    3: ("out-of-range", None),
    4: ("measurement-timeout", None),
    85: ("pneumatic-blockage", None),
    86: ("aborted", None),
    87: ("leak-or-loose-cuff", Status.CUFF_TOO_LOOSE),
    88: ("safety-timeout", None),
    89: ("overpressure", None),
    90: ("hardware", None),
    91: ("not-permitted", None),
    97: ("transducer-out-of-range", None),
    99: ("calibration-lost", None),
}
_ABORTED = 86


class Reply(Enum):
    """Answers of one letter."""

    RECEIVED = "O"
    DONE = "K"
    ABORTED = "A"
    BUSY = "B"
    ERROR = "E"
    NOT_DEFINED = "N"
    NOT_RECOGNISED = "D"
    ASLEEP = "S"
    TIMEOUT = "T"


_REPLIES = {ord(reply.value): reply for reply in Reply}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Frame):
    """What a host sends."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement(Frame):
    reply: Reply | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Word(Frame):
    """Two bytes: the cuff pressure in mmHg, or the status, whichever was asked for."""

    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Frame):
    """The last blood pressure, as sent; `is_empty`: none was measured since the module was switched on."""

    systolic: int
    diastolic: int
    mean: int
    pulse: int
    beats: int
    status: int
    error: int
    meaning: str | None
    is_empty: bool

    @property
    def data(self) -> bytes:
        return self.raw[2:-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Other(Frame):
    """An answer that is not read: module data, a version."""

    data: bytes


def codec() -> Framer:
    """A devicebridge Codec."""
    return Framer(_recognise, PACKET_MAX_BYTES)


def _recognise(data: bytes, ended: bool) -> Frame | Why | None:
    if data[0] not in (HOST, MODULE):
        return Why.UNSYNCHRONISED
    if len(data) < 2:
        return None
    size = _request_bytes(data[1]) if data[0] == HOST else data[1]
    if size is None or (data[0] == MODULE and not _SHORTEST_BYTES <= size <= PACKET_MAX_BYTES):
        return Why.BAD_FIELD
    if len(data) < size:
        return None
    raw = data[:size]
    if sum(raw) & 0xFF:
        return Why.CHECKSUM
    return _request(raw) if data[0] == HOST else _answer(raw)


def _request_bytes(command: int) -> int | None:
    return _COMMANDS[command][1] + 3 if command in _COMMANDS else None


def _request(raw: bytes) -> Request:
    name, _ = _COMMANDS[raw[1]]
    return Request(raw=raw, name=_REQUESTS.get(raw[2:-1], name) if raw[1] == 0x79 else name)


def _answer(raw: bytes) -> Frame:
    data = raw[2:-1]
    if len(data) == 1:
        return Acknowledgement(raw=raw, reply=_REPLIES.get(data[0]))
    if len(data) == 2:
        return Word(raw=raw, value=int.from_bytes(data, "little"))
    return _result(raw, data) if len(raw) == _RESULT_BYTES else Other(raw=raw, data=data)


def _result(raw: bytes, data: bytes) -> Result:
    """data: systolic, diastolic (2 bytes each), beats, status, 8 test codes, pulse, spare, mean (2), error, 2 spare."""
    systolic, diastolic, mean = (int.from_bytes(data[at : at + 2], "little") for at in (0, 2, 16))
    error = data[18]
    is_empty = not (systolic or diastolic or mean or data[14] or error)
    return Result(
        raw=raw,
        systolic=systolic,
        diastolic=diastolic,
        mean=mean,
        pulse=data[14],
        beats=data[4],
        status=data[5],
        error=error,
        meaning=_ERRORS[error][0] if error in _ERRORS else None,
        is_empty=is_empty,
        group=() if is_empty else (_observation(raw, systolic, diastolic, mean, _pulse(data), error),),
    )


def _pulse(data: bytes) -> int | None:
    """One byte; the next is spare in the manual, but Appciton reads both: what they disagree about is no number."""
    return data[14] if data[15] == 0 else None


def _observation(raw: bytes, systolic: int, diastolic: int, mean: int, pulse: int | None, error: int) -> Observation:
    failure = None
    if error:
        failure = Absent.NOT_PERFORMED if error == _ABORTED else Absent.ERROR
    numbers = (
        (Name.SYSTOLIC, Unit.MMHG, systolic),
        (Name.DIASTOLIC, Unit.MMHG, diastolic),
        (Name.MEAN, Unit.MMHG, mean),
        (Name.PULSE_RATE, Unit.PER_MINUTE, pulse),
    )
    return Observation(
        kind=Kind.BLOOD_PRESSURE,
        values=tuple(_value(name, unit, number, failure) for name, unit, number in numbers),
        raw=raw,
        status=_status(error),
    )


def _value(name: Name, unit: Unit, number: int | None, failure: Absent | None) -> Value:
    absent = failure if failure or number else Absent.ERROR  # a pressure of zero is none
    return Value(name, unit, None if absent else Decimal(number or 0), absent)


def _status(error: int) -> frozenset[Status]:
    if error in (_NO_ERROR, _ABORTED):
        return frozenset()
    said = _ERRORS[error][1] if error in _ERRORS else None
    return frozenset({Status.DEVICE_ERROR, said} if said else {Status.DEVICE_ERROR})
