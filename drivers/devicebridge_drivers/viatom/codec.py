"""Finds the frames of Viatom's devices in the values of their characteristics; all kinds on each, both directions.

The kinds cannot be taken for one another (see frames.py). What the frames hold: of rings github.com/MackeyStingray/o2r,
o2state.py, and home-health-hub/viatom-o2ring-ble, protocol.py and oxyii_protocol.py; of cuffs see pressure.py, of EKG
devices trace.py; of clips viatom-develop/LepuDemo, README.md and PC60FwBleResponse.kt. A ring's answer does not say
what was asked: it is known by its length, and where two answers could have the same, by the reading without a number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from devicebridge.sdk import Frame, Noise, Why
from devicebridge.sdk.bluetooth import date_time
from devicebridge.sdk.framer import Framer
from devicebridge.sdk.lone import Lone

from . import oximetry, pressure, trace
from .answers import (
    Answer,
    Asked,
    BatteryLevel,
    ClipValues,
    ClipWave,
    ClipWorking,
    CuffProgress,
    CuffResult,
    FileOpened,
    FilePart,
    Files,
    Info,
    Record,
    Refusal,
    Sensors,
    State,
)
from .frames import (
    CLIP,
    CLIP_HEAD_BYTES,
    DATA_MAX_BYTES,
    HEAD_BYTES,
    LEPU,
    LONGEST_BYTES,
    RING_DEVICE,
    RING_HOST,
    TOKENS,
    crc8,
    crc8_maxim,
)

CUFF_OR_RING_SERVICE = "14839ac4-7d7e-415c-9a42-167340cf2339"
NOTIFY = "0734594a-a8e7-4b1a-a6b1-cd5243059a57"
WRITE = "8b00ace7-eb0b-49b0-bbe9-9aee0a26e1a3"
RING_S_SERVICE = "e8fb0001-a14b-98f9-831b-4e2941d01248"
RING_S_WRITE = "e8fb0002-a14b-98f9-831b-4e2941d01248"
RING_S_NOTIFY = "e8fb0003-a14b-98f9-831b-4e2941d01248"
UART_SERVICE = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"
UART_WRITE = "6e400002-b5a3-f393-e0a9-e50e24dcca9e"
UART_NOTIFY = "6e400003-b5a3-f393-e0a9-e50e24dcca9e"
CHARACTERISTICS = (NOTIFY, WRITE, RING_S_NOTIFY, RING_S_WRITE, UART_NOTIFY, UART_WRITE)

IDLE, MEASURING, RESULT, TRIPLE_MEASURING, TRIPLE_PAUSE, TRIPLE_RESULT = 3, 4, 5, 15, 16, 17
BUSY, SHOWS_RESULT = (MEASURING, TRIPLE_MEASURING, TRIPLE_PAUSE), (RESULT, TRIPLE_RESULT)
_STATES = {
    0: "sleep",
    1: "memory",
    2: "charging",
    IDLE: "idle",
    MEASURING: "measuring",
    RESULT: "result",
    6: "ecg-measuring",
    7: "ecg-result",
    TRIPLE_MEASURING: "triple-measuring",
    TRIPLE_PAUSE: "triple-pause",
    TRIPLE_RESULT: "triple-result",
}
_RING_COMMANDS = {
    0x03: "file_open",
    0x04: "file_read",
    0x05: "file_close",
    0x14: "info",
    0x15: "ping",
    0x16: "config",
    0x17: "read_sensors",
    0x18: "factory_default",
    0x1B: "read_rt_data",
}
_STATE_BYTES, _USER_AT, _STATE_AT = 40, 27, 39


def codec() -> Framer:
    """Of the stream of one characteristic."""
    return Framer(_recognise, LONGEST_BYTES)


def offline() -> Lone:
    """A codec for bytes from a file: it also takes a cuff's record, file or state without its frame."""
    return Lone(codec(), head_bytes=3, begins=_begins, read=_bare, longest_bytes=DATA_MAX_BYTES)


def _begins(data: bytes) -> bool:
    if data[0] not in (RING_HOST, RING_DEVICE, LEPU):
        return False
    is_clip = data[:2] == CLIP and (len(data) < 3 or data[2] in TOKENS)
    return is_clip or len(data) < 3 or data[1] ^ data[2] == 0xFF


def _recognise(data: bytes, _: bool) -> Frame | Why | None:
    if not _begins(data):
        return Why.UNSYNCHRONISED
    if data[:2] == CLIP and data[2:3] in (b"\x0f", b"\xf0"):
        return _checked(data, CLIP_HEAD_BYTES, data[3] if len(data) > 3 else None, 0, crc8_maxim, _clip)
    length = int.from_bytes(data[5:7], "little") if len(data) >= HEAD_BYTES else None
    if length is not None and length > DATA_MAX_BYTES:
        return Why.UNSYNCHRONISED
    read = {RING_HOST: _ring_asked, RING_DEVICE: _ring_answered, LEPU: _lepu}[data[0]]
    return _checked(data, HEAD_BYTES, length, 1, crc8, read)


