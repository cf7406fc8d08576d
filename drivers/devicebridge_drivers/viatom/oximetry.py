"""What the oximeters say of one moment: SpO2, pulse rate and perfusion index, and whether anybody wears them."""

from __future__ import annotations

from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, Observation, Status, Unit, Value

SPO2_MAX, PULSE_MAX = 100, 350
_MISSING = {Name.SPO2: (0, 0xFF), Name.PULSE_RATE: (0, 0xFF, 0xFFFF), Name.PERFUSION_INDEX: (0,)}


def observe(
    raw: bytes,
    spo2: int,
    pulse_per_min: int,
    perfusion_10ths: int | None,
    *,
    is_worn: bool = True,
    is_searching: bool = False,
) -> Observation:
    """The numbers as sent. Beside a sensor that is not worn they are left over, and are not given."""
    said = set[Status]()
    if not is_worn:
        said.add(Status.SENSOR_OFF)
    elif is_searching or (spo2 == 0 and pulse_per_min == 0):
        said.add(Status.SIGNAL_ANALYSIS_ONGOING)
    values = [
        _value(Name.SPO2, Unit.PERCENT, spo2, SPO2_MAX, is_worn),
        _value(Name.PULSE_RATE, Unit.PER_MINUTE, pulse_per_min, PULSE_MAX, is_worn),
    ]
    if perfusion_10ths is not None:
        perfusion = _value(Name.PERFUSION_INDEX, Unit.PERCENT, perfusion_10ths, 0xFF, is_worn)
        values.append(perfusion)
    return Observation(kind=Kind.PULSE_OXIMETRY, values=tuple(values), raw=raw, status=frozenset(said))


def _value(name: Name, unit: Unit, number: int, highest: int, is_worn: bool) -> Value:
    if not is_worn or number in _MISSING[name]:
        return Value(name, unit, absent=Absent.UNKNOWN)
    if number > highest:
        return Value(name, unit, absent=Absent.ERROR)
    return Value(name, unit, Decimal(number).scaleb(-1) if name is Name.PERFUSION_INDEX else Decimal(number))
