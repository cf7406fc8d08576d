"""Glucose Measurement (2A18), Glucose Feature (2A51) and Record Access Control Point (2A52); see context.py for 2A34.

Bluetooth SIG, Glucose Service 1.0.1, section 3, and GATT Specification Supplement, the characteristics of the same
names: flags, sequence number, base time, then what the flags announce, in their order. A value must be exactly as long
as its flags say; reserved flags announce nothing.

What the meter's display showed as the time is the base time and the offset together. Every measurement comes from the
meter's memory, even one of a minute ago.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from io import BytesIO

from devicebridge.sdk import (
    Absent,
    Comparator,
    Context,
    Frame,
    Kind,
    Name,
    Noise,
    Observation,
    Origin,
    Status,
    Unit,
    Value,
    Why,
    racp,
)
from devicebridge.sdk.bluetooth import date_time, lengths, said, uuid16
from devicebridge.sdk.codec import ValueCodec
from devicebridge.sdk.medfloat import sfloat

from .context import decode as decode_context

MEASUREMENT = uuid16(0x2A18)
CONTEXT = uuid16(0x2A34)
FEATURE = uuid16(0x2A51)
CHARACTERISTICS = (MEASUREMENT, CONTEXT, FEATURE, racp.RACP)

OFFSET, CONCENTRATION, MOLES, STATUS, CONTEXT_FOLLOWS = (1 << bit for bit in range(5))
_LENGTHS = lengths(10, ((OFFSET, 2), (CONCENTRATION, 3), (STATUS, 2)))
OFFSET_UNKNOWN = (0x7FFF, 0x7FFE)
"""The offset ran over, or under."""

_STATUS = (  # by bit, from 0
    Status.LOW_BATTERY,
    Status.DEVICE_ERROR,  # sensor malfunction
    Status.SAMPLE_TOO_SMALL,
    Status.STRIP_INSERTION_ERROR,
    Status.STRIP_TYPE_ERROR,
    Status.RESULT_ABOVE_RANGE,
    Status.RESULT_BELOW_RANGE,
    Status.TEMPERATURE_TOO_HIGH,
    Status.TEMPERATURE_TOO_LOW,
    Status.STRIP_PULLED_EARLY,  # read interrupted
    Status.DEVICE_ERROR,  # general device fault
    Status.CLOCK_UNSET,  # time fault: the time may be wrong
)
_STATUS_BITS = {1 << bit: status for bit, status in enumerate(_STATUS)}
_FAILURES = frozenset(_STATUS[1:5] + _STATUS[7:11])

_SPECIMENS = {
    1: Context.CAPILLARY_WHOLE_BLOOD,
    2: Context.CAPILLARY_PLASMA,
    3: Context.VENOUS_WHOLE_BLOOD,
    4: Context.VENOUS_PLASMA,
    5: Context.ARTERIAL_WHOLE_BLOOD,
    6: Context.ARTERIAL_PLASMA,
    7: Context.WHOLE_BLOOD,
    8: Context.PLASMA,
    9: Context.INTERSTITIAL_FLUID,
}
_LOCATIONS = {1: Context.FINGER, 2: Context.ALTERNATE_SITE, 3: Context.EARLOBE}
_WHERE = tuple(  # by the byte that holds both
    frozenset(word for word in (_SPECIMENS.get(kind & 0x0F), _LOCATIONS.get(kind >> 4)) if word is not None)
    for kind in range(256)
)
_CONTROL_SPECIMEN, _CONTROL_LOCATION = 10, 4

_BEYOND = {  # a result out of the meter's range: its absence where there is no number, status and comparator
    Absent.POSITIVE_INFINITY: (Status.RESULT_ABOVE_RANGE, Comparator.ABOVE),
    Absent.NEGATIVE_INFINITY: (Status.RESULT_BELOW_RANGE, Comparator.BELOW),
}

_FEATURES = (
    "low-battery-detection",
    "sensor-malfunction-detection",
    "sample-size",
    "strip-insertion-error-detection",
    "strip-type-error-detection",
    "result-high-low-detection",
    "temperature-high-low-detection",
    "read-interrupt-detection",
    "general-device-fault",
    "time-fault",
    "multiple-bonds",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(Frame):
    """A record; its group is the one observation."""

    sequence: int
    context_follows: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature(Frame):
    """What the meter can detect."""

    bits: int
    features: tuple[str, ...]


class Codec(ValueCodec):
    """One whole characteristic value a call, one item back."""

    def __init__(self, characteristic: str | None = None) -> None:
        super().__init__(_DECODERS.get(characteristic or MEASUREMENT))


def _feature(data: bytes) -> Frame | Noise:
    if len(data) != 2:
        return Noise(data, Why.TOO_SHORT if len(data) < 2 else Why.TOO_LONG)
    bits = int.from_bytes(data, "little")
    return Feature(raw=data, bits=bits, features=tuple(f for bit, f in enumerate(_FEATURES) if bits >> bit & 1))


def _measurement(data: bytes) -> Frame | Noise:
    flags = data[0] if data else 0
    length = _LENGTHS[flags]
    if len(data) != length:
        return Noise(data, Why.TOO_SHORT if len(data) < length else Why.TOO_LONG)
    sequence = int.from_bytes(data[1:3], "little")
    return Measurement(
        raw=data,
        group=(_observation(data, flags, sequence),),
        sequence=sequence,
        context_follows=bool(flags & CONTEXT_FOLLOWS),
    )


def _observation(data: bytes, flags: int, sequence: int) -> Observation:
    fields = BytesIO(data[3:])
    time = _displayed_time(fields.read(7), fields.read(2) if flags & OFFSET else bytes(2))
    number = sfloat(fields.read(2)) if flags & CONCENTRATION else None
    kind = fields.read(1)[0] if flags & CONCENTRATION else 0
    bits = int.from_bytes(fields.read(2), "little") if flags & STATUS else 0
    statuses = said(bits, _STATUS_BITS)
    if isinstance(number, Absent) and number in _BEYOND:
        statuses.add(_BEYOND[number][0])
    if kind & 0x0F == _CONTROL_SPECIMEN or kind >> 4 == _CONTROL_LOCATION:
        statuses.add(Status.CONTROL_SOLUTION)
    if time is None:
        statuses.add(Status.CLOCK_UNSET)
    return Observation(
        kind=Kind.GLUCOSE,
        values=(_glucose(number, Unit.MOL_PER_L if flags & MOLES else Unit.KG_PER_L, statuses),),
        raw=data,
        device_time=time,
        record=str(sequence),
        origin=Origin.STORED,
        status=frozenset(statuses),
        context=_WHERE[kind],
    )


def _displayed_time(base: bytes, offset: bytes) -> datetime | None:
    """None where either part is not known."""
    time, minutes = date_time(base), int.from_bytes(offset, "little", signed=True)
    if time is None or not minutes:
        return time
    if minutes in OFFSET_UNKNOWN:
        return None
    try:
        return time + timedelta(minutes=minutes)
    except OverflowError:
        return None


def _glucose(number: Decimal | Absent | None, unit: Unit, statuses: set[Status]) -> Value:
    """number: None where the meter sent no concentration. Zero and less are no measurement."""
    beyond = [absent for absent, (status, _) in _BEYOND.items() if status in statuses] if statuses else []
    if len(beyond) > 1:
        return Value(Name.GLUCOSE, unit, absent=Absent.ERROR)  # HI and LO at once
    if isinstance(number, Decimal) and number > 0:
        return Value(Name.GLUCOSE, unit, number, comparator=_BEYOND[beyond[0]][1] if beyond else None)
    if beyond:
        return Value(Name.GLUCOSE, unit, absent=beyond[0])
    if number is None:
        return Value(Name.GLUCOSE, unit, absent=Absent.ERROR if statuses & _FAILURES else Absent.UNKNOWN)
    return Value(Name.GLUCOSE, unit, absent=number if isinstance(number, Absent) else Absent.ERROR)


_DECODERS: Mapping[str, Callable[[bytes], Frame | Noise]] = {
    MEASUREMENT: _measurement,
    CONTEXT: decode_context,
    FEATURE: _feature,
    racp.RACP: racp.decode,
}