def _checked(
    data: bytes,
    head_bytes: int,
    length: int | None,
    crc_bytes: int,
    crc: Callable[[bytes], int],
    read: Callable[[bytes], Frame],
) -> Frame | Why | None:
    """length: None while it has not arrived. crc_bytes: 0 where the length counts the crc."""
    if length is None:
        return None
    if length + crc_bytes < 1 + (not crc_bytes):  # a clip's frame has at least its type
        return Why.UNSYNCHRONISED
    raw = data[: head_bytes + length + crc_bytes]
    if len(raw) < head_bytes + length + crc_bytes:
        return None
    return read(raw) if crc(raw[:-1]) == raw[-1] else Why.CHECKSUM


# --- Older rings -------------------------------------------------------------------------------------------------


def _ring_asked(raw: bytes) -> Frame:
    return Asked(raw=raw, command=raw[1], meaning=_RING_COMMANDS.get(raw[1]), length=len(raw) - HEAD_BYTES - 1)


def _ring_answered(raw: bytes) -> Frame:
    data = raw[HEAD_BYTES:-1]
    if raw[1]:
        return Refusal(raw=raw, code=raw[1])
    if len(data) in (12, 13):
        return _sensors(raw, data)
    if len(data) > 13 and len(data) == 12 + int.from_bytes(data[10:12], "little"):
        return _rt_data(raw, data)
    if data[:1] == b"{" and (info := _ring_info(raw, data)) is not None:
        return info
    return Answer(raw=raw, length=len(data))


def _sensors(raw: bytes, data: bytes) -> Frame:
    """SpO2, pulse, five unknown, battery, charging, motion, perfusion index, worn."""
    observation = oximetry.observe(raw, data[0], data[1], data[10], is_worn=data[11] == 1)
    return Sensors(
        raw=raw,
        group=(observation,),
        worn=data[11] == 1,
        calibrating=data[11] == 1 and not data[0] and not data[1],
        battery=data[7],
        charging=data[8],
        motion=data[9],
    )


def _rt_data(raw: bytes, data: bytes) -> Frame:
    """SpO2, pulse (2), battery, charging, perfusion index, worn, three unknown, length of the wave (2), wave."""
    pulse = int.from_bytes(data[1:3], "little")
    observation = oximetry.observe(raw, data[0], pulse, data[5], is_worn=data[6] == 1)
    return Sensors(
        raw=raw,
        group=(observation,),
        worn=data[6] == 1,
        calibrating=data[6] == 1 and not data[0] and not pulse,
        battery=data[3],
        charging=data[4],
    )


