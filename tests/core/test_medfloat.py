"""SFLOAT and FLOAT against a table built the other way round, and against what others published."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicebridge.sdk import Absent
from devicebridge.sdk.medfloat import float32, sfloat

# IEEE 11073-20601:2014, tables of the special values; Bluetooth GATT Specification Supplement, medfloat16 and 32.
SFLOAT_SPECIAL = {
    0x07FF: Absent.NOT_A_NUMBER,
    0x0800: Absent.ERROR,  # NRes
    0x07FE: Absent.POSITIVE_INFINITY,
    0x0802: Absent.NEGATIVE_INFINITY,
    0x0801: Absent.ERROR,  # reserved
}
FLOAT_SPECIAL = {
    0x007FFFFF: Absent.NOT_A_NUMBER,
    0x00800000: Absent.ERROR,
    0x007FFFFE: Absent.POSITIVE_INFINITY,
    0x00800002: Absent.NEGATIVE_INFINITY,
    0x00800001: Absent.ERROR,
}


def sfloat_table() -> dict[int, tuple[Fraction, int]]:
    """Every word that is a number: its value, exactly, and its power of ten; from the value to the word."""
    return {
        (exponent % 16) * 4096 + mantissa % 4096: (Fraction(mantissa) * Fraction(10) ** exponent, exponent)
        for exponent in range(-8, 8)
        for mantissa in range(-2048, 2048)
    }


def test_f10_every_one_of_the_65536_sfloat_words() -> None:
    table = sfloat_table()
    assert len(table) == 65_536
    for word, (value, exponent) in table.items():
        got = sfloat(word.to_bytes(2, "little"))
        if word in SFLOAT_SPECIAL:
            assert got is SFLOAT_SPECIAL[word], hex(word)
        else:
            assert isinstance(got, Decimal), hex(word)
            assert Fraction(got) == value, hex(word)
            assert got.as_tuple().exponent == exponent, f"{word:#x} loses its digits"


@pytest.mark.parametrize(("word", "reason"), FLOAT_SPECIAL.items())
def test_f10_every_special_float(word: int, reason: Absent) -> None:
    assert float32(word.to_bytes(4, "little")) is reason


@pytest.mark.parametrize("exponent", [-128, -2, -1, 1, 127])
@pytest.mark.parametrize("mantissa", [0x7FFFFF, 0x800000, 0x7FFFFE, 0x800002, 0x800001])
def test_a_special_mantissa_with_an_exponent_is_a_number(exponent: int, mantissa: int) -> None:
    """The specials are whole words with the exponent zero; 0x01800000 is -8388608 * 10."""
    word = (exponent % 256) << 24 | mantissa
    signed = mantissa - (1 << 24) if mantissa & 0x800000 else mantissa
    got = float32(word.to_bytes(4, "little"))
    assert isinstance(got, Decimal)
    assert Fraction(got) == Fraction(signed) * Fraction(10) ** exponent


@given(st.integers(-(2**23), 2**23 - 1), st.integers(-128, 127))
def test_any_float(mantissa: int, exponent: int) -> None:
    word = (exponent % 256) * 2**24 + mantissa % 2**24
    got = float32(word.to_bytes(4, "little"))
    if word in FLOAT_SPECIAL:
        assert got is FLOAT_SPECIAL[word]
    else:
        assert isinstance(got, Decimal)
        assert Fraction(got) == Fraction(mantissa) * Fraction(10) ** exponent
        assert got.as_tuple().exponent == exponent


PUBLISHED_SFLOAT = [
    ("0102", "513", "weliem/blessed-android: BluetoothBytesParserTest.java"),
    ("ff02", "767", "weliem/blessed-android: BluetoothBytesParserTest.java"),
    ("cff3", "97.5", "signove/antidote: tests/communication/parser/testparser.c, there big-endian"),
    ("8000", "128", "obniz/obniz: src/parts/Ble/UA651BLE/index.ts, an A&D cuff"),
    ("b0f0", "17.6", "obniz/obniz: src/parts/Ble/UA651BLE/index.ts, an A&D cuff"),
    ("bdf0", "18.9", "NordicSemiconductor/Android-BLE-Common-Library: BloodPressureMeasurementDataCallbackTest.java"),
    ("7c00", "124", "derdilla/blood-pressure-monitor-fl: ble_measurement_data_test.dart"),
]
PUBLISHED_FLOAT = [
    ("01020304", "1.971210E+9", "weliem/blessed-android: BluetoothBytesParserTest.java"),
    ("ffff7f00", Absent.NOT_A_NUMBER, "IEEE 11073-20601, FLOAT-Type"),
    ("feff7f00", Absent.POSITIVE_INFINITY, "IEEE 11073-20601, FLOAT-Type"),
    ("02008000", Absent.NEGATIVE_INFINITY, "IEEE 11073-20601, FLOAT-Type"),
    ("6c0100ff", "36.4", "Bluetooth SIG, Health Thermometer Service: the standard's encoding of 364 * 10^-1"),
]


@pytest.mark.parametrize(("data", "value", "source"), PUBLISHED_SFLOAT)
def test_published_sfloat(data: str, value: str, source: str) -> None:
    got = sfloat(bytes.fromhex(data))
    assert got == Decimal(value), source


@pytest.mark.parametrize(("data", "value", "source"), PUBLISHED_FLOAT)
def test_published_float(data: str, value: str | Absent, source: str) -> None:
    got = float32(bytes.fromhex(data))
    assert got == (value if isinstance(value, Absent) else Decimal(value)), source


@pytest.mark.parametrize(
    ("data", "claimed", "value"),
    [("6280", "98.0", "9.8E-7"), ("2075387b", "37.0", "3.7E+129"), ("900b0f7c", "98.6", "9.86E+129")],
)
def test_a_biased_exponent_is_not_believed(data: str, claimed: str, value: str) -> None:
    """RonanB96/bluetooth-sig-python 0.6.0 adds 8 or 128 to the exponent, and its tests agree with it."""
    raw = bytes.fromhex(data)
    got = sfloat(raw) if len(raw) == 2 else float32(raw)
    assert isinstance(got, Decimal)
    assert got != Decimal(claimed)
    assert abs(got / Decimal(value) - 1) < Decimal("0.001")


@pytest.mark.parametrize("size", [0, 1, 3, 5])
def test_other_sizes_are_the_callers_mistake(size: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        sfloat(bytes(size))
    with pytest.raises(ValueError, match="expected"):
        float32(random.Random(size).randbytes(size))
