"""Heart Rate Measurement (2A37), Body Sensor Location (2A38) and Heart Rate Control Point (2A39).

Bluetooth SIG, Heart Rate Service 1.0, section 3, and GATT Specification Supplement: flags, the rate in one byte or two,
then what the flags announce, in their order; the last are as many RR intervals as fit.

A rate is not believed while a sensor that knows whether it is worn says that it is not. Zero is no rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from devicebridge.sdk import Absent, Context, Frame, Kind, Name, Noise, Observation, Status, Unit, Value, Why
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.codec import ValueCodec

MEASUREMENT = uuid16(0x2A37)
LOCATION = uuid16(0x2A38)
CONTROL = uuid16(0x2A39)
CHARACTERISTICS = (MEASUREMENT, LOCATION, CONTROL)

WIDE, CONTACT, CONTACT_KNOWN, ENERGY, INTERVALS = (1 << bit for bit in range(5))

# 0 is another place.
_LOCATIONS = {
    1: Context.CHEST,
    2: Context.WRIST,
    3: Context.FINGER,
    4: Context.HAND,
    5: Context.EARLOBE,
    6: Context.FOOT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(Frame):
    """One value of the stream.

    is_worn: None where the sensor does not know. energy_kj: expended since the last reset. rr_1024ths_s: from one beat
    to the next, oldest first.
    """

    is_worn: bool | None
    energy_kj: int | None
    rr_1024ths_s: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Location(Frame):
    """Where the sensor is meant to be worn. site: None for another place."""

    code: int
    site: Context | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Control(Frame):
    """What a host writes: 1 resets the energy expended. We never do."""

    opcode: int


class Codec(ValueCodec):
    """One whole characteristic value a call, one item back. site: of every value."""

    def __init__(self, characteristic: str | None = None, site: Context | None = None) -> None:
        characteristic = characteristic or MEASUREMENT
        context = frozenset() if site is None else frozenset({site})
        is_measurement = characteristic == MEASUREMENT
        super().__init__(partial(_measurement, context) if is_measurement else _READERS.get(characteristic))


def _measurement(context: frozenset[Context], data: bytes) -> Frame | Noise:
    if why := _misfit(data):
        return Noise(data, why)
    flags = data[0]
    energy_at = 3 if flags & WIDE else 2
    rr_at = energy_at + (2 if flags & ENERGY else 0)
    is_worn = bool(flags & CONTACT) if flags & CONTACT_KNOWN else None
    rate = int.from_bytes(data[1:energy_at], "little")
    return Measurement(
        raw=data,
        group=(_observation(data, rate, is_worn, context),),
        is_worn=is_worn,
        energy_kj=int.from_bytes(data[energy_at:rr_at], "little") if flags & ENERGY else None,
        rr_1024ths_s=tuple(int.from_bytes(data[at : at + 2], "little") for at in range(rr_at, len(data), 2)),
    )


def _misfit(data: bytes) -> Why | None:
    flags = data[0] if data else 0
    length = 2 + bool(flags & WIDE) + (2 if flags & ENERGY else 0)
    more = len(data) - length
    if more < 0:
        return Why.TOO_SHORT
    if flags & INTERVALS:
        return Why.TOO_SHORT if more == 0 or more % 2 else None
    return Why.TOO_LONG if more else None


def _observation(data: bytes, rate: int, is_worn: bool | None, context: frozenset[Context]) -> Observation:
    value = Value(Name.HEART_RATE, Unit.PER_MINUTE, Decimal(rate))
    if is_worn is False or rate == 0:
        value = Value(Name.HEART_RATE, Unit.PER_MINUTE, absent=Absent.ERROR)
    return Observation(
        kind=Kind.HEART_RATE,
        values=(value,),
        raw=data,
        status=frozenset({Status.SENSOR_OFF}) if is_worn is False else frozenset(),
        context=context,
    )


def _location(data: bytes) -> Frame | Noise:
    why = _misfit_byte(data)
    return Noise(data, why) if why else Location(raw=data, code=data[0], site=_LOCATIONS.get(data[0]))


def _control(data: bytes) -> Frame | Noise:
    why = _misfit_byte(data)
    return Noise(data, why) if why else Control(raw=data, opcode=data[0])


def _misfit_byte(data: bytes) -> Why | None:
    if len(data) == 1:
        return None
    return Why.TOO_LONG if data else Why.TOO_SHORT


_READERS: Mapping[str, Callable[[bytes], Frame | Noise]] = {
    LOCATION: _location,
    CONTROL: _control,
}
