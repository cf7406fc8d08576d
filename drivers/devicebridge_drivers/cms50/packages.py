"""The current protocol: Contec, "Communication protocol of pulse oximeter V7.0" (2010-07-08).

A package is its type, a byte with the top bits of what follows, and then that, seven bits at a time. Only the type has
its top bit clear. The tables are those of V7.0 as put into code by timegrid/CMS50Dplus7 (cms50dplus7.py) and OSCAR
(cms50f37_loader.cpp), checked against the captures in MarkMLl/Contec_cms50dplus and headrotor/art-sensors. There is no
checksum: a package with numbers is believed if the next one begins right behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, time

from devicebridge.sdk import Frame, Status, Why

from .frames import Command, Live, Model, Recording, Reply, observation, stored

_PROBE_ERROR, _TOO_LONG_SEARCH, _SEARCHING = 0x80, 0x10, 0x80  # of bytes 0, 0 and 1 of a live package

COMMANDS = {
    0xA0: "query-type",
    0xA1: "start-live",
    0xA2: "stop-live",
    0xA3: "query-segments",
    0xA4: "query-recording-size",
    0xA5: "query-recording-start",
    0xA6: "start-download",
    0xA7: "stop-download",
    0xA8: "query-model",
    0xA9: "query-vendor",
    0xAA: "query-device-id",
    0xAB: "query-user",
    0xAC: "query-perfusion-support",
    0xAD: "query-users",
    0xAE: "erase",
    0xAF: "heartbeat",
    0xB0: "query-notice",
    0xB1: "set-time",
    0xB2: "set-date",
    0xB3: "query-texts",
    0xB6: "query-recording-content",
}
_REASONS = {
    0x00: "completed",
    0x01: "shutdown",
    0x02: "user-change",
    0x03: "recording",
    0x04: "erase-failed",
    0x05: "unsupported",
    0xFF: "unknown",
}


def command(code: int, *data: int) -> bytes:
    """A host's package. Nothing that starts, sets or erases anything is sent by this driver but start-live."""
    payload = bytes((code, *data)).ljust(7, b"\0")
    top_bits = sum((byte >> 7) << n for n, byte in enumerate(payload))
    return bytes((0x7D, 0x80 | top_bits, *(0x80 | byte for byte in payload)))


def recognise(data: bytes, ended: bool) -> Frame | Why | None:
    shape = _SHAPES[data[0]]
    size = 2 + shape.data_bytes
    if any(byte < 0x80 for byte in data[1:size]):
        return Why.UNSYNCHRONISED
    if len(data) < size or (shape.is_proven_by_next and len(data) == size and not ended):
        return None
    if shape.is_proven_by_next and data[size:] and data[size] >= 0x80:
        return Why.UNSYNCHRONISED
    raw = data[:size]
    payload = bytes((byte & 0x7F) | (raw[1] >> n & 1) << 7 for n, byte in enumerate(raw[2:]))
    return shape.read(raw, payload)


def _live(raw: bytes, data: bytes) -> Frame:
    status: set[Status] = set()
    if data[0] & _PROBE_ERROR:
        status.add(Status.SENSOR_OFF)
    if data[0] & _TOO_LONG_SEARCH:
        status.add(Status.INADEQUATE_SIGNAL)
    if data[1] & _SEARCHING:
        status.add(Status.SIGNAL_ANALYSIS_ONGOING)
    is_usable = not data[0] & (_PROBE_ERROR | _TOO_LONG_SEARCH)
    return Live(
        raw=raw,
        group=(observation(raw, data[4], data[3], frozenset(status), is_usable=is_usable),),
        signal=data[0] & 0x0F,
        pleth=data[1] & 0x7F,
        bargraph=data[2] & 0x0F,
        pulse=data[3],
        spo2=data[4],
        perfusion=data[5] | data[6] << 8,
    )


def _three_seconds(raw: bytes, data: bytes) -> Frame:
    return stored(raw, ((data[0], data[1]), (data[2], data[3]), (data[4], data[5])))


def _second_with_perfusion(raw: bytes, data: bytes) -> Frame:
    return stored(raw, ((data[0], data[1]),), data[2] | data[3] << 8)


def _start_date(raw: bytes, data: bytes) -> Frame:
    try:
        day = date(data[2] * 100 + data[3], data[4], data[5])
    except ValueError:
        day = None
    return Recording(raw=raw, user=data[0], segment=data[1], start_date=day)


def _start_time(raw: bytes, data: bytes) -> Frame:
    try:
        moment = time(*data[2:5])
    except ValueError:
        moment = None
    return Recording(raw=raw, user=data[0], segment=data[1], start_time=moment)


def _size(raw: bytes, data: bytes) -> Frame:
    return Recording(raw=raw, user=data[0], segment=data[1], size_bytes=int.from_bytes(data[2:], "little"))


def _model(raw: bytes, data: bytes) -> Frame:
    text = "".join(chr(byte) for byte in data[1:] if 0x20 <= byte < 0x7F)
    return Model(raw=raw, index=data[0], text=text)


def _feedback(raw: bytes, data: bytes) -> Frame:
    return Reply(
        raw=raw,
        name="feedback",
        data=data,
        command=COMMANDS.get(data[0]),
        reason=_REASONS.get(data[1]),
    )


def _disconnect(raw: bytes, data: bytes) -> Frame:
    return Reply(raw=raw, name="disconnect", data=data, reason=_REASONS.get(data[0]))


def _command(raw: bytes, data: bytes) -> Frame:
    return Command(raw=raw, name=COMMANDS.get(data[0], "unknown"), data=data)


def _reply(name: str) -> Callable[[bytes, bytes], Frame]:
    return lambda raw, data: Reply(raw=raw, name=name, data=data)


@dataclass(frozen=True, slots=True)
class _Shape:
    """data_bytes: after the type and the top bits."""

    data_bytes: int
    read: Callable[[bytes, bytes], Frame]
    is_proven_by_next: bool = False


_SHAPES: Mapping[int, _Shape] = {
    0x01: _Shape(7, _live, is_proven_by_next=True),
    0x02: _Shape(7, _model),
    0x03: _Shape(7, _reply("vendor")),
    0x04: _Shape(7, _reply("device-id")),
    0x05: _Shape(7, _reply("user")),
    0x06: _Shape(2, _reply("type")),
    0x07: _Shape(6, _start_date),
    0x08: _Shape(6, _size),
    0x09: _Shape(4, _second_with_perfusion, is_proven_by_next=True),
    0x0A: _Shape(2, _reply("segments")),
    0x0B: _Shape(2, _feedback),
    0x0C: _Shape(0, _reply("done")),
    0x0D: _Shape(1, _disconnect),
    0x0E: _Shape(1, _reply("perfusion-support")),
    0x0F: _Shape(6, _three_seconds, is_proven_by_next=True),
    0x10: _Shape(1, _reply("users")),
    0x11: _Shape(7, _reply("notice")),
    0x12: _Shape(6, _start_time),
    0x13: _Shape(7, _reply("text-1")),
    0x14: _Shape(7, _reply("text-2")),
    0x15: _Shape(7, _reply("recording-content")),
    0x7D: _Shape(7, _command),
}
STARTS = frozenset(_SHAPES)