def _ring_info(raw: bytes, data: bytes) -> Info | None:
    try:
        told = json.loads(data.rstrip(b" \t\r\n\0"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, Mapping):
        return None
    battery = (_text(told, "CurBAT") or "").rstrip("%")
    return Info(
        raw=raw,
        model=_text(told, "Model"),
        serial=_text(told, "SN"),
        firmware=_text(told, "SoftwareVer"),
        battery=int(battery) if battery.isascii() and battery.isdecimal() and len(battery) <= 3 else None,
        now=_ring_time(_text(told, "CurTIME") or ""),
    )


def _text(told: Mapping[str, Any], key: str) -> str | None:
    value = told.get(key)
    return value if isinstance(value, str) and value else None


def _ring_time(text: str) -> datetime | None:
    """2026-08-08,12:00:00"""
    try:
        time = datetime.fromisoformat(text.replace(",", " "))
    except ValueError:
        return None
    return time if time.tzinfo is None else None


# --- Lepu's second version ---------------------------------------------------------------------------------------


def _lepu(raw: bytes) -> Frame:
    command, direction, number, data = raw[1], raw[3], raw[4], raw[HEAD_BYTES:-1]
    if direction == 0:
        return Asked(raw=raw, command=command, seq=number, length=len(data))
    if direction != 1:
        return Refusal(raw=raw, command=command, seq=number, code=direction)
    read = _LEPU.get(command)
    found = read(raw, data, number) if read is not None else None
    return found if found is not None else Answer(raw=raw, command=command, seq=number, length=len(data))


def _lepu_state(raw: bytes, data: bytes, number: int | None) -> Frame | None:
    if len(data) != _STATE_BYTES:
        return None
    state = data[_STATE_AT]
    user = int.from_bytes(data[_USER_AT : _USER_AT + 4], "little")
    return State(raw=raw, seq=number, state=state, meaning=_STATES.get(state), active_user_id=user)


def _lepu_config(raw: bytes, data: bytes, number: int | None) -> Frame | None:
    if len(data) != 9:
        return None
    return State(raw=raw, seq=number, state=data[0], meaning=_STATES.get(data[0]))


def _lepu_info(raw: bytes, data: bytes, number: int | None) -> Frame | None:
    if len(data) < 38:
        return None
    serial = _ascii(data[38 : 38 + data[37]])
    return Info(raw=raw, seq=number, model=_ascii(data[9:17]), serial=serial, now=date_time(data[24:31]))


def _lepu_battery(raw: bytes, data: bytes, number: int | None) -> Frame | None:
    """A cuff's: state, percentage, millivolts; of one whose state is none of four the percentage is none either."""
    if len(data) != 4:
        return None
    is_known = data[0] <= 3 and data[1] <= 100
    voltage_mv = int.from_bytes(data[2:4], "little")
    return BatteryLevel(raw=raw, seq=number, percent=data[1] if is_known else None, voltage_mv=voltage_mv)


def _ring_s_battery(raw: bytes, data: bytes, number: int | None) -> Frame | None:
    is_known = len(data) == 4 and data[1] <= 100
    return BatteryLevel(raw=raw, seq=number, percent=data[1]) if is_known else None


def _ring_s_live(raw: bytes, data: bytes, number: int | None) -> Frame | None:
    """Contact at 5, SpO2, motion, pulse; battery at 13. Only a contact of 1 is known for a finger."""
    if len(data) < 24:
        return None
    is_worn = data[5] == 1
    return Sensors(
        raw=raw,
        group=(oximetry.observe(raw, data[6], data[8], None, is_worn=is_worn),),
        seq=number,
        worn=is_worn,
        calibrating=is_worn and not data[6] and not data[8],
        battery=data[13],
        motion=data[7],
    )


def _cuff_now(raw: bytes, data: bytes, _: int | None) -> Frame | None:
    """Nine bytes of state, what follows (0 measuring, 1 result), twenty bytes of it."""
    if len(data) < 10 + pressure.RESULT_BYTES:
        return None
    state, meaning = data[0], _STATES.get(data[0])
    if data[9] == 1:
        result = pressure.observe_result(data[10 : 10 + pressure.RESULT_BYTES])
        return CuffResult(raw=raw, group=(result,), state=state, meaning=meaning)
    return CuffProgress(raw=raw, state=state, meaning=meaning) if data[9] == 0 else None


def _files(raw: bytes, data: bytes, number: int | None) -> Frame | None:
    if not data or len(data) != 1 + 16 * data[0]:
        return None
    names = tuple(_ascii(data[i : i + 16]) or "" for i in range(1, len(data), 16))
    return Files(raw=raw, seq=number, names=names)


def _file_opened(raw: bytes, data: bytes, number: int | None) -> Frame | None:
    return FileOpened(raw=raw, seq=number, size=int.from_bytes(data[:4], "little")) if len(data) >= 4 else None


def _file_part(raw: bytes, data: bytes, number: int | None) -> Frame:
    return FilePart(raw=raw, seq=number, data=data)


def _ascii(data: bytes) -> str | None:
    text = data.partition(b"\0")[0].decode("ascii", "replace")
    return text if text.isprintable() and text else None


_LEPU: Mapping[int, Callable[[bytes, bytes, int | None], Frame | None]] = {
    0x00: _lepu_state,
    0x03: trace.read,
    0x04: _ring_s_live,
    0x06: _lepu_config,
    0x08: _cuff_now,
    0x30: _lepu_battery,
    0xE1: _lepu_info,
    0xE4: _ring_s_battery,
    0xF1: _files,
    0xF2: _file_opened,
    0xF3: _file_part,
}


# --- Clips -------------------------------------------------------------------------------------------------------


def _clip(raw: bytes) -> Frame:
    token, kind, data = raw[2], raw[4], raw[5:-1]
    if token == 0x0F and kind == 0x01 and len(data) == 6:
        pulse = int.from_bytes(data[1:3], "little")
        is_worn, is_searching = not data[4] & 0x02, bool(data[4] & 0x04)
        observation = oximetry.observe(raw, data[0], pulse, data[3], is_worn=is_worn, is_searching=is_searching)
        return ClipValues(raw=raw, group=(observation,), battery=data[5] >> 6)
    if token == 0x0F and kind == 0x02 and len(data) == 5:
        return ClipWave(raw=raw)
    if token == 0x0F and kind == 0x21 and len(data) == 4:
        group = (oximetry.observe(raw, data[2], data[3], None),) if data[:2] == b"\x01\x03" else ()
        return ClipWorking(raw=raw, group=group, mode=data[0], step=data[1], first=data[2], second=data[3])
    if token == 0xF0 and kind == 0x03 and len(data) == 1:
        return BatteryLevel(raw=raw, level=data[0])
    return Answer(raw=raw, command=kind, length=len(data))


# --- Without a frame ---------------------------------------------------------------------------------------------


def _bare(data: bytes) -> Sequence[Frame | Noise] | None:
    if pressure.looks_like_record(data):
        return (Record(raw=data, group=(pressure.observe_record(data),)),)
    if pressure.looks_like_file(data):
        head = FilePart(raw=data[: pressure.FILE_HEAD_BYTES], data=data[: pressure.FILE_HEAD_BYTES])
        size, first = pressure.RECORD_BYTES, pressure.FILE_HEAD_BYTES
        return (head, *(_file_record(data[i : i + size]) for i in range(first, len(data), size)))
    state = _lepu_state(data, data, None)
    return (state,) if isinstance(state, State) and state.meaning is not None else None


def _file_record(record: bytes) -> Frame:
    is_empty = not any(record[13:17])
    return (
        FilePart(raw=record, data=record) if is_empty else Record(raw=record, group=(pressure.observe_record(record),))
    )
