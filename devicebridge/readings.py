"""Readings: what a measurement becomes before it is published.

Tables first: codes (LOINC, IEEE 11073-10101), the unit each value is published in, the conversions that need no
judgement, the fence outside which a number is not believed, and how grave each status is. The wire's own digits and
unit travel beside every value. Nothing here compares a value with what is healthy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from .ekg.strip import StripMessage, missing
from .sdk.values import Absent, Comparator, Context, Kind, Name, Observation, Origin, Status, Unit, Value
from .sdk.wave import Strip

SCHEMA: Literal["devicebridge/reading/1"] = "devicebridge/reading/1"


class Quality(StrEnum):
    """ok < questionable < invalid; `test` is never a patient's."""

    OK = "ok"
    QUESTIONABLE = "questionable"
    INVALID = "invalid"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Code:
    """LOINC code, and the IEEE 11073-10101 code as partition * 65536 + term; None where none is settled."""

    loinc: str | None
    mdc: int | None


_PULSE_CUFF = Code("8867-4", 149546)
_PULSE_OXIMETER = Code("8867-4", 149530)
_HEART_RATE_ECG = Code("8867-4", 147842)
_SPO2 = Code("59408-5", 150456)

CODES: Mapping[tuple[Kind, Name], Code | Mapping[Unit, Code]] = {
    (Kind.BLOOD_PRESSURE, Name.SYSTOLIC): Code("8480-6", 150021),
    (Kind.BLOOD_PRESSURE, Name.DIASTOLIC): Code("8462-4", 150022),
    (Kind.BLOOD_PRESSURE, Name.MEAN): Code("8478-0", 150023),
    (Kind.BLOOD_PRESSURE, Name.PULSE_RATE): _PULSE_CUFF,
    (Kind.PULSE_OXIMETRY, Name.SPO2): _SPO2,
    (Kind.PULSE_OXIMETRY, Name.PULSE_RATE): _PULSE_OXIMETER,
    (Kind.PULSE_OXIMETRY, Name.PERFUSION_INDEX): Code("61006-3", 150448),
    (Kind.TEMPERATURE, Name.TEMPERATURE): Code("8310-5", 150364),
    (Kind.GLUCOSE, Name.GLUCOSE): {
        Unit.MG_PER_DL: Code("41653-7", 160184),
        Unit.MMOL_PER_L: Code("14743-9", 160184),
    },
    (Kind.GLUCOSE, Name.KETONE): Code("66441-7", None),
    (Kind.LAB, Name.HBA1C): Code("4548-4", None),
    (Kind.LAB, Name.ANALYTE): Code(None, None),
    (Kind.HEART_RATE, Name.HEART_RATE): _HEART_RATE_ECG,
    (Kind.RESPIRATION_RATE, Name.RESPIRATION_RATE): Code("9279-1", 151562),
    (Kind.WEIGHT, Name.WEIGHT): Code("29463-7", 188736),
    (Kind.WEIGHT, Name.BMI): Code("39156-5", 188752),
    (Kind.WEIGHT, Name.BODY_FAT): Code("41982-0", 188748),
    (Kind.WEIGHT, Name.MUSCLE_PERCENTAGE): Code("73965-6", None),
    (Kind.WEIGHT, Name.MUSCLE_MASS): Code("73964-9", None),
    (Kind.WEIGHT, Name.FAT_FREE_MASS): Code(None, 188756),
    (Kind.WEIGHT, Name.SOFT_LEAN_MASS): Code(None, 188760),
    (Kind.WEIGHT, Name.BODY_WATER_MASS): Code("101683-1", 188764),
    (Kind.HEIGHT, Name.HEIGHT): Code("8302-2", 188740),
}
"""Sources: LOINC 2.7x and the US Core 8.0 vital-signs profiles; IEEE 11073-10101 as in the HL7 PHD guide. Ketone: beta
hydroxybutyrate in blood by test strip, as UnityPoint Finley's test catalogue (BHB-1) codes Abbott's strip meter."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """published = wire * factor + offset, rounded half up to `places` decimals.

    Where only the decimal point moves, `point` says by how many places, and every digit stays.
    """

    to: Unit
    factor: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)
    places: int = 0
    point: int | None = None


CONVERSIONS: Mapping[Unit, Conversion] = {
    # 1 mmHg is 133.322387415 Pa exactly; receivers of blood pressure fix mm[Hg] (US Core).
    Unit.KPA: Conversion(Unit.MMHG, factor=Decimal("7.500615758456565")),
    Unit.KELVIN: Conversion(Unit.CELSIUS, offset=Decimal("-273.15"), places=2),
    # Bluetooth's glucose units: powers of ten only, so that the meter's own number comes out.
    Unit.KG_PER_L: Conversion(Unit.MG_PER_DL, point=5),
    Unit.MOL_PER_L: Conversion(Unit.MMOL_PER_L, point=3),
    Unit.METRE: Conversion(Unit.CENTIMETRE, point=2),
}

_RATE = {Unit.PER_MINUTE: (Decimal(1), Decimal(350))}
_SHARE = {Unit.PERCENT: (Decimal("0.1"), Decimal(100))}
_MASS = {
    Unit.KG: (Decimal("0.1"), Decimal(450)),
    Unit.GRAM: (Decimal(100), Decimal(450_000)),
    Unit.POUND: (Decimal("0.2"), Decimal(992)),
}
_PRESSURE = {Unit.MMHG: (Decimal(1), Decimal(375))}
FENCES: Mapping[Name, Mapping[Unit, tuple[Decimal, Decimal]]] = {
    Name.SYSTOLIC: _PRESSURE,
    Name.DIASTOLIC: _PRESSURE,
    Name.MEAN: _PRESSURE,
    Name.PULSE_RATE: _RATE,
    Name.HEART_RATE: _RATE,
    Name.RESPIRATION_RATE: {Unit.PER_MINUTE: (Decimal(1), Decimal(150))},
    Name.SPO2: {Unit.PERCENT: (Decimal(1), Decimal(100))},
    Name.PERFUSION_INDEX: {Unit.PERCENT: (Decimal(0), Decimal(100))},
    Name.TEMPERATURE: {
        Unit.CELSIUS: (Decimal(26), Decimal(45)),
        Unit.FAHRENHEIT: (Decimal("78.8"), Decimal(113)),
    },
    Name.GLUCOSE: {
        Unit.MG_PER_DL: (Decimal(1), Decimal(2000)),
        Unit.MMOL_PER_L: (Decimal("0.1"), Decimal(111)),
    },
    Name.WEIGHT: _MASS,
    Name.HEIGHT: {
        Unit.CENTIMETRE: (Decimal(20), Decimal(272)),
        Unit.INCH: (Decimal(8), Decimal(107)),
    },
    Name.BMI: {Unit.KG_PER_M2: (Decimal(3), Decimal(200))},
    Name.BODY_FAT: _SHARE,
    Name.MUSCLE_PERCENTAGE: _SHARE,
    Name.MUSCLE_MASS: _MASS,
    Name.FAT_FREE_MASS: _MASS,
    Name.SOFT_LEAN_MASS: _MASS,
    Name.BODY_WATER_MASS: _MASS,
    Name.KETONE: {Unit.MMOL_PER_L: (Decimal(0), Decimal(20))},
    Name.HBA1C: {
        Unit.PERCENT: (Decimal(2), Decimal(25)),
        Unit.MMOL_PER_MOL: (Decimal(0), Decimal(250)),
    },
}
"""What can be a measurement of a person at all (entry limits of the MIMIC-III benchmark's variable table, a zero
excluded, bariatric scales included). A number outside is an error of device or wire: it is published as absent."""

QUALITY_OF_STATUS: Mapping[Status, Quality] = {
    Status.BODY_MOVEMENT: Quality.QUESTIONABLE,
    Status.CUFF_TOO_LOOSE: Quality.QUESTIONABLE,
    Status.IRREGULAR_PULSE: Quality.QUESTIONABLE,
    Status.PULSE_ABOVE_RANGE: Quality.QUESTIONABLE,
    Status.PULSE_BELOW_RANGE: Quality.QUESTIONABLE,
    Status.IMPROPER_POSITION: Quality.QUESTIONABLE,
    Status.ARTIFACT: Quality.QUESTIONABLE,
    Status.OUT_OF_TRACK: Quality.QUESTIONABLE,
    Status.LOW_PERFUSION: Quality.QUESTIONABLE,
    Status.MARGINAL_PERFUSION: Quality.OK,
    Status.SENSOR_OFF: Quality.INVALID,
    Status.SENSOR_DISCONNECTED: Quality.INVALID,
    Status.VALIDATED: Quality.OK,
    Status.EARLY_ESTIMATE: Quality.QUESTIONABLE,
    Status.FULLY_QUALIFIED: Quality.OK,
    Status.MEASUREMENT_ONGOING: Quality.OK,
    Status.CALIBRATION_ONGOING: Quality.QUESTIONABLE,
    Status.MEASUREMENT_UNAVAILABLE: Quality.INVALID,
    Status.QUESTIONABLE_MEASUREMENT: Quality.QUESTIONABLE,
    Status.INVALID_MEASUREMENT: Quality.INVALID,
    Status.EXTENDED_DISPLAY_UPDATE: Quality.OK,
    Status.SIGNAL_PROCESSING_IRREGULAR: Quality.QUESTIONABLE,
    Status.INADEQUATE_SIGNAL: Quality.QUESTIONABLE,
    Status.POOR_SIGNAL: Quality.QUESTIONABLE,
    Status.ERRATIC_SIGNAL: Quality.QUESTIONABLE,
    Status.NON_PULSATILE: Quality.QUESTIONABLE,
    Status.QUESTIONABLE_PULSE: Quality.QUESTIONABLE,
    Status.SIGNAL_ANALYSIS_ONGOING: Quality.OK,
    Status.SENSOR_INTERFERENCE: Quality.QUESTIONABLE,
    Status.SENSOR_FAULT: Quality.INVALID,
    Status.SENSOR_DISPLACED: Quality.QUESTIONABLE,
    Status.AMBIENT_LIGHT: Quality.QUESTIONABLE,
    Status.SAMPLE_TOO_SMALL: Quality.INVALID,
    Status.STRIP_INSERTION_ERROR: Quality.INVALID,
    Status.STRIP_TYPE_ERROR: Quality.INVALID,
    Status.STRIP_PULLED_EARLY: Quality.INVALID,
    Status.RESULT_ABOVE_RANGE: Quality.OK,
    Status.RESULT_BELOW_RANGE: Quality.OK,
    Status.TEMPERATURE_TOO_HIGH: Quality.INVALID,
    Status.TEMPERATURE_TOO_LOW: Quality.INVALID,
    Status.LEAD_OFF: Quality.QUESTIONABLE,
    Status.SATURATED: Quality.QUESTIONABLE,
    Status.UNSTABLE: Quality.QUESTIONABLE,
    Status.TARED: Quality.OK,
    Status.OVERLOAD: Quality.INVALID,
    Status.DEVICE_ERROR: Quality.INVALID,
    Status.UNEXPECTED_FORMAT: Quality.QUESTIONABLE,
    Status.LOW_BATTERY: Quality.OK,
    Status.CLOCK_UNSET: Quality.OK,
    Status.TIME_REPEATED: Quality.OK,
    Status.GATEWAY_CLOCK_SET: Quality.OK,
    Status.CONTROL_SOLUTION: Quality.TEST,
    Status.TEST_DATA: Quality.TEST,
}
_GRAVITY = [Quality.OK, Quality.QUESTIONABLE, Quality.INVALID, Quality.TEST]


@dataclass(frozen=True, slots=True)
class Normal:
    """A value as it is published. `refused`: the device sent a number that cannot be one."""

    name: Name
    unit: Unit
    value: Decimal | None
    absent: Absent | None
    comparator: Comparator | None
    wire: Value
    refused: bool = False


EXPONENT_MAX = 15
"""No fence lets a larger number pass in any unit, and the arithmetic of Decimal fails on it."""


def normalize(value: Value) -> Normal:
    """Converts to the published unit and fences: never clamps, never guesses."""
    conversion = CONVERSIONS.get(value.unit)
    unit = conversion.to if conversion else value.unit
    if value.value is None:
        return Normal(value.name, unit, None, value.absent, None, value)
    if value.name is Name.ANALYTE:  # anything a laboratory can measure: there is no fence to know
        return Normal(value.name, unit, value.value, None, value.comparator, value)
    number = _converted(value.value, conversion) if conversion else value.value
    low, high = FENCES[value.name].get(unit, (None, None))
    if low is None or high is None or not low <= number <= high:
        return Normal(value.name, unit, None, Absent.ERROR, None, value, refused=True)
    return Normal(value.name, unit, number, None, value.comparator, value)


def quality(observation: Observation, values: Iterable[Normal]) -> Quality:
    """The gravest of what the device stated; invalid where no number is left."""
    grades = [QUALITY_OF_STATUS[status] for status in observation.status]
    normals = list(values)
    if any(value.refused for value in normals):
        grades.append(Quality.QUESTIONABLE)
    if observation.strip is not None:
        grades.append(_strip_quality(observation.strip))
    elif all(value.value is None and value.wire.text is None for value in normals):
        grades.append(Quality.INVALID)
    return max(grades, key=_GRAVITY.index, default=Quality.OK)


def _strip_quality(strip: Strip) -> Quality:
    """Of a recording with gaps: questionable; of one without a sample: invalid."""
    if not missing(strip.rows):
        return Quality.OK
    return Quality.QUESTIONABLE if any(s is not None for row in strip.rows for s in row) else Quality.INVALID


def code(kind: Kind, name: Name, unit: Unit) -> Code:
    """Raises KeyError for a pair no table row covers: a driver's mistake, which conformance finds."""
    row = CODES[(kind, name)]
    return row if isinstance(row, Code) else row[unit]


