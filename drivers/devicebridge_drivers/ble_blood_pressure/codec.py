"""Blood Pressure Measurement (2A35), Intermediate Cuff Pressure (2A36) and Blood Pressure Feature (2A49).

Bluetooth SIG, Blood Pressure Service 1.1.1, section 3, and GATT Specification Supplement, the characteristics of the
same names: flags, three pressures, then what the flags announce, in their order.

A value must be exactly as long as its flags say; reserved flags announce nothing. One that is longer was laid out by
other rules than these: a cuff that slips a byte in would have its pulse read as 2,560,000. Of such a value the
pressures and the time, which lie before all that can be slipped in, are kept where they vouch for each other (a
systolic above its diastolic, a real date); the rest is absent and the reading is marked UNEXPECTED_FORMAT. All else,
and a number that no display of three digits could show, is noise, which is counted and shown. A model that really
works so gets a row in `QUIRKS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from devicebridge.sdk import Absent, Frame, Kind, Name, Noise, Observation, Status, Unit, Value, Why
from devicebridge.sdk.bluetooth import date_time, lengths, said, uuid16
from devicebridge.sdk.medfloat import sfloat

MEASUREMENT = uuid16(0x2A35)
CUFF_PRESSURE = uuid16(0x2A36)
FEATURE = uuid16(0x2A49)
CHARACTERISTICS = (MEASUREMENT, CUFF_PRESSURE, FEATURE)

KPA, TIME, PULSE, USER, STATUS = (1 << bit for bit in range(5))
UNKNOWN_USER = 255
_LENGTHS = lengths(7, ((TIME, 7), (PULSE, 2), (USER, 1), (STATUS, 2)))
NUMBER_MAX = 999
"""Three digits: what the display of any cuff holds, and more than its pump reaches."""

KEPT_VALUES = 1024
"""Cuffs send a few hundred different numbers, again and again; each is made up once."""

LENGTH_MAX = 20
"""What fits one packet of the smallest kind; the longest value the service knows has 19."""

_STATUS = {
    1 << 0: Status.BODY_MOVEMENT,
    1 << 1: Status.CUFF_TOO_LOOSE,
    1 << 2: Status.IRREGULAR_PULSE,
    1 << 5: Status.IMPROPER_POSITION,
}
_PULSE_RANGE = {1: Status.PULSE_ABOVE_RANGE, 2: Status.PULSE_BELOW_RANGE}

# Zero is no measurement. A cuff that computes no mean fills that mandatory field with zero; in any other field zero
# stands for a failure.
_ZERO = {Name.MEAN: Absent.NOT_PERFORMED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """How one model departs from the service.

    always_user: sends the user byte although its flag is clear.
    big_endian_tail: pulse and status have their high byte first.
    notifies_time: notifies its time when it is connected to, and takes another only then; at any other time it may
        drop the connection.
    """

    always_user: bool = False
    big_endian_tail: bool = False
    notifies_time: bool = False


QUIRKS = {
    # github.com/derdilla/blood-pressure-monitor-fl, pull requests 735 and 737: captures of a BM85
    "BM85": Quirk(always_user=True, big_endian_tail=True),
    # github.com/weliem/blessed-android, BluetoothHandler.java of its example: Omron cuffs that keep to the service
    "BLEsmart_": Quirk(notifies_time=True),
    "BLESmart_": Quirk(notifies_time=True),
}
"""By the beginning of the model number or of the advertised name."""


def quirk_of(*names: str | None) -> Quirk | None:
    """The first row that fits one of the device's names for itself; None for a device that keeps to the service."""
    return next((quirk for n in names if n for prefix, quirk in QUIRKS.items() if n.startswith(prefix)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(Frame):
    """A result; its group is the one observation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Frame):
    """Cuff pressure during a measurement: never a blood pressure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature(Frame):
    """What the cuff can detect, as its bits."""

    bits: int


class Codec:
    """One whole characteristic value a call, one item back."""

    def __init__(self, characteristic: str | None = None, *names: str | None) -> None:
        self._characteristic = characteristic or MEASUREMENT
        self._quirk = quirk_of(*names) or Quirk()

    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        if self._characteristic == FEATURE:
            return (_feature(data),)
        if self._characteristic not in (MEASUREMENT, CUFF_PRESSURE):
            return (Noise(data, Why.UNKNOWN_CHARACTERISTIC),)
        why = _misfit(data, self._quirk)
        if self._characteristic == CUFF_PRESSURE:
            return (Noise(data, why) if why else Progress(raw=data),)
        if why is None:
            observation, why = _observation(data, self._quirk), Why.BAD_FIELD
        else:
            observation = _front(data) if why is Why.TOO_LONG else None
        return (Noise(data, why) if observation is None else Measurement(raw=data, group=(observation,)),)

    def close(self) -> Sequence[Frame | Noise]:
        return ()


def _feature(data: bytes) -> Feature | Noise:
    if len(data) != 2:
        return Noise(data, Why.TOO_SHORT if len(data) < 2 else Why.TOO_LONG)
    return Feature(raw=data, bits=int.from_bytes(data, "little"))


def _misfit(data: bytes, quirk: Quirk) -> Why | None:
    length = _LENGTHS[_flags(data, quirk) if data else 0]
    if len(data) == length:
        return None
    return Why.TOO_SHORT if len(data) < length else Why.TOO_LONG


def _flags(data: bytes, quirk: Quirk) -> int:
    return data[0] | (USER if quirk.always_user else 0)


def _observation(data: bytes, quirk: Quirk, flags: int | None = None) -> Observation | None:
    """None where a number is beyond belief. The length is right. flags: in place of those in the value."""
    flags = _flags(data, quirk) if flags is None else flags
    fields = _Fields(data, quirk.big_endian_tail)
    unit = Unit.KPA if flags & KPA else Unit.MMHG
    values = [fields.value(name, unit) for name in (Name.SYSTOLIC, Name.DIASTOLIC, Name.MEAN)]
    stamp = fields.stamp() if flags & TIME else None
    if flags & PULSE:
        values.append(fields.value(Name.PULSE_RATE, Unit.PER_MINUTE))
    user = fields.take(1)[0] if flags & USER else UNKNOWN_USER
    status = fields.status() if flags & STATUS else set()
    if flags & TIME and stamp is None:
        status.add(Status.CLOCK_UNSET)
    believed = tuple(value for value in values if value is not None)
    if len(believed) < len(values):
        return None
    return Observation(
        kind=Kind.BLOOD_PRESSURE,
        values=believed,
        raw=data,
        device_time=stamp,
        device_user=None if user == UNKNOWN_USER else user,
        status=frozenset(status),
    )


def _front(data: bytes) -> Observation | None:
    """What of a value that is too long can be believed; None where its fields do not vouch for each other."""
    flags = data[0]
    if len(data) > LENGTH_MAX or not flags & TIME:
        return None
    plain = _observation(data[:14], Quirk(), flags & (KPA | TIME))
    if plain is None or plain.device_time is None:
        return None
    systolic, diastolic = (value.value for value in plain.values[:2])
    if systolic is None or diastolic is None or systolic <= diastolic:
        return None
    pulse = (Value(Name.PULSE_RATE, Unit.PER_MINUTE, absent=Absent.ERROR),) if flags & PULSE else ()
    return replace(plain, raw=data, values=(*plain.values, *pulse), status=frozenset({Status.UNEXPECTED_FORMAT}))


class _Fields:
    """Takes one field after the other."""

    def __init__(self, data: bytes, big_endian_tail: bool) -> None:
        self._data = data
        self._at = 1
        self._swapped = big_endian_tail

    def take(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]

    def value(self, name: Name, unit: Unit) -> Value | None:
        return _value(name, unit, self._word() if name is Name.PULSE_RATE else self.take(2))

    def stamp(self) -> datetime | None:
        return date_time(self.take(7))

    def status(self) -> set[Status]:
        bits = int.from_bytes(self._word(), "little")
        statuses = said(bits, _STATUS)
        if (beyond := _PULSE_RANGE.get(bits >> 3 & 3)) is not None:
            statuses.add(beyond)
        return statuses

    def _word(self) -> bytes:
        """Two bytes in the service's order, whatever the model's."""
        return self.take(2)[::-1] if self._swapped else self.take(2)


@lru_cache(KEPT_VALUES)
def _value(name: Name, unit: Unit, word: bytes) -> Value | None:
    """None for a number beyond belief."""
    number = sfloat(word)
    if isinstance(number, Absent):
        return Value(name, unit, absent=number)
    if number == 0:
        return Value(name, unit, absent=_ZERO.get(name, Absent.ERROR))
    return Value(name, unit, number) if 0 < number <= NUMBER_MAX else None
