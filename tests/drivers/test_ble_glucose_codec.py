"""The codec against vectors with their sources and the tables of the Glucose Service; the joining of two values."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import devicebridge_drivers.ble_glucose as driver
from devicebridge import readings
from devicebridge.sdk import Absent, Comparator, Context, Name, Noise, Observation, Origin, Status, Unit, Why, racp
from devicebridge.testing import vectors
from devicebridge_drivers.ble_glucose.codec import (
    CHARACTERISTICS,
    CONTEXT,
    FEATURE,
    MEASUREMENT,
    Codec,
    Feature,
    Measurement,
)
from devicebridge_drivers.ble_glucose.context import Joiner, MealContext
from devicebridge_drivers.ble_glucose.quirks import QUIRKS, Quirk, quirk_of

FOLDER = Path(driver.__file__).parent
VECTORS = vectors.load(FOLDER)
TIME = "ea070b150a1305"  # 2026-11-21 10:19:05
MG_105 = "69b0"  # 105e-5 kg/L


def one(characteristic: str, data: str) -> Any:
    (item,) = Codec(characteristic).feed(bytes.fromhex(data))
    assert item.raw == bytes.fromhex(data)
    return item


def observed(data: str) -> Observation:
    item = one(MEASUREMENT, data)
    assert isinstance(item, Measurement), item
    return item.group[0]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v.id)
def test_vectors(vector: vectors.Vector) -> None:
    vectors.check(driver.DRIVER, vector)


def test_vector_ids_are_unique() -> None:
    assert len({v.id for v in VECTORS}) == len(VECTORS)


@given(st.sampled_from((*CHARACTERISTICS, "ffff")), st.binary(max_size=64))
def test_one_item_a_value_and_never_an_exception(characteristic: str, data: bytes) -> None:
    (item,) = Codec(characteristic).feed(data)
    assert item.raw == data


@given(st.integers(0, 255), st.binary(min_size=16, max_size=16))
def test_f10_no_number_but_a_positive_one(flags: int, rest: bytes) -> None:
    length = 9 + 2 * (flags & 1) + 3 * (flags >> 1 & 1) + 2 * (flags >> 3 & 1)
    (item,) = Codec(MEASUREMENT).feed(bytes([flags]) + rest[:length])
    assert isinstance(item, Measurement)
    (value,) = item.group[0].values
    assert value.value is None or value.value > 0
    assert value.unit is (Unit.MOL_PER_L if flags & 4 else Unit.KG_PER_L)
    assert item.group[0].origin is Origin.STORED


# Glucose Service 1.0.1, 3.1.1.7, Sensor Status Annunciation, by bit.
STATUS_BITS = [
    Status.LOW_BATTERY,
    Status.DEVICE_ERROR,
    Status.SAMPLE_TOO_SMALL,
    Status.STRIP_INSERTION_ERROR,
    Status.STRIP_TYPE_ERROR,
    Status.RESULT_ABOVE_RANGE,
    Status.RESULT_BELOW_RANGE,
    Status.TEMPERATURE_TOO_HIGH,
    Status.TEMPERATURE_TOO_LOW,
    Status.STRIP_PULLED_EARLY,
    Status.DEVICE_ERROR,
    Status.CLOCK_UNSET,
]


@pytest.mark.parametrize(("bit", "status"), list(enumerate(STATUS_BITS)), ids=str)
def test_every_status_bit(bit: int, status: Status) -> None:
    observation = observed(f"0a0e00{TIME}{MG_105}11" + (1 << bit).to_bytes(2, "little").hex())
    assert observation.status == {status}
    assert observation.values[0].value == Decimal("0.00105")


def test_reserved_status_bits_say_nothing() -> None:
    assert observed(f"0a0e00{TIME}{MG_105}1100f0").status == set()


SPECIMENS = {
    1: {Context.CAPILLARY_WHOLE_BLOOD},
    2: {Context.CAPILLARY_PLASMA},
    3: {Context.VENOUS_WHOLE_BLOOD},
    4: {Context.VENOUS_PLASMA},
    5: {Context.ARTERIAL_WHOLE_BLOOD},
    6: {Context.ARTERIAL_PLASMA},
    7: {Context.WHOLE_BLOOD},
    8: {Context.PLASMA},
    9: {Context.INTERSTITIAL_FLUID},
    11: set[Context](),
}
LOCATIONS = {
    1: {Context.FINGER},
    2: {Context.ALTERNATE_SITE},
    3: {Context.EARLOBE},
    5: set[Context](),
    15: set[Context](),
}


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("specimen", SPECIMENS)
def test_specimen_and_location(specimen: int, location: int) -> None:
    observation = observed(f"020e00{TIME}{MG_105}{location:x}{specimen:x}")
    assert observation.context == SPECIMENS[specimen] | LOCATIONS[location]
    assert observation.status == set()


@pytest.mark.parametrize("kind", ["1a", "41", "4a", "fa"])
def test_control_solution_is_never_a_patients(kind: str) -> None:
    observation = observed(f"020e00{TIME}{MG_105}{kind}")
    normals = [readings.normalize(v) for v in observation.values]
    assert readings.quality(observation, normals) is readings.Quality.TEST


@pytest.mark.parametrize(
    ("status", "comparator"), [("2000", Comparator.ABOVE), ("4000", Comparator.BELOW), ("0000", None)]
)
def test_a_number_out_of_range_is_a_bound(status: str, comparator: Comparator | None) -> None:
    (value,) = observed(f"0a0e00{TIME}58b211{status}").values  # 600 mg/dL
    assert (value.value, value.comparator) == (Decimal("0.00600"), comparator)


def test_infinity_against_the_status_is_no_result() -> None:
    (value,) = observed(f"0a0e00{TIME}fe07114000").values
    assert (value.absent, value.comparator) == (Absent.ERROR, None)


@pytest.mark.parametrize(
    ("base", "offset", "expected"),
    [
        (TIME, "0000", datetime(2026, 11, 21, 10, 19, 5)),
        (TIME, "5301", datetime(2026, 11, 21, 15, 58, 5)),
        (TIME, "adfe", datetime(2026, 11, 21, 4, 40, 5)),
        (TIME, "ff7f", None),
        (TIME, "fe7f", None),
        ("0f270c1f173b3b", "0100", None),  # a minute after the last of the year 9999
        ("0000" + TIME[4:], "0000", None),
        ("ea070b00" + TIME[8:], "0000", None),
        ("ea070d15" + TIME[8:], "0000", None),
    ],
)
def test_f21_the_displayed_time_is_base_and_offset(base: str, offset: str, expected: datetime | None) -> None:
    observation = observed(f"030e00{base}{offset}{MG_105}11")
    assert observation.device_time == expected
    assert (Status.CLOCK_UNSET in observation.status) is (expected is None)


def test_feature_names() -> None:
    feature = one(FEATURE, "0104")
    assert isinstance(feature, Feature)
    assert feature.features == ("low-battery-detection", "multiple-bonds")


def test_every_context_field() -> None:
    """GATT Specification Supplement, Glucose Measurement Context; the amounts by IEEE 11073-20601."""
    context = one(CONTEXT, "ff0e00b30264f001213c003202d2f459f1")
    assert isinstance(context, MealContext)
    assert (context.sequence, context.extended_flags) == (14, 0xB3)
    assert (context.carbohydrate, context.carbohydrate_kg) == ("lunch", Decimal("10.0"))
    assert (context.meal, context.tester, context.health) == ("before-meal", "self", "major-health-issues")
    assert (context.exercise_s, context.exercise_percent) == (60, 50)
    assert (context.medication, context.medication_amount) == ("short-acting-insulin", Decimal("123.4"))
    assert (context.medication_unit, context.hba1c_percent) == ("L", Decimal("34.5"))
    assert context.group == ()


def test_context_codes_without_a_meaning() -> None:
    context = one(CONTEXT, "170e00006400097fffff07")
    assert isinstance(context, MealContext)
    assert (context.carbohydrate, context.meal) == ("reserved-0", "reserved-9")
    assert (context.tester, context.health) == ("not-available", "reserved-7")
    assert (context.medication, context.medication_unit) == ("reserved-255", "kg")


@given(st.integers(0, 255), st.integers(0, 30))
def test_a_context_is_as_long_as_its_flags_say(flags: int, size: int) -> None:
    length = 3 + sum(n for bit, n in ((0, 3), (1, 1), (2, 1), (3, 3), (4, 3), (6, 2), (7, 1)) if flags >> bit & 1)
    (item,) = Codec(CONTEXT).feed(bytes([flags, *range(max(size, 1) - 1)]))
    if max(size, 1) == length:
        assert isinstance(item, MealContext)
    else:
        assert isinstance(item, Noise)
        assert item.why is (Why.TOO_SHORT if max(size, 1) < length else Why.TOO_LONG)


def test_control_point_operands() -> None:
    request = one(racp.RACP, "01040102000900")
    assert isinstance(request, racp.Request)
    assert request.operands == (2, 9)
    timed = one(racp.RACP, f"010302{TIME}")
    assert isinstance(timed, racp.Request)
    assert timed.operands == (datetime(2026, 11, 21, 10, 19, 5),)


# --- A measurement and its context --------------------------------------------------------------------------------

RECORD = observed(f"120e00{TIME}0cb011")  # 12e-5 kg/L
ISENS = QUIRKS["i-SENS"]


def context(sequence: int, meal: int) -> MealContext:
    item = one(CONTEXT, f"02{sequence:02x}00{meal:02x}")
    assert isinstance(item, MealContext)
    return item


def test_a_meal_joins_its_measurement() -> None:
    joiner = Joiner(Quirk())
    assert joiner.measurement(14, RECORD, context_follows=True) == ()
    (joined,) = joiner.context(context(14, 3))
    assert joined.context == {Context.CAPILLARY_WHOLE_BLOOD, Context.FINGER, Context.FASTING}
    assert joined.raw == RECORD.raw + bytes.fromhex("020e0003")
    assert not joiner.is_waiting


def test_a_context_that_is_early_is_joined_all_the_same() -> None:
    joiner = Joiner(Quirk())
    assert joiner.context(context(14, 1)) == ()
    (joined,) = joiner.measurement(14, RECORD, context_follows=True)
    assert Context.BEFORE_MEAL in joined.context


def test_a_context_of_another_measurement_is_not_joined() -> None:
    joiner = Joiner(Quirk())
    assert joiner.measurement(14, RECORD, context_follows=True) == ()
    assert joiner.context(context(13, 1)) == ()
    assert joiner.flush() == [RECORD]


def test_the_next_measurement_releases_the_one_before() -> None:
    joiner = Joiner(Quirk())
    joiner.measurement(14, RECORD, context_follows=True)
    after = replace(RECORD, record="15")
    assert joiner.measurement(15, after, context_follows=False) == [RECORD, after]


@pytest.mark.parametrize("meal", [0, 7, 255])
def test_a_meal_without_a_meaning_changes_nothing(meal: int) -> None:
    joiner = Joiner(Quirk())
    joiner.measurement(14, RECORD, context_follows=True)
    (joined,) = joiner.context(context(14, meal))
    assert (joined.values, joined.context, joined.status) == (RECORD.values, RECORD.context, RECORD.status)


def test_a_ketone_is_never_charted_as_glucose() -> None:
    for quirk in (ISENS, Quirk()):
        joiner = Joiner(quirk)
        joiner.measurement(14, RECORD, context_follows=True)
        (joined,) = joiner.context(context(14, 6))
        assert not any(v.name is Name.GLUCOSE and v.value is not None for v in joined.values)
        assert Status.UNEXPECTED_FORMAT in joined.status


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (RECORD, "1.2"),  # xDrip, GlucoseReadingRx.asKetone: a tenth of what would be mg/dL
        (observed(f"160e00{TIME}0cc011"), "1.2"),  # 12e-4 mol/L
    ],
)
def test_a_ketone_in_either_unit(record: Observation, expected: str) -> None:
    joiner = Joiner(ISENS)
    joiner.measurement(14, record, context_follows=True)
    (joined,) = joiner.context(context(14, 6))
    normal = readings.normalize(joined.values[0])
    assert (normal.name, normal.unit, normal.value) == (Name.KETONE, Unit.MMOL_PER_L, Decimal(expected))


def test_of_a_ketone_meter_a_lost_context_leaves_no_number() -> None:
    joiner = Joiner(ISENS)
    joiner.measurement(14, RECORD, context_follows=True)
    (left,) = joiner.flush()
    assert left.values[0].absent is Absent.UNKNOWN
    assert left.status == {Status.UNEXPECTED_FORMAT}


def test_quirks_go_by_manufacturer_model_or_name() -> None:
    assert quirk_of("i-SENS", None, "") is quirk_of(None, "CareSens Dual", "") is quirk_of(None, None, "CareSens 1")
    assert quirk_of("TaiDoc Technology").numbers_shift
    assert quirk_of("Roche", "925", "meter+0123") == quirk_of("Ascensia", "7825", "Contour7825H") == Quirk()
