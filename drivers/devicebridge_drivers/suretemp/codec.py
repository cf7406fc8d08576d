"""The packets of a Welch Allyn SureTemp Plus module.

Source: Welch Allyn 71332-0000B, "SureTemp Plus Module, OEM Implementation Manual" (2004): packets pp. 31-36, commands
pp. 38-52, examples pp. 57-65. A packet is 03 02 10, a command code (high byte first), a type, a data size (low byte
first), the data, and a byte that makes all of them sum to 0 modulo 256.
"""

from __future__ import annotations

import math
import struct
from ctypes import c_float
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum, IntEnum

from devicebridge.sdk import Absent, Context, Frame, Kind, Name, Observation, Status, Unit, Value, Why
from devicebridge.sdk.framer import Framer

PREAMBLE = bytes((0x03, 0x02, 0x10))
HEADER_BYTES = 8
DATA_MAX_BYTES = 128  # the longest answer is a software version: 127 characters and a null (p. 58)
PACKET_MAX_BYTES = HEADER_BYTES + DATA_MAX_BYTES + 1


class Command(IntEnum):
    """The commands of the manual that are named here; only two of them are ever sent."""

    SERIAL_NUMBER = 0x2900
    TEMPERATURE_METHOD = 0x2913
    SOFTWARE_VERSION = 0x2936
    PROBE_MODE = 0x2945
    DEFAULT_PROBE_MODE = 0x2949
    SET_TEMPERATURE_METHOD = 0x2A12
    SET_DEFAULT_PROBE_MODE = 0x2A37
    RESTART = 0x3000
    LOCK_PROBE_SWITCH = 0x3503
    SET_PROBE = 0x3604
    STATUS = 0x9401
    MODE_PAUSE = 0x9413
    DEFAULT_METHOD = 0x9415
    TEMPERATURE = 0x941C
    SET_MODE_PAUSE = 0x9433
    SET_ASYNCHRONOUS = 0x9434


class Type(Enum):
    COMMAND = "command"
    GOOD = "good-response"
    REFUSED = "refused"


_TYPES = {1: Type.COMMAND, 2: Type.GOOD, 3: Type.REFUSED}


class State(Enum):
    """What the thermometer is doing (pp. 35, 36). "Position": the probe does not touch tissue as it should."""

    IDLE = 0
    NOT_READY = 1
    READY = 2
    PREDICT = 3
    PREDICT_DISPLAY = 4
    PREDICT_POSITION = 5
    FINAL = 6
    FINAL_POSITION = 7
    FINAL_OVER = 8
    FINAL_OVER_POSITION = 9
    FINAL_UNDER = 10
    FINAL_UNDER_POSITION = 11
    MONITOR = 12
    END = 13
    ERROR = 20


FINAL = frozenset({State.FINAL, State.FINAL_POSITION})
_OUT_OF_RANGE = {
    State.FINAL_OVER: Status.RESULT_ABOVE_RANGE,
    State.FINAL_OVER_POSITION: Status.RESULT_ABOVE_RANGE,
    State.FINAL_UNDER: Status.RESULT_BELOW_RANGE,
    State.FINAL_UNDER_POSITION: Status.RESULT_BELOW_RANGE,
}
_POSITION = frozenset({State.FINAL_POSITION, State.FINAL_OVER_POSITION, State.FINAL_UNDER_POSITION})
CONCLUDED = FINAL | frozenset(_OUT_OF_RANGE) | {State.ERROR}

_NAMES = {command.value: command.name.lower().replace("_", "-") for command in Command}
_STATES = {state.value: state for state in State}
_METHODS = {0: "predict", 1: "monitor", 2: "clinical"}
_ALGORITHMS = {0: "oral", 1: "rectal", 2: "pediatric-axillary", 3: "calibration-key", 4: "adult-axillary"}
_PROBES = {0: "oral-axillary", 1: "calibration-key", 2: "rectal", 3: "none"}
_SITES = {  # only where probe and algorithm agree
    ("oral-axillary", "oral"): Context.ORAL,
    ("oral-axillary", "pediatric-axillary"): Context.AXILLARY,
    ("oral-axillary", "adult-axillary"): Context.AXILLARY,
    ("rectal", "rectal"): Context.RECTAL,
}
_KEY = "calibration-key"  # in place of a probe, to test the module
_LONG = struct.Struct("<4s4sHHBBBhBBfffH")  # 33 bytes, p. 35
_SHORT = struct.Struct("<4s4sIBBBhBB")  # 19 bytes, p. 36
_SIGNIFICANT_DIGITS = range(1, 10)  # nine name any binary32


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet(Frame):
    """A command or an answer that is not spelled out further. `name` is the manual's command, in words."""

    command: int
    name: str | None
    packet_type: Type
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialNumber(Packet):
    serial: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Packet):
    """The temperature record. Kelvin as the float32 has them; `sample` counts periods of 173 ms."""

    final_kelvin: Decimal | None
    probe_kelvin: Decimal | None
    sample: int
    method: str | None
    algorithm: str | None
    state: State | None
    error_code: int
    is_active: bool
    probe: str | None