# --- The message: one pydantic tree, from which the JSON Schema is made -----------------------------------------

Number = Annotated[Decimal, WithJsonSchema({"type": "number"})]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Raw(_Message):
    """What stood on the wire."""

    value: str
    """The device's digits."""
    unit: Unit


class ValueMessage(_Message):
    """One value, or the reason why there is none. Exactly one of `value`, `text` and `absent` is present."""

    name: Name
    code: str | None = None
    """Of an analyte: the instrument's own name for it."""
    value: Number | None = None
    text: str | None = None
    """A coded result, in the instrument's own words."""
    absent: Absent | None = None
    """HL7 data-absent-reason."""
    comparator: Comparator | None = None
    """The device could only say "above" or "below" `value` (HI, LO)."""
    unit: Unit
    """UCUM."""
    loinc: str | None
    mdc: int | None
    """IEEE 11073-10101, partition * 65536 + term."""
    raw: Raw | None = None


class DeviceMessage(_Message):
    """The device that measured, in its own words where it gave any."""

    name: str
    """Its name in this room's configuration."""
    driver: str
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None
    user: int | None = None
    """The device's user slot, where it has several; never a patient."""


class ClockWord(StrEnum):
    """How `measured_at` was found.

    device-synced: the device's own time, which agrees with the gateway's. corrected: the device's time plus the
    measured offset of its clock. gateway: the time of arrival. unknown: not known; `measured_at` is null.
    """

    DEVICE_SYNCED = "device-synced"
    CORRECTED = "corrected"
    GATEWAY = "gateway"
    UNKNOWN = "unknown"


