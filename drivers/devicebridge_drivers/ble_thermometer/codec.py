"""Temperature Measurement (2A1C), Type (2A1D), Intermediate Temperature (2A1E) and Measurement Interval (2A21).

Bluetooth SIG, Health Thermometer Service 1.0, section 3, and GATT Specification Supplement, the characteristics of the
same names: flags, a 32-bit FLOAT, then what the flags announce, in their order.

A value must be exactly as long as its flags say; reserved flags announce nothing. A number that no display of three
digits could show is noise: a public library writes the exponent of the FLOAT with a bias, and its 98.6 is 1e127.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from devicebridge.sdk import Absent, Context, Frame, Kind, Name, Noise, Observation, Status, Unit, Value, Why
from devicebridge.sdk.bluetooth import date_time, uuid16
from devicebridge.sdk.codec import ValueCodec
from devicebridge.sdk.medfloat import float32

MEASUREMENT = uuid16(0x2A1C)
TYPE = uuid16(0x2A1D)
INTERMEDIATE = uuid16(0x2A1E)
INTERVAL = uuid16(0x2A21)
CHARACTERISTICS = (MEASUREMENT, TYPE, INTERMEDIATE, INTERVAL)

FAHRENHEIT, TIME, SITE = (1 << bit for bit in range(3))
NUMBER_MAX = 999
"""Three digits before the point: what the display of any thermometer holds."""

# Type 2 is "body (general)", which names no site.
_SITES = {
    1: Context.AXILLARY,
    3: Context.EAR,
    4: Context.FINGER,
    5: Context.GASTROINTESTINAL,
    6: Context.ORAL,
    7: Context.RECTAL,
    8: Context.TOE,
    9: Context.TYMPANIC,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(Frame):
    """A result; its group is the one observation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Frame):
    """A temperature that has not settled: never a reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureType(Frame):
    """Where this thermometer measures, if always in one place. site: None for the body in general, or not known."""

    code: int
    site: Context | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval(Frame):
    """How often it measures by itself; 0 where it does not."""

    interval_s: int


class Codec(ValueCodec):
    """One whole characteristic value a call, one item back. site: holds where a value names none itself."""

    def __init__(self, characteristic: str | None = None, site: Context | None = None) -> None:
        characteristic = characteristic or MEASUREMENT
        super().__init__(partial(_measurement, site) if characteristic == MEASUREMENT else _READERS.get(characteristic))


def _measurement(site: Context | None, data: bytes) -> Frame | Noise:
    if why := _misfit(data, _length(data)):
        return Noise(data, why)
    observation = _observation(data, site)
    return Noise(data, Why.BAD_FIELD) if observation is None else Measurement(raw=data, group=(observation,))


def _progress(data: bytes) -> Frame | Noise:
    why = _misfit(data, _length(data))
    return Noise(data, why) if why else Progress(raw=data)


def _type(data: bytes) -> Frame | Noise:
    why = _misfit(data, 1)
    return Noise(data, why) if why else TemperatureType(raw=data, code=data[0], site=_SITES.get(data[0]))


def _interval(data: bytes) -> Frame | Noise:
    why = _misfit(data, 2)
    return Noise(data, why) if why else Interval(raw=data, interval_s=int.from_bytes(data, "little"))


_READERS: Mapping[str, Callable[[bytes], Frame | Noise]] = {
    TYPE: _type,
    INTERMEDIATE: _progress,
    INTERVAL: _interval,
}


def _length(data: bytes) -> int:
    flags = data[0] if data else 0
    return 5 + sum(size for flag, size in ((TIME, 7), (SITE, 1)) if flags & flag)


def _misfit(data: bytes, length: int) -> Why | None:
    if len(data) == length:
        return None
    return Why.TOO_SHORT if len(data) < length else Why.TOO_LONG


def _observation(data: bytes, site: Context | None) -> Observation | None:
    """None where the number is beyond belief. The length is right."""
    flags = data[0]
    number = float32(data[1:5])
    unit = Unit.FAHRENHEIT if flags & FAHRENHEIT else Unit.CELSIUS
    if isinstance(number, Absent):
        value = Value(Name.TEMPERATURE, unit, absent=number)
    elif abs(number) <= NUMBER_MAX:
        value = Value(Name.TEMPERATURE, unit, number)
    else:
        return None
    stamp = date_time(data[5:12]) if flags & TIME else None
    if flags & SITE:
        site = _SITES.get(data[-1])
    return Observation(
        kind=Kind.TEMPERATURE,
        values=(value,),
        raw=data,
        device_time=stamp,
        status=frozenset({Status.CLOCK_UNSET} if flags & TIME and stamp is None else ()),
        context=frozenset() if site is None else frozenset({site}),
    )
