"""What a stored record says: four bytes of time with flags, and four of values, whose meaning hangs on the model.

The first digits of the model tell what it measures. Sources, besides those of the manifest: medical_ble_toolkit,
brands/fora/protocol.py (the model numbers, 65535 as invalid); Ultron-esp32BLE, foraBP.h and foraThermometer.h (the
flags in the time); tidepool-org/uploader, glucoRxDriver.js, and advmeds, TaiDocMixDecoder01.java (the kinds of strip).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from enum import Enum, auto

from devicebridge.sdk import Absent, Comparator, Context, Kind, Name, Observation, Origin, Status, Unit, Value

INVALID = 0xFFFF
HIGHEST_MG_DL, LOWEST_MG_DL = 600, 20  # "according to spec" (glucoRxDriver.js)
HIGHEST_KETONE = Decimal("8.0")
KETONE_FACTOR = 30

_FROM_BP, _ARRHYTHMIA = 0x80, 0x40  # in the byte of the minute
_IRREGULAR = 0x60  # in the byte of the hour
_FAHRENHEIT = 0x80
_PULSE_ERRORS = range(4)  # advmeds, TaiDocBaseBpDecoder01.java: not a pulse but an error


class Measures(Enum):
    TEMPERATURE = auto()
    WEIGHT = auto()
    BLOOD_PRESSURE = auto()
    GLUCOSE_AND_BLOOD_PRESSURE = auto()
    GLUCOSE = auto()
    OXIMETRY = auto()


_BY_MODEL = (
    ("32", Measures.GLUCOSE_AND_BLOOD_PRESSURE),
    ("1", Measures.TEMPERATURE),
    ("2", Measures.WEIGHT),
    ("3", Measures.BLOOD_PRESSURE),
    ("4", Measures.GLUCOSE),
    ("8", Measures.OXIMETRY),
)


def measures(model: str) -> Measures | None:
    """model: four digits. None for what this driver does not read."""
    return next((what for head, what in _BY_MODEL if model.startswith(head)), None)


def moment(data: bytes) -> datetime | None:
    """Day, month and year in 16 bits, low byte first; minute; hour. The bits above minute and hour are flags."""
    day = data[0] | data[1] << 8
    try:
        return datetime(2000 + (day >> 9), day >> 5 & 0x0F, day & 0x1F, data[3] & 0x1F, data[2] & 0x3F)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Said:
    kind: Kind
    values: tuple[Value, ...]
    status: frozenset[Status] = frozenset()
    context: frozenset[Context] = frozenset()


def observation(model: str | None, time: bytes | None, data: bytes, raw: bytes) -> Observation | None:
    """time: the record's, where it was read just before. None where the bytes may mean more than one thing."""
    what = measures(model) if model else _likely(data)
    said = _READERS[what](time or bytes(4), data) if what in _READERS else None
    if said is None:
        return None
    when = moment(time) if time else None
    status = said.status | (frozenset({Status.CLOCK_UNSET}) if time and when is None else frozenset())
    return Observation(
        kind=said.kind,
        values=said.values,
        raw=raw,
        device_time=when,
        origin=Origin.STORED,
        status=status,
        context=said.context,
    )


def _likely(data: bytes) -> Measures | None:
    """What a record is whose model is not known, where only one thing is possible.

    Blood pressure with a mean between systolic and diastolic; glucose below 1024 with a strip code that is no diastolic
    pressure and no ambient temperature, and flags that are no pulse rate but three: with one of these it must be more
    than a saturation can be.
    """
    systolic, mean, diastolic, pulse = data
    if 0 < diastolic < mean < systolic and mean >= 20 and pulse not in _PULSE_ERRORS:
        return Measures.BLOOD_PRESSURE
    may_be_oximetry = 0 < (data[0] | data[1] << 8) <= 100 and data[3]
    if data[1] < 4 and data[2] < 20 and not data[3] & 0x3F and not may_be_oximetry:
        return Measures.GLUCOSE
    return None


def _blood_pressure(time: bytes, data: bytes) -> _Said:
    """Systolic, mean, diastolic, pulse. A D40's systolic has 16 bits and no mean beside it."""
    systolic, mean, diastolic, pulse = data
    if mean < 2:
        systolic, mean = systolic | mean << 8, 0
    is_failed = not systolic or not diastolic or pulse in _PULSE_ERRORS
    values = [(Name.SYSTOLIC, systolic), (Name.DIASTOLIC, diastolic), *([(Name.MEAN, mean)] if mean else [])]
    pressures = tuple(_number(name, Unit.MMHG, number, is_failed=is_failed) for name, number in values)
    status = {Status.DEVICE_ERROR} if is_failed else set()
    if time[2] & _ARRHYTHMIA or time[3] & _IRREGULAR:
        status.add(Status.IRREGULAR_PULSE)
    rate = _number(Name.PULSE_RATE, Unit.PER_MINUTE, pulse, is_failed=is_failed)
    return _Said(Kind.BLOOD_PRESSURE, (*pressures, rate), frozenset(status))


def _glucose_or_blood_pressure(time: bytes, data: bytes) -> _Said:
    return _blood_pressure(time, data) if time[2] & _FROM_BP else _strip(time, data)


def _oximetry(_time: bytes, data: bytes) -> _Said:
    spo2, pulse = data[0] | data[1] << 8, data[3]
    return oximetry(spo2, pulse)


def oximetry(spo2: int, pulse: int) -> _Said:
    values = (
        _number(Name.SPO2, Unit.PERCENT, spo2, is_failed=not 0 < spo2 <= 100),
        _number(Name.PULSE_RATE, Unit.PER_MINUTE, pulse, is_failed=pulse in (0, 0xFF)),
    )
    return _Said(Kind.PULSE_OXIMETRY, values)


