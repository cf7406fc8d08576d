"""What the messages of DINAMAP host communications say.

Sources: GE 2010566 Rev. E, "Host Communications Reference Manual" (ProCare, PRO 100 to 400, CARESCAPE V100), commands
NA, OA, RA and TC as quoted in GeV100SerialConn.cs of a public EMR client (namespace Emr.Devices.GeV100); the same
fields read by tnez/TK-BP, TKBPController.h (NA, RC) and ksupasak/gxt, services/miot-monitor/devices/ids-combo-gw.rb
(NA, OA, RA); NF and RC with answers of a monitor in the comments of a public V100 client (V100.js, `parseBP`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from devicebridge.sdk import Absent, Frame, Kind, Name, Observation, Status, Unit, Value

NO_BP_AGE, NO_TEMPERATURE_AGE = 9999, 99999  # nothing was determined lately

_BUSY, _DONE = 0, 1
_BP_FAILURES = {
    3: "failed",
    4: "pump-up-timeout",
    6: "total-timeout",
    7: "one-pressure-timeout",
    8: "overpressure-or-excess-air",
}
_BP_STATES = {_BUSY: "busy", _DONE: "done", **_BP_FAILURES, 9: "unknown"}
_PATIENTS = {0: "unknown", 1: "adult", 2: "neonate"}
_OXIMETER_OK = 1
_OXIMETER = {
    0: ("standby", None),
    _OXIMETER_OK: ("ok", None),
    3: ("no-data", Status.SENSOR_OFF),  # on a ProCare the finger may be out
    6: ("unplugged", Status.SENSOR_DISCONNECTED),
}
_SOURCES = {2: "oximeter", 3: "nibp"}
_KIND_OF_SOURCE = {"oximeter": Kind.PULSE_OXIMETRY, "nibp": Kind.BLOOD_PRESSURE}
_TEMPERATURE = {
    0: ("done", None),
    1: ("busy", None),
    2: ("timeout", Absent.ERROR),
    3: ("lost-contact-or-out-of-range", Absent.ERROR),
    4: ("aborted-or-unplugged", Absent.NOT_PERFORMED),
}
_PREDICTIVE = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Blank(Frame):
    """A line end with nothing before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Frame):
    """Any message with a right checksum. unit: a space is for any. code: parameter and command."""

    unit: str
    code: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Message):
    """What a host sends, where that can be told."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BloodPressure(Message):
    """The last determination. age_s: how long ago; None where there is none lately. The numbers as sent."""

    state: str | None
    patient: str | None
    is_stat: bool
    age_s: int | None
    systolic: str
    diastolic: str
    mean: str

    @property
    def is_failure(self) -> bool:
        return self.state in _BP_FAILURES.values()


@dataclass(frozen=True, slots=True, kw_only=True)
class Oximetry(Message):
    state: str | None
    spo2: str
    strength: int
    """0 to 9."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate(Message):
    source: str | None
    rate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature(Message):
    """counter: a character that changes when a determination begins. The number in tenths of a degree Fahrenheit,
    whatever the display shows."""

    state: str | None
    is_predictive: bool
    counter: str
    age_s: int | None
    tenths: str


def message(raw: bytes, body: str) -> Message:
    """Of a body whose checksum is verified."""
    unit, code, data = body[0], body[1:3], body[3:]
    pattern, read = _ANSWERS.get(code, (None, None))
    if pattern and read and (match := pattern.fullmatch(data)):
        return read(Message(raw=raw, unit=unit, code=code, data=data), match.groups())
    if body[1:] in _COMMANDS:
        return Command(raw=raw, unit=unit, code=code, data=data, name=_COMMANDS[body[1:]])
    return Message(raw=raw, unit=unit, code=code, data=data)


def is_known(body: str) -> bool:
    pattern, _ = _ANSWERS.get(body[1:3], (None, None))
    return body[1:] in _COMMANDS or (pattern is not None and pattern.fullmatch(body[3:]) is not None)


def _blood_pressure(said: Message, fields: _Fields) -> BloodPressure:
    state, patient, mode, age, systolic, diastolic, mean = fields
    numbers = ((Name.SYSTOLIC, systolic), (Name.DIASTOLIC, diastolic), (Name.MEAN, mean))
    values: tuple[Value, ...] = ()
    if int(state) in _BP_FAILURES:
        values = tuple(Value(name, Unit.MMHG, absent=Absent.ERROR) for name, _ in numbers)
    elif int(state) == _DONE and int(age) != NO_BP_AGE:
        values = tuple(_value(name, Unit.MMHG, text) for name, text in numbers)
        values = () if all(value.absent for value in values) else values
    status = {Status.DEVICE_ERROR} if int(state) in _BP_FAILURES else set()
    return BloodPressure(
        raw=said.raw,
        unit=said.unit,
        code=said.code,
        data=said.data,
        state=_BP_STATES.get(int(state)),
        patient=_PATIENTS.get(int(patient)),
        is_stat=mode == "1",
        age_s=None if int(age) == NO_BP_AGE else int(age),
        systolic=systolic,
        diastolic=diastolic,
        mean=mean,
        group=_group(Kind.BLOOD_PRESSURE, said, values, status),
    )


