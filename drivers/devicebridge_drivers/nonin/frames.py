"""What each frame of Nonin's serial formats says.

Sources: Nonin 6470-000-01, "Onyx II Model 9560 OEM Specification" (format 13 pp. 6-7, 2 pp. 8-11, 7 and 8 from p. 12);
Nonin 7970-000-05, "WristOx2 Model 3150 OEM Specification" (formats 1, 2, 7, 8, 13); the status bits of format 1 as
restated at pastebin.com/7WvErGqY, those of the Xpod by Hewlett-Packard's TinyOS driver ("Pulse Ox interface file").
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from devicebridge.sdk import Absent, Frame, Kind, Name, Observation, Origin, Status, Unit, Value

NO_SPO2 = 127
NO_PULSE = 511
SPO2_MAX = 100
PULSE_RANGE = range(18, 322)  # what a Nonin can display: 18 to 321 (6470-000-01, specifications)
PACKET_FRAMES = 25

# Bits of the status byte. Formats 1 and 8 have the pulse rate in the two lowest.
_DISCONNECTED, _OUT_OF_TRACK = 0x40, 0x20
_SLOW_STATUS = {
    0x40: Status.SENSOR_DISCONNECTED,
    0x20: Status.OUT_OF_TRACK,
    0x10: Status.LOW_PERFUSION,
    0x08: Status.MARGINAL_PERFUSION,
    0x04: Status.ARTIFACT,
}
_SLOW_STATUS_2 = {0x20: Status.VALIDATED, 0x08: Status.SENSOR_OFF, 0x01: Status.LOW_BATTERY}
_FAST_STATUS = {
    0x40: Status.SENSOR_DISCONNECTED,  # reserved in newer models
    0x20: Status.ARTIFACT,
    0x10: Status.OUT_OF_TRACK,
    0x08: Status.SENSOR_OFF,
}
_FAST_PERFUSION = {0x04: Status.LOW_PERFUSION, 0x06: Status.MARGINAL_PERFUSION}  # red; red and green: yellow
_FAST_STATUS_2 = {0x20: Status.VALIDATED, 0x01: Status.LOW_BATTERY}
_SPOT_STATUS = {0x0200: Status.VALIDATED, 0x0001: Status.LOW_BATTERY}
_SPOT_NO_MEASUREMENT, _SPOT_FROM_MEMORY = 0x0100, 0x0010

_UNUSABLE = frozenset({Status.SENSOR_OFF, Status.SENSOR_DISCONNECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Second(Frame):
    """Formats 1 and 8: one second. The numbers as sent, 127 and 511 included."""

    format: int
    spo2: int
    pulse: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """The 25 frames of formats 2 and 7: a third of a second. Numbers as sent.

    Names ending in _d are the display values, which the device holds for 10 s after the finger is gone.
    """

    pulse: int
    spo2: int
    firmware: int
    stat2: int
    spo2_d: int
    spo2_fast: int
    spo2_beat: int
    e_pulse: int
    e_spo2: int
    e_spo2_d: int
    pulse_d: int
    e_pulse_d: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Frame):
    """Formats 2 and 7: one of 75 frames a second. `packet` is there with the frame that completes it."""

    format: int
    status: int
    pleth: int
    payload: int
    packet: Packet | None = None

    @property
    def is_first(self) -> bool:
        return bool(self.status & 0x01)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotCheck(Frame):
    """Format 13: one finished measurement. `serial` where the device appends it."""

    spo2: int
    pulse: int
    status: int
    serial: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Control(Frame):
    """A command of the host, or the device's reply to one."""

    name: str
    format: int | None = None
    serial: str | None = None
    time: datetime | None = None


def second(raw: bytes) -> Second:
    """Three bytes of format 1 or four of format 8."""
    status = _flags(raw[0], _SLOW_STATUS) | _flags(raw[3] if len(raw) > 3 else 0, _SLOW_STATUS_2)
    spo2, pulse = raw[2], slow_pulse(raw)
    group = (_observation(spo2, pulse, status, raw),)
    return Second(raw=raw, format=8 if len(raw) > 3 else 1, spo2=spo2, pulse=pulse, group=group)


def slow_pulse(raw: bytes) -> int:
    """The pulse rate of formats 1 and 8."""
    return (raw[0] & 3) << 7 | raw[1]


def sample(raw: bytes) -> Sample:
    """Five bytes of format 2 (they begin with 1) or 7 (they do not)."""
    if raw[0] == 1:
        return Sample(raw=raw, format=2, status=raw[1], pleth=raw[2], payload=raw[3])
    return Sample(raw=raw, format=7, status=raw[0], pleth=raw[1] << 8 | raw[2], payload=raw[3])


