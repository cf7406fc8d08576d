"""Finds five-byte packets in a stream: a byte with its top bit set, and four without.

Sources: Shanghai Berry, "BCI Protocol V1.2" (100 packets a second); Contec's sheet for its models of 4800 baud as
translated at picbasic.co.uk, and atbrask/CMS50Dplus (60 a second). They agree but for three bits, of which the careful
reading is taken. Byte 1 bit 4 is no signal, or too long a search; byte 3 bit 4 no finger, or a probe error: neither is
a measurement. Byte 1 bit 5 is an unplugged probe, or a falling SpO2, which must not be suppressed: it counts only where
the numbers are missing as well. There is no checksum: a packet is believed if the next one stands behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from devicebridge.sdk import Absent, Frame, Kind, Name, Observation, Status, Unit, Value, Why
from devicebridge.sdk.framer import Framer

SERVICE = "49535343-fe7d-4ae5-8fa9-9fafd205e455"
NOTIFY = "49535343-1e4d-4bd9-ba61-23c647249616"
WRITE = "49535343-8841-43f4-a8d4-ecbe34729bb3"
"""Microchip's Transparent UART, as BerryMed has it (com.berry_med.bci.blutooth, Model.java); nothing is written."""

PACKET_BYTES = 5
NO_SPO2 = frozenset({0, 127})
NO_PULSE = frozenset({0, 255})
SPO2_MAX = 100

_NO_SIGNAL, _UNPLUGGED, _BEEP = 0x10, 0x20, 0x40
_NO_FINGER, _SEARCHING, _PULSE_BIT_7 = 0x10, 0x20, 0x40


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet(Frame):
    """A sixtieth or a hundredth of a second. The numbers as sent, 127 and 255 included."""

    signal: int
    pleth: int
    bargraph: int
    pulse: int
    spo2: int
    beep: bool


def codec() -> Framer:
    """A devicebridge Codec."""
    return Framer(_recognise, 2 * PACKET_BYTES)


def _recognise(data: bytes, ended: bool) -> Frame | Why | None:
    if not _is_packet_begun(data[:PACKET_BYTES]) or not _is_packet_begun(data[PACKET_BYTES:]):
        return Why.UNSYNCHRONISED
    if len(data) < (PACKET_BYTES if ended else 2 * PACKET_BYTES):
        return None
    return _packet(data[:PACKET_BYTES])


def _is_packet_begun(data: bytes) -> bool:
    return not data or (data[0] >= 0x80 and max(data[1:], default=0) < 0x80)


def _packet(raw: bytes) -> Packet:
    spo2, pulse = raw[4], (raw[2] & _PULSE_BIT_7) << 1 | raw[3]
    status: set[Status] = set()
    if raw[0] & _NO_SIGNAL:
        status.add(Status.INADEQUATE_SIGNAL)
    if raw[2] & _NO_FINGER:
        status.add(Status.SENSOR_OFF)
    if raw[2] & _SEARCHING:
        status.add(Status.SIGNAL_ANALYSIS_ONGOING)
    if raw[0] & _UNPLUGGED and spo2 in NO_SPO2 and pulse in NO_PULSE:
        status.add(Status.SENSOR_DISCONNECTED)
    is_usable = not raw[0] & _NO_SIGNAL and not raw[2] & _NO_FINGER
    observation = Observation(
        kind=Kind.PULSE_OXIMETRY,
        values=(
            _value(Name.SPO2, Unit.PERCENT, spo2, spo2 in NO_SPO2 or not is_usable),
            _value(Name.PULSE_RATE, Unit.PER_MINUTE, pulse, pulse in NO_PULSE or not is_usable),
        ),
        raw=raw,
        status=frozenset(status),
    )
    return Packet(
        raw=raw,
        group=(observation,),
        signal=raw[0] & 0x0F,
        pleth=raw[1],
        bargraph=raw[2] & 0x0F,
        pulse=pulse,
        spo2=spo2,
        beep=bool(raw[0] & _BEEP),
    )


@lru_cache(1024)  # a stream says the same again and again
def _value(name: Name, unit: Unit, number: int, is_missing: bool) -> Value:
    if is_missing:
        return Value(name, unit, absent=Absent.UNKNOWN)
    if name is Name.SPO2 and number > SPO2_MAX:
        return Value(name, unit, absent=Absent.ERROR)
    return Value(name, unit, Decimal(number))