def _oximetry(said: Message, fields: _Fields) -> Oximetry:
    state, spo2, strength, _ = fields
    name, status = _OXIMETER.get(int(state), (None, None))
    is_ok = int(state) == _OXIMETER_OK
    value = _value(Name.SPO2, Unit.PERCENT, spo2) if is_ok else Value(Name.SPO2, Unit.PERCENT, absent=Absent.UNKNOWN)
    return Oximetry(
        raw=said.raw,
        unit=said.unit,
        code=said.code,
        data=said.data,
        state=name,
        spo2=spo2,
        strength=int(strength),
        group=_group(Kind.PULSE_OXIMETRY, said, (value,), {status} if status else set()),
    )


def _rate(said: Message, fields: _Fields) -> Rate:
    source, rate = _SOURCES.get(int(fields[0])), fields[1]
    value = _value(Name.PULSE_RATE, Unit.PER_MINUTE, rate)
    group = _group(_KIND_OF_SOURCE[source], said, (value,), set()) if source else ()
    return Rate(raw=said.raw, unit=said.unit, code=said.code, data=said.data, source=source, rate=rate, group=group)


def _temperature(said: Message, fields: _Fields) -> Temperature:
    state, mode, counter, age, tenths, _ = fields
    name, failure = _TEMPERATURE.get(int(state), (None, None))
    is_predictive = int(mode) == _PREDICTIVE
    value = None
    if failure:
        value = Value(Name.TEMPERATURE, Unit.FAHRENHEIT, absent=failure)
    elif name == "done" and is_predictive and int(age) != NO_TEMPERATURE_AGE and tenths.isdecimal():
        number = Decimal(tenths).scaleb(-1)
        value = Value(Name.TEMPERATURE, Unit.FAHRENHEIT, number) if number else None
    status = {Status.DEVICE_ERROR} if failure is Absent.ERROR else set()
    return Temperature(
        raw=said.raw,
        unit=said.unit,
        code=said.code,
        data=said.data,
        state=name,
        is_predictive=is_predictive,
        counter=counter,
        age_s=None if int(age) == NO_TEMPERATURE_AGE else int(age),
        tenths=tenths,
        group=_group(Kind.TEMPERATURE, said, (value,) if value else (), status),
    )


def _group(kind: Kind, said: Message, values: tuple[Value, ...], status: set[Status]) -> tuple[Observation, ...]:
    if not values:
        return ()
    return (Observation(kind=kind, values=values, raw=said.raw, status=frozenset(status)),)


def _value(name: Name, unit: Unit, text: str) -> Value:
    """Zero, dashes and -99 are no numbers."""
    digits = text.strip()
    number = Decimal(digits) if digits.isdecimal() else Decimal(0)
    return Value(name, unit, number) if number else Value(name, unit, absent=Absent.UNKNOWN)


_Fields = tuple[str, ...]
_NUMBER = r"([ 0-9-]{3})"
_BP = (re.compile(rf"(\d)(\d)(\d)(\d{{4}}){_NUMBER}{_NUMBER}{_NUMBER}"), _blood_pressure)
_PULSE = (re.compile(rf"(\d){_NUMBER}"), _rate)
_ANSWERS: Mapping[str, tuple[re.Pattern[str], Callable[[Message, _Fields], Message]]] = {
    "NA": _BP,
    "NF": _BP,
    "OA": (re.compile(rf"(\d){_NUMBER}(\d)([ 0-9]{{2}})"), _oximetry),
    "RA": _PULSE,
    "RC": _PULSE,
    "RD": _PULSE,
    "TC": (re.compile(r"(\d)(\d)([ -~])(\d{5})([ 0-9-]{4})(\d)"), _temperature),
}
_COMMANDS = {
    "NA": "read-blood-pressure",
    "NF": "read-displayed-blood-pressure",
    "NC0": "start-blood-pressure",
    "ND": "cancel-blood-pressure",
    "OA": "read-oximetry",
    "RA": "read-rate",
    "RC": "read-blood-pressure-rate",
    "RD": "read-displayed-rate",
    "TC": "read-temperature",
}
LENGTHS = (19, 16, 10, 7, 4, 3)
"""Of the bodies known: NA and NF, TC, OA, the rates; NC0; the other commands."""
