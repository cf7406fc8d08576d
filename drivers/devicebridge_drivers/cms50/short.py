"""The short frames of Contec's USB HID and Bluetooth oximeters (CMS50D-BT, A&D UP-200BLE, CMS50E and PO-400 over HID).

A header with its top bit set, bytes without, and the low seven bits of the sum of all before. Sources: the capture in
github.com/tobiasisenberg/OxiVis/issues/2; icefest/pulseoxdl, pulseoxdl.c and exchange.h (layout, bit 7 of the pulse
rate, the sum). A perfusion of 127 is none, or 1.27 %: which of them cannot be told, and so it is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from devicebridge.sdk import Frame, Status, Why
from devicebridge.sdk.bluetooth import uuid16

from .frames import Measurement, Reply, Wave, observation, spoken

SERVICE, WRITE, NOTIFY = uuid16(0xFF12), uuid16(0xFF01), uuid16(0xFF02)
START_LIVE, HEARTBEAT = b"\x9b\x01\x1c", b"\x9a\x1a"

_DEVICE = 0xEB
_PULSE_BIT_7 = 0x02
_FINGER_OUT_SPO2, _FINGER_OUT_BARGRAPH = 0x7F, 0x60
_COMMANDS = {
    HEARTBEAT: "heartbeat",
    b"\x9b\x00\x1b": "start-wave",
    START_LIVE: "start-live",
    b"\x9b\x7f\x1a": "stop-live",
}


def recognise(data: bytes, ended: bool) -> Frame | Why | None:
    if data[0] != _DEVICE:
        return spoken(data, _COMMANDS)
    if len(data) == 1:
        return None
    size, read = _SHAPES.get(data[1], (0, None))
    if read is None or any(byte >= 0x80 for byte in data[1 : size - 1]):
        return Why.UNSYNCHRONISED
    if len(data) < size:
        return None
    total = sum(data[: size - 1])
    if data[size - 1] not in (total & 0x7F, total & 0xFF):  # all eight bits would do as well: no number hangs on it
        return Why.CHECKSUM
    return read(data[:size])


def _measurement(raw: bytes) -> Frame:
    spo2, pulse = raw[4], raw[3] | (raw[2] & _PULSE_BIT_7) << 6
    status = frozenset({Status.SENSOR_OFF} if spo2 == _FINGER_OUT_SPO2 else ())
    return Measurement(
        raw=raw,
        group=(observation(raw, spo2, pulse, status, is_usable=not status),),
        pulse=pulse,
        spo2=spo2,
        perfusion=raw[5] | raw[6] << 7,
    )


def _wave(raw: bytes) -> Frame:
    return Wave(raw=raw, pleth=raw[3], bargraph=raw[4] & 0x0F, finger=raw[4] != _FINGER_OUT_BARGRAPH)


def _end(raw: bytes) -> Frame:
    return Reply(raw=raw, name="live-ended", data=b"")


_SHAPES: Mapping[int, tuple[int, Callable[[bytes], Frame]]] = {
    0x00: (6, _wave),
    0x01: (8, _measurement),
    0x7F: (3, _end),
}
STARTS = frozenset({_DEVICE, *(text[0] for text in _COMMANDS)})