def packet(samples: list[Sample]) -> Sample:
    """The last of 25 samples, with the packet they make and what it says."""
    p = [s.payload for s in samples]
    content = Packet(
        pulse=_split(p, 0),
        spo2=p[2],
        firmware=p[3],
        stat2=p[7],
        spo2_d=p[8],
        spo2_fast=p[9],
        spo2_beat=p[10],
        e_pulse=_split(p, 13),
        e_spo2=p[15],
        e_spo2_d=p[16],
        pulse_d=_split(p, 19),
        e_pulse_d=_split(p, 21),
    )
    status = _flags(content.stat2, _FAST_STATUS_2)
    for s in samples:
        status |= _flags(s.status, _FAST_STATUS)
        status |= {_FAST_PERFUSION[s.status & 0x06]} if s.status & 0x06 in _FAST_PERFUSION else set()
    observation = _observation(content.spo2, content.pulse, status, b"".join(s.raw for s in samples))
    last = samples[-1]
    return Sample(
        raw=last.raw,
        format=last.format,
        status=last.status,
        pleth=last.pleth,
        payload=last.payload,
        packet=content,
        group=(observation,),
    )


def spot_check(raw: bytes) -> SpotCheck:
    """A whole record of format 13, its length and checksum already verified."""
    data = raw[6:-2]
    bits = int.from_bytes(data[8:10], "big")
    pulse, spo2 = int.from_bytes(data[10:12], "big"), data[13]
    time = _bcd_time(data[:8])
    status = _flags(bits, _SPOT_STATUS) | (frozenset() if time else {Status.CLOCK_UNSET})
    observation = _observation(
        spo2,
        pulse,
        status,
        raw,
        absent=Absent.NOT_PERFORMED if bits & _SPOT_NO_MEASUREMENT else None,
        device_time=time,
        origin=Origin.STORED if bits & _SPOT_FROM_MEMORY else Origin.LIVE,
    )
    serial = _serial(data[14:23])
    return SpotCheck(raw=raw, spo2=spo2, pulse=pulse, status=bits, serial=serial, group=(observation,))


def control(raw: bytes) -> Control:
    """A command or reply whose shape is already verified."""
    if len(raw) == 1:
        return Control(raw=raw, name="ack" if raw[0] == 0x06 else "nak")
    operation, data = raw[1], raw[3:-1]
    if operation == 0x70:
        return Control(raw=raw, name="select-format", format=data[1])
    if operation == 0x72:
        return Control(raw=raw, name="set-time" if data else "get-time", time=_binary_time(data))
    if operation == 0x74:
        return Control(raw=raw, name="get-serial")
    if operation == 0xF2:
        return Control(raw=raw, name="time", time=_binary_time(data))
    return Control(raw=raw, name="serial", serial=_serial(data[1:10]))


def _observation(
    spo2: int,
    pulse: int,
    status: frozenset[Status],
    raw: bytes,
    *,
    absent: Absent | None = None,
    device_time: datetime | None = None,
    origin: Origin = Origin.LIVE,
) -> Observation:
    """With the sensor off the finger the numbers are leftovers: they are no values."""
    if status & _UNUSABLE:
        absent = absent or Absent.UNKNOWN
    return Observation(
        kind=Kind.PULSE_OXIMETRY,
        values=(
            _value(Name.SPO2, Unit.PERCENT, spo2, NO_SPO2, range(SPO2_MAX + 1), absent),
            _value(Name.PULSE_RATE, Unit.PER_MINUTE, pulse, NO_PULSE, PULSE_RANGE, absent),
        ),
        raw=raw,
        device_time=device_time,
        origin=origin,
        status=frozenset(status),
    )


@lru_cache(1024)  # a stream says the same again and again
def _value(name: Name, unit: Unit, number: int, missing: int, possible: range, absent: Absent | None) -> Value:
    if absent is None and number not in possible:
        absent = Absent.UNKNOWN if number == missing else Absent.ERROR
    return Value(name, unit, None if absent else Decimal(number), absent)


def _flags(bits: int, table: dict[int, Status]) -> frozenset[Status]:
    return frozenset(status for mask, status in table.items() if bits & mask)


def _split(payloads: list[int], at: int) -> int:
    return (payloads[at] & 3) << 7 | payloads[at + 1] & 0x7F


def _bcd_time(data: bytes) -> datetime | None:
    """Century, year, month, day, hour, minute, second, hundredths; None where they make no time."""
    digits = data.hex()
    try:
        century, year, month, day, hour, minute, second = (int(digits[i : i + 2]) for i in range(0, 14, 2))
        hundredths = int(digits[14:16]) if digits[14:16].isdecimal() else 0
        return datetime(century * 100 + year, month, day, hour, minute, second, hundredths * 10_000)
    except ValueError:
        return None


def _binary_time(data: bytes) -> datetime | None:
    try:
        return datetime(2000 + data[0], *data[1:6]) if len(data) == 6 else None
    except ValueError:
        return None


def _serial(data: bytes) -> str | None:
    text = data.decode("ascii", "replace").strip("\0 ")
    return text if text and text.isascii() and text.isalnum() else None
