"""Units, fences, quality and the message. Conversions are checked against constants of the standards."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

import pytest

from devicebridge import readings
from devicebridge.readings import Quality, normalize
from devicebridge.sdk import Absent, Kind, Name, Observation, Status, Unit, Value


def pressure(number: str, unit: Unit = Unit.MMHG, name: Name = Name.SYSTOLIC) -> Value:
    return Value(name, unit, Decimal(number))


@pytest.mark.parametrize("tenths", range(30, 400))
def test_kpa_becomes_mmhg_by_the_exact_constant(tenths: int) -> None:
    """1 mmHg = 133.322387415 Pa (BIPM, SI brochure 8th ed., table 8), half up to whole mmHg."""
    exact = Fraction(tenths * 100) / Fraction("133.322387415")
    normal = normalize(pressure(str(Decimal(tenths) / 10), Unit.KPA))
    assert normal.value == int(exact + Fraction(1, 2))
    assert normal.unit == "mm[Hg]"


@pytest.mark.parametrize(
    ("wire", "unit", "published", "published_unit"),
    [
        ("0.00124", Unit.KG_PER_L, "124", "mg/dL"),
        ("0.0055", Unit.MOL_PER_L, "5.5", "mmol/L"),
        ("0.00550", Unit.MOL_PER_L, "5.50", "mmol/L"),
    ],
)
def test_glucose_only_moves_the_decimal_point(wire: str, unit: Unit, published: str, published_unit: str) -> None:
    normal = normalize(Value(Name.GLUCOSE, unit, Decimal(wire)))
    assert normal.value is not None
    assert (readings.digits(normal.value), normal.unit) == (published, published_unit)


def test_kelvin_becomes_celsius() -> None:
    normal = normalize(Value(Name.TEMPERATURE, Unit.KELVIN, Decimal("310.15")))
    assert (normal.value, normal.unit) == (Decimal("37.00"), "Cel")


@pytest.mark.parametrize(("unit", "number"), [(Unit.CELSIUS, "37.60"), (Unit.FAHRENHEIT, "98.6")])
def test_temperature_keeps_the_unit_and_digits_sent(unit: Unit, number: str) -> None:
    normal = normalize(Value(Name.TEMPERATURE, unit, Decimal(number)))
    assert normal.value is not None
    assert (readings.digits(normal.value), normal.unit) == (number, unit)


@pytest.mark.parametrize(
    "value",
    [
        pressure("0"),
        pressure("2047"),
        pressure("-1024000"),
        Value(Name.PULSE_RATE, Unit.PER_MINUTE, Decimal(2560000)),
        Value(Name.SPO2, Unit.PERCENT, Decimal(127)),
        Value(Name.SPO2, Unit.PERCENT, Decimal(0)),
        Value(Name.TEMPERATURE, Unit.CELSIUS, Decimal("98.6")),
        Value(Name.GLUCOSE, Unit.PERCENT, Decimal(100)),
    ],
)
def test_f10_a_number_that_cannot_be_one_is_never_published(value: Value) -> None:
    normal = normalize(value)
    assert normal.value is None
    assert normal.absent is Absent.ERROR
    assert normal.refused


def graded(*values: Value, status: frozenset[Status] = frozenset()) -> Quality:
    observation = Observation(kind=Kind.BLOOD_PRESSURE, values=values, raw=b"", status=status)
    return readings.quality(observation, map(normalize, values))


def test_quality_is_the_gravest_of_what_was_stated() -> None:
    good, failed = pressure("120"), Value(Name.MEAN, Unit.MMHG, absent=Absent.NOT_A_NUMBER)
    assert graded(good) is Quality.OK
    assert graded(good, failed) is Quality.OK
    assert graded(failed) is Quality.INVALID
    assert graded(good, status=frozenset({Status.IRREGULAR_PULSE})) is Quality.QUESTIONABLE
    assert graded(good, pressure("2047")) is Quality.QUESTIONABLE
    assert graded(good, status=frozenset({Status.IRREGULAR_PULSE, Status.TEST_DATA})) is Quality.TEST


def test_every_status_has_a_grade_and_every_code_a_fence() -> None:
    assert set(readings.QUALITY_OF_STATUS) == set(Status)
    assert {name for _, name in readings.CODES} - {Name.ANALYTE} <= set(readings.FENCES)


def test_mdc_codes_are_32_bit_and_loinc_check_digits_hold() -> None:
    """LOINC: mod 10 check digit (Luhn). MDC: SCADA partition 2 or PHD partition 2+, never a bare 16-bit term."""
    for row in readings.CODES.values():
        for code in [row] if isinstance(row, readings.Code) else row.values():
            assert code.mdc is None or code.mdc > 0xFFFF
            if code.loinc is None:
                continue
            body, check = code.loinc.split("-")
            doubled = [int(d) * (2 if i % 2 == 0 else 1) for i, d in enumerate(reversed(body))]
            assert (10 - sum(d - 9 if d > 9 else d for d in doubled) % 10) % 10 == int(check), code.loinc


def test_json_keeps_the_digits_of_a_decimal() -> None:
    text = readings.to_json({"a": Decimal("124.0"), "b": Decimal("1.2E+2"), "c": None, "value": None, "d": [True, 1]})
    assert text == '{"a": 124.0, "b": 120, "c": null, "d": [true, 1]}'
    assert json.loads(text)["b"] == 120


def test_every_reason_has_its_words() -> None:
    from devicebridge.health import REMEDIES
    from devicebridge.outbox import Fault
    from devicebridge.publisher.reasons import Reason
    from devicebridge.sdk import Loss
    from devicebridge.words import BROKER, OUTBOX

    assert set(REMEDIES) == set(Loss)
    assert set(OUTBOX) == set(Fault)
    assert set(BROKER) == set(Reason)
    assert all("; " in text or ", " in text for text in BROKER.values())


@pytest.mark.parametrize("number", ["911109250000000000000000000000000", "-3.4E+38", "1E+999999"])
def test_f10_a_number_too_large_to_convert_is_refused_like_any_impossible_one(number: str) -> None:
    """Found by the fuzzer: a SureTemp packet whose one-byte sum agreed, with 9.1E+32 K in its float32."""
    normal = normalize(Value(Name.TEMPERATURE, Unit.KELVIN, Decimal(number)))
    assert (normal.value, normal.absent, normal.refused) == (None, Absent.ERROR, True)
