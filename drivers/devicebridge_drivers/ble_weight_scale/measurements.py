"""Weight Measurement and Body Composition Measurement: bytes to what the scale said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from devicebridge.sdk import Absent, Frame, Kind, Name, Observation, Status, Unit, Value, Why

from .fields import BadField, Fields

IMPERIAL, TIME, USER, BMI_AND_HEIGHT = (1 << bit for bit in range(4))
MORE = 1 << 12
"""Of a body composition: it comes in two packets, and this is one of them."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A unit of the wire and what one of it is."""

    unit: Unit
    resolution: Decimal


@dataclass(frozen=True, slots=True)
class Units:
    mass: Scale
    length: Scale


_METRES = Scale(Unit.METRE, Decimal("0.001"))
_INCHES = Scale(Unit.INCH, Decimal("0.1"))
_PERCENT = Scale(Unit.PERCENT, Decimal("0.1"))
_BMI = Scale(Unit.KG_PER_M2, Decimal("0.1"))
_OHM_PER_BIT = Decimal("0.1")

System = Mapping[bool, Units]
"""By whether the imperial flag is set."""

STANDARD: System = {
    False: Units(Scale(Unit.KG, Decimal("0.005")), _METRES),
    True: Units(Scale(Unit.POUND, Decimal("0.01")), _INCHES),
}
AND_TENTHS: System = {
    False: Units(Scale(Unit.KG, Decimal("0.1")), _METRES),
    True: Units(Scale(Unit.POUND, Decimal("0.1")), _INCHES),
}

_MASSES = {
    1 << 5: Name.MUSCLE_MASS,
    1 << 6: Name.FAT_FREE_MASS,
    1 << 7: Name.SOFT_LEAN_MASS,
    1 << 8: Name.BODY_WATER_MASS,
}
_BASAL_METABOLISM, _MUSCLE, _IMPEDANCE, _WEIGHT, _HEIGHT = (1 << bit for bit in (3, 4, 9, 10, 11))


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight(Frame):
    """A weighing: the weight with the body-mass index, and the height that the scale was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition(Frame):
    """What the body is made of. A group of nothing: the scale did not measure, as with shoes on.

    is_part: of two packets, of which the second repeats the body fat.
    """

    is_part: bool
    basal_metabolism_kj: int | None
    impedance_ohm: Decimal | None


@dataclass(frozen=True, slots=True)
class _Head:
    """When, and of whom."""

    stamp: datetime | None
    user: int | None
    status: frozenset[Status]

    @classmethod
    def read(cls, fields: Fields, flags: int) -> _Head:
        stamp = fields.stamp() if flags & TIME else None
        user = fields.user() if flags & USER else None
        unset = flags & TIME and stamp is None
        return cls(stamp, user, frozenset({Status.CLOCK_UNSET}) if unset else frozenset())

    def say(self, kind: Kind, raw: bytes, *values: Value | None) -> tuple[Observation, ...]:
        """One observation; none where there is no value."""
        found = tuple(value for value in values if value is not None)
        if not found:
            return ()
        return (
            Observation(
                kind=kind,
                values=found,
                raw=raw,
                device_time=self.stamp,
                status=self.status,
                device_user=self.user,
            ),
        )


def weight(data: bytes, system: System) -> Weight:
    """2A9D, or A&D's own of the same layout. Raises BadField."""
    fields = Fields(data)
    flags = fields.integer(1)
    units = system[bool(flags & IMPERIAL)]
    number = _value(fields, Name.WEIGHT, units.mass) or Value(Name.WEIGHT, units.mass.unit, absent=Absent.ERROR)
    head = _Head.read(fields, flags)
    bmi = height = None
    if flags & BMI_AND_HEIGHT:
        bmi, height = _value(fields, Name.BMI, _BMI), _value(fields, Name.HEIGHT, units.length)
    fields.end()
    if number.value is None:
        bmi = height = None  # of another weighing, if anything
    group = (*head.say(Kind.WEIGHT, data, number, bmi), *head.say(Kind.HEIGHT, data, height))
    return Weight(raw=data, group=group)


def composition(data: bytes) -> Composition:
    """2A9C. Raises BadField."""
    fields = Fields(data)
    flags = fields.integer(2)
    units = STANDARD[bool(flags & IMPERIAL)]
    fat = _value(fields, Name.BODY_FAT, _PERCENT)
    head = _Head.read(fields, flags)
    metabolism_kj = fields.count() if flags & _BASAL_METABOLISM else None
    muscle = _value(fields, Name.MUSCLE_PERCENTAGE, _PERCENT) if flags & _MUSCLE else None
    masses = [_value(fields, name, units.mass) for flag, name in _MASSES.items() if flags & flag]
    impedance = fields.count() if flags & _IMPEDANCE else None
    total = _value(fields, Name.WEIGHT, units.mass) if flags & _WEIGHT else None
    height = _value(fields, Name.HEIGHT, units.length) if flags & _HEIGHT else None
    fields.end()
    _check_share(fat, muscle)
    group = head.say(Kind.HEIGHT, data, height)
    if any((fat, muscle, total, *masses)):
        fat = fat or Value(Name.BODY_FAT, Unit.PERCENT, absent=Absent.NOT_PERFORMED)
        group = (*head.say(Kind.WEIGHT, data, fat, muscle, *masses, total), *group)
    return Composition(
        raw=data,
        group=group,
        is_part=bool(flags & MORE),
        basal_metabolism_kj=metabolism_kj,
        impedance_ohm=None if impedance is None else impedance * _OHM_PER_BIT,
    )


def _value(fields: Fields, name: Name, scale: Scale) -> Value | None:
    return fields.value(name, scale.unit, scale.resolution)


def _check_share(*shares: Value | None) -> None:
    if any(share is not None and share.value is not None and share.value > 100 for share in shares):
        raise BadField(Why.BAD_FIELD)
