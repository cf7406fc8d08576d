"""PLX Spot-Check (2A5E), Continuous (2A5F), Features (2A60) and Record Access Control Point (2A52).

Bluetooth SIG, Pulse Oximeter Service 1.0.1, section 3, and GATT Specification Supplement, the characteristics of the
same names: flags, SpO2 and pulse rate, then what the flags announce, in their order. A value must be exactly as long
as its flags say; reserved flags announce nothing.

A number that no oximeter can show is no value, and not noise: it may be how a device says that there is no finger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from io import BytesIO

from devicebridge.sdk import Absent, Frame, Kind, Name, Noise, Observation, Origin, Status, Unit, Value, Why, racp
from devicebridge.sdk.bluetooth import date_time, lengths, said, uuid16
from devicebridge.sdk.codec import ValueCodec
from devicebridge.sdk.medfloat import sfloat

from . import nonin

SPOT_CHECK = uuid16(0x2A5E)
CONTINUOUS = uuid16(0x2A5F)
FEATURES = uuid16(0x2A60)
CHARACTERISTICS = (SPOT_CHECK, CONTINUOUS, FEATURES, racp.RACP, nonin.OXIMETRY)

SPOT_TIME, SPOT_MEASUREMENT, SPOT_DEVICE, SPOT_AMPLITUDE, SPOT_CLOCK_UNSET = (1 << bit for bit in range(5))
FAST, SLOW, MEASUREMENT, DEVICE, AMPLITUDE = (1 << bit for bit in range(5))
_SPOT_LENGTHS = lengths(5, ((SPOT_TIME, 7), (SPOT_MEASUREMENT, 2), (SPOT_DEVICE, 3), (SPOT_AMPLITUDE, 2)))
_CONTINUOUS_LENGTHS = lengths(5, ((FAST, 4), (SLOW, 4), (MEASUREMENT, 2), (DEVICE, 3), (AMPLITUDE, 2)))
_FEATURES_LENGTHS = lengths(2, ((1 << 0, 2), (1 << 1, 3)))

FROM_STORAGE = 1 << 9
_MEASUREMENT_STATUS = {
    1 << 5: Status.MEASUREMENT_ONGOING,
    1 << 6: Status.EARLY_ESTIMATE,
    1 << 7: Status.VALIDATED,
    1 << 8: Status.FULLY_QUALIFIED,
    1 << 10: Status.TEST_DATA,  # for demonstration
    1 << 11: Status.TEST_DATA,
    1 << 12: Status.CALIBRATION_ONGOING,
    1 << 13: Status.MEASUREMENT_UNAVAILABLE,
    1 << 14: Status.QUESTIONABLE_MEASUREMENT,
    1 << 15: Status.INVALID_MEASUREMENT,
}
_DEVICE_STATUS = {
    1 << 0: Status.EXTENDED_DISPLAY_UPDATE,
    1 << 1: Status.DEVICE_ERROR,  # equipment malfunction
    1 << 2: Status.SIGNAL_PROCESSING_IRREGULAR,
    1 << 3: Status.INADEQUATE_SIGNAL,
    1 << 4: Status.POOR_SIGNAL,
    1 << 5: Status.LOW_PERFUSION,
    1 << 6: Status.ERRATIC_SIGNAL,
    1 << 7: Status.NON_PULSATILE,
    1 << 8: Status.QUESTIONABLE_PULSE,
    1 << 9: Status.SIGNAL_ANALYSIS_ONGOING,
    1 << 10: Status.SENSOR_INTERFERENCE,
    1 << 11: Status.SENSOR_OFF,  # unconnected to the user
    1 << 12: Status.SENSOR_FAULT,  # unknown sensor
    1 << 13: Status.SENSOR_DISPLACED,
    1 << 14: Status.SENSOR_FAULT,  # malfunctioning
    1 << 15: Status.SENSOR_DISCONNECTED,
}
_NO_VALUE = {  # a number beside one of these is left over
    Status.INVALID_MEASUREMENT: Absent.ERROR,
    Status.MEASUREMENT_UNAVAILABLE: Absent.NOT_PERFORMED,
    Status.SENSOR_OFF: Absent.ERROR,
    Status.SENSOR_DISCONNECTED: Absent.ERROR,
}
KEPT_VALUES = 1024
"""A stream sends a few hundred different numbers, again and again; each is made up once."""
# In the order of the fields; the fences of the readings, so that what is no value ends a stream's act as well.
_POSSIBLE = {
    Name.SPO2: (Unit.PERCENT, Decimal(1), Decimal(100)),
    Name.PULSE_RATE: (Unit.PER_MINUTE, Decimal(1), Decimal(350)),
    Name.PERFUSION_INDEX: (Unit.PERCENT, Decimal(0), Decimal(100)),
}

_FEATURES = (
    "measurement-status",
    "device-and-sensor-status",
    "measurement-storage",
    "timestamp",
    "fast-metric",
    "slow-metric",
    "pulse-amplitude-index",
    "multiple-bonds",
)

Number = Decimal | Absent


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotCheck(Frame):
    """A finished measurement; its group is the one observation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Frame):
    """One moment of a stream; its group is the one observation. fast, slow: SpO2 and pulse rate by other averaging."""

    fast: tuple[Number, Number] | None
    slow: tuple[Number, Number] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Features(Frame):
    """What the oximeter supports. None for a status field that it does not have."""

    bits: int
    features: tuple[str, ...]
    measurement_status: frozenset[Status] | None
    device_status: frozenset[Status] | None
    reports_storage: bool