_BODY_SITES = {0: {Context.EAR}, 1: {Context.FOREHEAD}, 2: {Context.RECTAL}, 3: {Context.AXILLARY}, 6: set()}
_TENTHS_CELSIUS, _HUNDREDTHS_CELSIUS, _TENTHS_FAHRENHEIT = range(200, 501), range(2_000, 5_001), range(700, 1_200)


def _temperature(time: bytes, data: bytes) -> _Said | None:
    """Object and ambient temperature. None for the temperature of a room or a thing (places 4 and 5)."""
    place = time[2] >> 6 | (time[3] >> 5 & 1) << 2
    if place not in _BODY_SITES:
        return None
    number, unit = data[0] | data[1] << 8, Unit.CELSIUS
    if number in _TENTHS_FAHRENHEIT and time[3] & _FAHRENHEIT:
        unit, value = Unit.FAHRENHEIT, Decimal(number).scaleb(-1)
    elif number in _TENTHS_CELSIUS:
        value = Decimal(number).scaleb(-1)
    elif number in _HUNDREDTHS_CELSIUS:
        value = Decimal(number).scaleb(-2)
    else:
        failed = Value(Name.TEMPERATURE, unit, absent=Absent.ERROR)
        return _Said(Kind.TEMPERATURE, (failed,), frozenset({Status.DEVICE_ERROR}))
    return _Said(Kind.TEMPERATURE, (Value(Name.TEMPERATURE, unit, value),), context=frozenset(_BODY_SITES[place]))


def _number(name: Name, unit: Unit, number: int, *, is_failed: bool) -> Value:
    return Value(name, unit, None if is_failed else Decimal(number), Absent.ERROR if is_failed else None)


# --- Strips: the last byte has the meal in its two highest bits and the kind of strip in the four below them --------

_MEALS = {0x40: Context.BEFORE_MEAL, 0x80: Context.AFTER_MEAL}
_CONTROL = 0xC0


@dataclass(frozen=True, slots=True)
class _Analyte:
    code: str
    unit: Unit
    places: int = 0
    unit_text: str = ""  # where UCUM's code is none of the SDK's


_ANALYTES: Mapping[int, _Analyte] = {
    6: _Analyte("hematocrit", Unit.PERCENT),
    8: _Analyte("uric acid", Unit.MG_PER_DL, 1),
    9: _Analyte("cholesterol", Unit.MG_PER_DL),
    11: _Analyte("hemoglobin", Unit.UNITY, 1, " g/dL"),
    12: _Analyte("lactate", Unit.MG_PER_DL),
    13: _Analyte("triglycerides", Unit.MG_PER_DL),
}


def _strip(_time: bytes, data: bytes) -> _Said:
    number, flags = data[0] | data[1] << 8, data[3]
    strip, meal = flags >> 2 & 0x0F, flags & 0xC0
    value = {0: _glucose, 7: _ketone}.get(strip, lambda n: _analyte(strip, n))(number)
    status = {_OUT_OF_RANGE[value.comparator]} if value.comparator else set()
    if meal == _CONTROL:
        status.add(Status.CONTROL_SOLUTION)
    if value.absent is Absent.UNKNOWN:
        status.add(Status.UNEXPECTED_FORMAT)
    kind = Kind.LAB if value.name is Name.ANALYTE else Kind.GLUCOSE
    return _Said(kind, (value,), frozenset(status), frozenset({_MEALS[meal]} if meal in _MEALS else ()))


def _glucose(number: int) -> Value:
    if number in (0, INVALID):
        return Value(Name.GLUCOSE, Unit.MG_PER_DL, absent=Absent.ERROR)
    comparator = Comparator.ABOVE if number > HIGHEST_MG_DL else Comparator.BELOW if number < LOWEST_MG_DL else None
    shown = min(max(number, LOWEST_MG_DL), HIGHEST_MG_DL)
    return Value(Name.GLUCOSE, Unit.MG_PER_DL, Decimal(shown), comparator=comparator)


def _ketone(number: int) -> Value:
    """Stored as thirty times the mmol/L; shown to a tenth. There is no LO."""
    if number == INVALID:
        return Value(Name.KETONE, Unit.MMOL_PER_L, absent=Absent.ERROR)
    value = (Decimal(number) / KETONE_FACTOR).quantize(Decimal("0.1"), ROUND_DOWN)
    comparator = Comparator.ABOVE if value > HIGHEST_KETONE else None
    return Value(Name.KETONE, Unit.MMOL_PER_L, min(value, HIGHEST_KETONE), comparator=comparator)


def _analyte(strip: int, number: int) -> Value:
    known = _ANALYTES.get(strip)
    if known is None or number in (0, INVALID):
        code = known.code if known else f"strip {strip}"
        return Value(Name.ANALYTE, Unit.UNITY, absent=Absent.ERROR if known else Absent.UNKNOWN, code=code)
    value = Decimal(number).scaleb(-known.places)
    if known.unit_text:
        return Value(Name.ANALYTE, known.unit, text=f"{value}{known.unit_text}", code=known.code)
    return Value(Name.ANALYTE, known.unit, value, code=known.code)


_OUT_OF_RANGE = {Comparator.ABOVE: Status.RESULT_ABOVE_RANGE, Comparator.BELOW: Status.RESULT_BELOW_RANGE}
_READERS: Mapping[Measures | None, Callable[[bytes, bytes], _Said | None]] = {
    Measures.TEMPERATURE: _temperature,
    Measures.BLOOD_PRESSURE: _blood_pressure,
    Measures.GLUCOSE_AND_BLOOD_PRESSURE: _glucose_or_blood_pressure,
    Measures.GLUCOSE: _strip,
    Measures.OXIMETRY: _oximetry,
}