class StateWord(StrEnum):
    """preliminary: no person has confirmed it. held: its time is unknown, so a person must look before charting."""

    PRELIMINARY = "preliminary"
    HELD = "held"


class ReadingMessage(_Message):
    """One reading. The same `id` with a higher `revision` is a later word on the same measurement."""

    model_config = ConfigDict(title="devicebridge reading")

    schema_: Literal["devicebridge/reading/1"] = Field(default=SCHEMA, alias="schema")
    id: UUID
    """The same for the same measurement, however often it is sent: dedupe on (id, revision)."""
    kind: Kind
    site: str
    room: str
    device: DeviceMessage
    measured_at: datetime | None
    """When it was measured, with UTC offset; null where that cannot be known."""
    received_at: datetime
    """When this PC had it, with UTC offset."""
    device_time: Annotated[datetime | None, WithJsonSchema({"type": ["string", "null"]})]
    """The device's own clock at the measurement, as given: local, without offset."""
    clock: ClockWord
    clock_offset_s: int | None
    """Gateway minus device, where the device's present time could be read."""
    origin: Origin
    quality: Quality
    status: list[Status]
    context: list[Context]
    """Body site, specimen, meal, where the device said so."""
    values: list[ValueMessage]
    strip: StripMessage | None = None
    """The samples of an EKG recording, from `measured_at` on."""
    subject: None = None
    """Whose it is; null means unassigned."""
    state: StateWord
    revision: int = Field(ge=1)
    simulated: bool
    """True only from the simulated exam room: never chart it."""