def codec() -> Framer:
    """A devicebridge Codec."""
    return Framer(_recognise, PACKET_MAX_BYTES)


def _recognise(data: bytes, ended: bool) -> Packet | Why | None:
    if not PREAMBLE.startswith(data[:3]):
        return Why.UNSYNCHRONISED
    if len(data) < HEADER_BYTES:
        return None
    size = int.from_bytes(data[6:8], "little")
    if data[5] not in _TYPES or size > DATA_MAX_BYTES:
        return Why.BAD_FIELD
    raw = data[: HEADER_BYTES + size + 1]
    if len(raw) <= HEADER_BYTES + size:
        return None
    return Why.CHECKSUM if sum(raw) & 0xFF else _read(raw)


def _read(raw: bytes) -> Packet:
    code, data = int.from_bytes(raw[3:5], "big"), raw[HEADER_BYTES:-1]
    name = _NAMES.get(code)
    kind = _TYPES[raw[5]]
    if kind is Type.GOOD and code == Command.TEMPERATURE and len(data) in (_SHORT.size, _LONG.size):
        return _record(raw, code, name, data)
    if kind is Type.GOOD and code == Command.SERIAL_NUMBER:
        return SerialNumber(raw=raw, command=code, name=name, packet_type=kind, data=data, serial=_serial(data))
    return Packet(raw=raw, command=code, name=name, packet_type=kind, data=data)


def _record(raw: bytes, code: int, name: str | None, data: bytes) -> Record:
    if len(data) == _LONG.size:
        final, probe_now, _, sample, method, algorithm, state, error, active, probe, *_ = _LONG.unpack(data)
    else:
        final, probe_now, sample, method, algorithm, state, error, active, probe = _SHORT.unpack(data)
    record = Record(
        raw=raw,
        command=code,
        name=name,
        packet_type=Type.GOOD,
        data=data,
        final_kelvin=kelvin(final),
        probe_kelvin=kelvin(probe_now),
        sample=sample,
        method=_METHODS.get(method),
        algorithm=_ALGORITHMS.get(algorithm),
        state=_STATES.get(state),
        error_code=error,
        is_active=bool(active),
        probe=_PROBES.get(probe),
    )
    return _with_group(record)


def _with_group(record: Record) -> Record:
    if record.state not in CONCLUDED:
        return record
    status: set[Status] = {Status.IMPROPER_POSITION} if record.state in _POSITION else set()
    if record.state in _OUT_OF_RANGE:
        status.add(_OUT_OF_RANGE[record.state])
    if record.state is State.ERROR or record.error_code:
        status.add(Status.DEVICE_ERROR)
    if _KEY in (record.probe, record.algorithm):
        status.add(Status.TEST_DATA)
    site = _SITES.get((record.probe or "", record.algorithm or ""))
    observation = Observation(
        kind=Kind.TEMPERATURE,
        values=(_value(record),),
        raw=record.raw,
        status=frozenset(status),
        context=frozenset({site} if site else ()),
    )
    return replace(record, group=(observation,))


def _value(record: Record) -> Value:
    absent = None
    if record.state not in FINAL or record.error_code:
        absent = Absent.ERROR
    elif record.final_kelvin is None:
        absent = Absent.NOT_A_NUMBER
    elif record.final_kelvin <= 0:
        absent = Absent.ERROR
    return Value(Name.TEMPERATURE, Unit.KELVIN, None if absent else record.final_kelvin, absent)


def kelvin(data: bytes) -> Decimal | None:
    """A little-endian binary32 in the fewest digits that name it and no other; None where it is no finite number."""
    (number,) = struct.unpack("<f", data)
    if not math.isfinite(number):
        return None
    for digits in _SIGNIFICANT_DIGITS:
        text = f"{number:.{digits}g}"
        if _binary32(float(text)) == number:
            return Decimal(format(Decimal(text), "f"))
    raise AssertionError("nine digits name any binary32")


def _binary32(number: float) -> float:
    """The nearest binary32; infinite where it lies beyond them."""
    return c_float(number).value


def _serial(data: bytes) -> str | None:
    text = data.split(b"\0")[0].decode("ascii", "replace").strip()
    return text if text.isascii() and text.isalnum() else None
