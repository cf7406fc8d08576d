"""The codec against vectors with their sources, and the laws every codec obeys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import devicebridge_drivers.ble_blood_pressure as driver
from devicebridge import readings
from devicebridge.sdk import Absent, Name, Noise, Observation, Origin, Status, Unit, Why
from devicebridge_drivers.ble_blood_pressure.codec import (
    CHARACTERISTICS,
    CUFF_PRESSURE,
    FEATURE,
    MEASUREMENT,
    QUIRKS,
    Codec,
    Feature,
    Measurement,
    Progress,
    quirk_of,
)

VECTORS = json.loads((Path(driver.__file__).parent / "vectors.json").read_text(encoding="utf-8"))["vectors"]
NUMBERS = "7c0056006100"  # 124, 86, 97


def one(characteristic: str, model: str | None, data: bytes) -> Any:
    codec = driver.DRIVER.codec(driver.DRIVER.options(), model, characteristic)
    (item,) = codec.feed(data)
    assert codec.close() == ()
    return item


def observed(data: str, model: str | None = None) -> Observation:
    item = one(MEASUREMENT, model, bytes.fromhex(data))
    assert isinstance(item, Measurement), item
    (observation,) = item.group
    return observation


def as_vector(observation: Observation) -> Mapping[str, Any]:
    values: dict[str, Any] = {}
    for value in observation.values:
        normal = readings.normalize(value)
        values[value.name.value] = str(normal.value) if value.absent is None else {"absent": value.absent.value}
    return {
        "kind": observation.kind.value,
        "values": values,
        "unit": "mm[Hg]",
        "status": sorted(s.value for s in observation.status),
        "device_time": observation.device_time and observation.device_time.isoformat(),
        "device_user": observation.device_user,
    }


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["id"])
def test_vectors(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    item = one(vector["characteristic"], vector.get("model"), data)
    expected = vector["expected"]
    if "noise" in expected:
        assert item == Noise(data, Why(expected["noise"]))
    elif "frame" in expected:
        assert not isinstance(item, Noise)
        assert item.raw == data
        assert item.group == ()
    else:
        (observation,) = item.group
        assert observation.raw == data
        assert as_vector(observation) == expected


def test_vector_ids_are_unique_and_sourced() -> None:
    assert len({v["id"] for v in VECTORS}) == len(VECTORS)
    assert all(v["source"] and v["kind"] in {"capture", "test", "standard"} for v in VECTORS)


@given(st.sampled_from((*CHARACTERISTICS, "ffff")), st.sampled_from((None, "BM85")), st.binary(max_size=600))
def test_one_item_a_value_and_never_an_exception(characteristic: str, model: str | None, data: bytes) -> None:
    item = one(characteristic, model, data)
    assert item.raw == data
    if characteristic != MEASUREMENT:
        assert isinstance(item, Noise | Progress | Feature)


@given(st.integers(0, 255), st.binary(min_size=18, max_size=18))
def test_f10_every_number_given_out_is_one_a_display_can_show(flags: int, rest: bytes) -> None:
    """Values of the right length for their flags, with whatever bytes."""
    length = 6 + 7 * (flags >> 1 & 1) + 2 * (flags >> 2 & 1) + (flags >> 3 & 1) + 2 * (flags >> 4 & 1)
    item = one(MEASUREMENT, None, bytes([flags]) + rest[:length])
    for observation in () if isinstance(item, Noise) else item.group:
        assert all(v.value is None or 0 < v.value <= 999 for v in observation.values)
        assert observation.origin is Origin.LIVE


@given(st.binary(min_size=1, max_size=30))
def test_a_value_longer_or_shorter_than_its_flags_say_is_not_believed(data: bytes) -> None:
    length = 7 + sum(size for bit, size in ((1, 7), (2, 2), (3, 1), (4, 2)) if data[0] >> bit & 1)
    item = one(MEASUREMENT, None, data)
    if len(data) != length:
        assert item == Noise(data, Why.TOO_SHORT if len(data) < length else Why.TOO_LONG)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ff07", Absent.NOT_A_NUMBER),
        ("0008", Absent.ERROR),
        ("fe07", Absent.POSITIVE_INFINITY),
        ("0208", Absent.NEGATIVE_INFINITY),
        ("0108", Absent.ERROR),
    ],
)
@pytest.mark.parametrize("place", range(4))
def test_f10_special_words_are_absent_in_every_field(word: str, expected: Absent, place: int) -> None:
    """IEEE 11073-20601:2014, SFLOAT; GATT Specification Supplement, medfloat16."""
    words = ["7c00", "5600", "6100", "3300"]
    words[place] = word
    value = observed("04" + "".join(words)).values[place]
    assert (value.value, value.absent) == (None, expected)


def test_zero_is_no_measurement() -> None:
    """A cuff without a mean fills the mandatory field with zero; elsewhere zero is a failure."""
    values = {v.name: v.absent for v in observed("040000000000000000").values}
    assert values == {
        Name.SYSTOLIC: Absent.ERROR,
        Name.DIASTOLIC: Absent.ERROR,
        Name.MEAN: Absent.NOT_PERFORMED,
        Name.PULSE_RATE: Absent.ERROR,
    }


@pytest.mark.parametrize("pulse", ["0041", "003c", "e803", "85ff"])
def test_a_pulse_no_display_could_show_is_noise(pulse: str) -> None:
    """65 and 60 with their bytes swapped; then 1000 and -123."""
    data = bytes.fromhex("04" + NUMBERS + pulse)
    assert one(MEASUREMENT, None, data) == Noise(data, Why.BAD_FIELD)


def test_kpa_goes_out_as_sent() -> None:
    values = observed("01a5f06cf07ff0").values  # 165, 108 and 127 tenths of a kPa
    assert [(v.value, v.unit) for v in values] == [
        (Decimal("16.5"), Unit.KPA),
        (Decimal("10.8"), Unit.KPA),
        (Decimal("12.7"), Unit.KPA),
    ]


_NO_DATES = {
    "year 0": "0000060f11111b",
    "month 0": "e807000f11111b",
    "day 0": "e807060011111b",
    "month 13": "e8070d0f11111b",
    "hour 24": "e807060f18111b",
}


@pytest.mark.parametrize("stamp", _NO_DATES.values(), ids=_NO_DATES)
def test_f21_a_date_that_is_none_is_an_unset_clock(stamp: str) -> None:
    observation = observed("02" + NUMBERS + stamp)
    assert observation.device_time is None
    assert observation.status == {Status.CLOCK_UNSET}


def test_no_stamp_is_not_an_unset_clock() -> None:
    assert observed("00" + NUMBERS).status == set()


def test_quirks_go_by_model_number_or_advertised_name() -> None:
    quirk = QUIRKS["BM85"]
    assert quirk_of("BM85") is quirk_of(None, "BM85 1A2B") is quirk
    assert quirk_of("UA-651BLE", None, "A&D_UA-651BLE_1") is None
    value = bytes.fromhex("56710049000000ea07080b1438000041010000")
    (item,) = Codec(MEASUREMENT, None, "BM85 1A2B").feed(value)
    assert isinstance(item, Measurement)


def test_feature_bits() -> None:
    item = one(FEATURE, None, b"\x25\x00")
    assert isinstance(item, Feature)
    assert item.bits == 0x25


def test_progress_is_never_a_group() -> None:
    item = one(CUFF_PRESSURE, None, bytes.fromhex("007c0056006100"))
    assert isinstance(item, Progress)
    assert item.group == ()