def value_messages(observation: Observation, values: Iterable[Normal]) -> list[ValueMessage]:
    messages = []
    for value in values:
        codes = code(observation.kind, value.name, value.unit)
        raw = None
        if value.value is not None and value.wire.value is not None:
            raw = Raw(value=digits(value.wire.value), unit=value.wire.unit)
        messages.append(
            ValueMessage(
                name=value.name,
                code=value.wire.code,
                value=value.value,
                text=value.wire.text,
                absent=value.absent,
                comparator=value.comparator,
                unit=value.unit,
                loinc=codes.loinc,
                mdc=codes.mdc,
                raw=raw,
            )
        )
    return messages


def to_json(message: BaseModel | Mapping[str, Any]) -> str:
    """JSON on one line; numbers keep their Decimal digits; absent parts of a value are left out, not null."""
    tree = message.model_dump(by_alias=True) if isinstance(message, BaseModel) else message
    return _encode(_pruned(tree))


def digits(number: Decimal) -> str:
    """The number's digits without an exponent: 1.240E+2 is 124.0."""
    return format(number, "f")


def _converted(number: Decimal, conversion: Conversion) -> Decimal:
    if number.adjusted() > EXPONENT_MAX:
        return number
    if conversion.point is not None:
        return number.scaleb(conversion.point)
    exact = number * conversion.factor + conversion.offset
    return exact.quantize(Decimal(1).scaleb(-conversion.places), ROUND_HALF_UP)


_OPTIONAL_PARTS = frozenset(
    {
        "value",
        "text",
        "code",
        "absent",
        "comparator",
        "raw",
        "manufacturer",
        "model",
        "serial",
        "firmware",
        "user",
        "strip",
    }
)


def _pruned(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {k: _pruned(v) for k, v in tree.items() if v is not None or k not in _OPTIONAL_PARTS}
    if isinstance(tree, list | tuple):
        return [_pruned(item) for item in tree]
    return tree


def _encode(tree: Any) -> str:
    match tree:
        case Decimal():
            return digits(tree)
        case Mapping():
            return "{" + ", ".join(f"{json.dumps(str(k))}: {_encode(v)}" for k, v in tree.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_encode, tree)) + "]"
        case datetime():
            return json.dumps(tree.isoformat())
        case UUID():
            return json.dumps(str(tree))
        case _:
            return json.dumps(tree)