class Codec(ValueCodec):
    """One whole characteristic value a call, one item back."""

    def __init__(self, characteristic: str | None = None) -> None:
        super().__init__(_DECODERS.get(characteristic or SPOT_CHECK))


def _spot_check(data: bytes) -> Frame | Noise:
    if why := _misfit(data, _SPOT_LENGTHS):
        return Noise(data, why)
    flags = data[0]
    fields = _Fields(data)
    words = [fields.take(2), fields.take(2)]
    time = date_time(fields.take(7)) if flags & SPOT_TIME else None
    bits = fields.bits(2 if flags & SPOT_MEASUREMENT else 0), fields.bits(3 if flags & SPOT_DEVICE else 0)
    if flags & SPOT_AMPLITUDE:
        words.append(fields.take(2))
    is_unset = bool(flags & SPOT_CLOCK_UNSET or (flags & SPOT_TIME and time is None))
    return SpotCheck(raw=data, group=(_observation(data, words, bits, time, is_unset=is_unset),))


def _continuous(data: bytes) -> Frame | Noise:
    if why := _misfit(data, _CONTINUOUS_LENGTHS):
        return Noise(data, why)
    flags = data[0]
    fields = _Fields(data)
    words = [fields.take(2), fields.take(2)]
    fast = fields.pair() if flags & FAST else None
    slow = fields.pair() if flags & SLOW else None
    bits = fields.bits(2 if flags & MEASUREMENT else 0), fields.bits(3 if flags & DEVICE else 0)
    if flags & AMPLITUDE:
        words.append(fields.take(2))
    return Sample(raw=data, group=(_observation(data, words, bits, None),), fast=fast, slow=slow)


def _features(data: bytes) -> Frame | Noise:
    if why := _misfit(data, _FEATURES_LENGTHS):
        return Noise(data, why)
    fields = BytesIO(data)
    bits = int.from_bytes(fields.read(2), "little")
    measurement = int.from_bytes(fields.read(2), "little") if bits & 1 else None
    device = int.from_bytes(fields.read(3), "little") if bits & 2 else None
    return Features(
        raw=data,
        bits=bits,
        features=tuple(feature for bit, feature in enumerate(_FEATURES) if bits >> bit & 1),
        measurement_status=None if measurement is None else frozenset(said(measurement, _MEASUREMENT_STATUS)),
        device_status=None if device is None else frozenset(said(device, _DEVICE_STATUS)),
        reports_storage=bool(measurement and measurement & FROM_STORAGE),
    )


def _misfit(data: bytes, by_flags: Sequence[int]) -> Why | None:
    length = by_flags[data[0] if data else 0]
    if len(data) == length:
        return None
    return Why.TOO_SHORT if len(data) < length else Why.TOO_LONG


class _Fields:
    """Takes one field after the other, behind the flags."""

    def __init__(self, data: bytes) -> None:
        self._bytes = BytesIO(data[1:])

    def take(self, size: int) -> bytes:
        return self._bytes.read(size)

    def pair(self) -> tuple[Number, Number]:
        return sfloat(self.take(2)), sfloat(self.take(2))

    def bits(self, size: int) -> int:
        """0 for a field of no bytes."""
        return int.from_bytes(self.take(size), "little") if size else 0


def _observation(
    data: bytes,
    words: Sequence[bytes],
    bits: tuple[int, int],
    time: datetime | None,
    *,
    is_unset: bool = False,
) -> Observation:
    """words: of SpO2, the pulse rate, and the amplitude where it is there."""
    measurement, device = bits
    statuses = said(measurement, _MEASUREMENT_STATUS) | said(device, _DEVICE_STATUS)
    why_none = next((_NO_VALUE[status] for status in _NO_VALUE if status in statuses), None) if statuses else None
    if is_unset:
        statuses.add(Status.CLOCK_UNSET)
    return Observation(
        kind=Kind.PULSE_OXIMETRY,
        values=tuple([_value(name, word, why_none) for name, word in zip(_POSSIBLE, words, strict=False)]),
        raw=data,
        device_time=time,
        origin=Origin.STORED if measurement & FROM_STORAGE else Origin.LIVE,
        status=frozenset(statuses),
    )


@lru_cache(KEPT_VALUES)
def _value(name: Name, word: bytes, why_none: Absent | None) -> Value:
    unit, lowest, highest = _POSSIBLE[name]
    number = sfloat(word)
    if isinstance(number, Absent):
        return Value(name, unit, absent=number)
    if why_none or not lowest <= number <= highest:
        return Value(name, unit, absent=why_none or Absent.ERROR)
    return Value(name, unit, number)


_DECODERS: Mapping[str, Callable[[bytes], Frame | Noise]] = {
    SPOT_CHECK: _spot_check,
    CONTINUOUS: _continuous,
    FEATURES: _features,
    racp.RACP: racp.decode,
    nonin.OXIMETRY: nonin.decode,
}
