"""Scales that print lines: each format's fields, what may not be believed, and what makes a reading of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicebridge.sdk import (
    Absent,
    DeviceIdentity,
    Frame,
    InProgress,
    Name,
    Noise,
    Observation,
    Status,
    Unit,
    Why,
)
from devicebridge_drivers.scale_text import DRIVER
from devicebridge_drivers.scale_text.codec import LINE_BYTES, Codec
from devicebridge_drivers.scale_text.frames import Printed, Streamed
from devicebridge_simulators.scale_text import rice_lake, rice_lake_bmi, sma, solo, tanita
from support.cable import Heard, hear


def decode(data: bytes) -> list[Frame | Noise]:
    codec = Codec()
    return [*codec.feed(data), *codec.close()]


def observations(data: bytes) -> list[Observation]:
    return [o for item in decode(data) if isinstance(item, Frame) for o in item.group]


def said(data: bytes) -> dict[Name, tuple[str | None, Unit]]:
    return {v.name: (v.value and str(v.value), v.unit) for o in observations(data) for v in o.values}


@pytest.mark.parametrize(
    ("bmi", "height", "value"),
    [
        ("23.4", "5'03.0\"", ("63.0", Unit.INCH)),
        ("13.3", "6'11.5\"", ("83.5", Unit.INCH)),
        ("19.6", "175.0cm", ("175.0", Unit.CENTIMETRE)),
        ("66.4", "95.1cm", ("95.1", Unit.CENTIMETRE)),
    ],
)
def test_detecto_heights(bmi: str, height: str, value: tuple[str, Unit]) -> None:
    assert said(f"12:00,08/07/15,{bmi},{height},132.3lb\r".encode())[Name.HEIGHT] == value


@pytest.mark.parametrize("height", ["5'12.0\"", "5'03\"", "5'3.0\"", "tall", "", "0'00.0\"", "75.0cm", "175cm"])
def test_a_detecto_height_that_cannot_be_is_no_reading(height: str) -> None:
    items = decode(f"12:00,08/07/15,21.5,{height},132.3lb\r".encode())
    assert [item.why for item in items if isinstance(item, Noise)] == [Why.BAD_FIELD]
    assert not any(isinstance(item, Printed) for item in items)


@pytest.mark.parametrize(
    "line",
    [
        solo("132.3", 5, "01.1", "25.0"),
        solo("100.5", 5, "10.0", "14.4"),
        solo("199.9", 5, "10.0", "28.7"),
        solo("132.3", 0, "00.0", "0.0"),
        b"12:00,08/07/15,21.5,175.0cm,68.0kg\r",
        tanita("BD-815", "Wg", "3972").partition(b"CS")[0].replace(b",~1,1,~2,1", b"")[:-1] + b"\r\n",
        b"".join(rice_lake_bmi("225.0", "10.0", "215.0", "6-11.0", "21.9")),
        b"".join(rice_lake_bmi("225.0", "10.0", "215.0", "0-00.0", "0.0")),
    ],
)
def test_a_lost_character_never_makes_another_number(line: bytes) -> None:
    """These lines have no checksum: `5'01.1"` must not become 5'1.1", nor 132.3 lb 32.3 lb."""
    whole = said(line)
    assert Name.WEIGHT in whole
    for at in range(len(line)):
        assert said(line[:at] + line[at + 1 :]).items() <= whole.items(), at


def test_a_childs_weight_is_believed_with_the_height_it_goes_with() -> None:
    assert said(solo("45.2", 3, "08.0", "16.4"))[Name.WEIGHT] == ("45.2", Unit.POUND)
    assert said(solo(" 45.2", 0, "00.0", "0.0"))[Name.WEIGHT] == ("45.2", Unit.POUND)
    assert said(solo("45.2", 0, "00.0", "0.0")) == {}


@pytest.mark.parametrize("height", ["", " ", "0'00.0\"", "0.0cm", "-'--.-\"", "---"])
def test_detecto_without_a_height(height: str) -> None:
    line = f"12:00,08/07/15,0.0,{height},132.3lb\r".encode()
    assert said(line) == {Name.WEIGHT: ("132.3", Unit.POUND)}


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("23:59,12/31/26", datetime(2026, 12, 31, 23, 59)),
        (" 9:05,01/02/26", datetime(2026, 1, 2, 9, 5)),
        ("12:00,31/12/26", None),
        ("24:00,12/31/26", None),
        ("00:00,00/00/00", None),
    ],
)
def test_f21_detectos_clock(stamp: str, time: datetime | None) -> None:
    for observation in observations(f"{stamp},21.5,5'03.0\",132.3lb\r".encode()):
        assert observation.device_time == time
    assert (Status.CLOCK_UNSET in observations(f"{stamp},0.0,,132.3lb\r".encode())[0].status) is (time is None)


@pytest.mark.parametrize(
    "line",
    [
        "12:00,08/07/15,21.5,5'03.0\",132.3",
        "12:00,08/07/15,21.5,5'03.0\",lb",
        "12:00,08/07/15,21.5,132.3lb",
        "2:00,08/07/15,21.5,5'03.0\",132.3lb",
        "12:00,08/07/15,21.5,5'03.0\",132.3st",
        "12:00,08/07/15,21.5,5'03.0\",1.3.2lb",
    ],
)
def test_a_detecto_line_with_a_part_missing_is_noise(line: str) -> None:
    assert observations(line.encode() + b"\r") == []


@pytest.mark.parametrize("weight", ["0.0", "-10.0"])
def test_f10_a_weight_of_nothing_is_absent(weight: str) -> None:
    for line in (rice_lake(weight), solo(weight, 5, "03.0", "21.5"), tanita("WB-3000", "Wk", weight)):
        value = observations(line)[0].values[0]
        assert (value.value, value.absent) == (None, Absent.ERROR)


@pytest.mark.parametrize("unit", ["lb", "Lb", "LB", "kg", "Kg"])
@pytest.mark.parametrize(("mode", "status"), [("Gross", set()), ("Net", {Status.TARED})])
def test_rice_lake(unit: str, mode: str, status: set[Status]) -> None:
    (observation,) = observations(rice_lake("215.0", unit, mode))
    assert observation.values[0].value == Decimal("215.0")
    assert observation.values[0].unit is (Unit.POUND if unit.lower() == "lb" else Unit.KG)
    assert observation.status == status


def test_a_rice_lake_line_that_was_joined_in_its_midst_is_no_weight() -> None:
    line = rice_lake("215.0")
    assert [cut for cut in range(1, len(line)) if observations(line[cut:])] == []


BMI_PRINT = rice_lake_bmi("225.0", "10.0", "215.0", "6-01.0", "28.4")


def test_the_lines_of_a_rice_lake_print_belong_together() -> None:
    weight, height = observations(b"".join(BMI_PRINT))
    assert {v.name: v.value for v in weight.values} == {Name.WEIGHT: Decimal("215.0"), Name.BMI: Decimal("28.4")}
    assert weight.status == {Status.TARED}
    assert height.values[0].value == Decimal("73.0")
    assert weight.raw == b"".join(BMI_PRINT)


def test_a_rice_lake_print_needs_something_that_confirms_the_weight() -> None:
    without_height = rice_lake_bmi("225.0", "10.0", "215.0", "0-00.0", "0.0")
    assert said(b"".join(without_height)) == {Name.WEIGHT: ("215.0", Unit.POUND)}
    assert said(b"".join(without_height[1:])) == {}
    assert said(b"".join(BMI_PRINT[1:])) == said(b"".join(BMI_PRINT))


@pytest.mark.parametrize("missing", range(1, 5))
def test_a_rice_lake_print_with_a_line_missing_says_nothing(missing: int) -> None:
    assert observations(b"".join(BMI_PRINT[:missing] + BMI_PRINT[missing + 1 :])) == []


def test_lines_of_two_rice_lake_prints_are_never_mixed() -> None:
    other = rice_lake_bmi("120.0", "0.0", "120.0", "5-01.0", "22.7")
    for kept in range(5):
        found = observations(b"".join(BMI_PRINT[:kept] + other))
        assert [o.values[0].value for o in found] == [Decimal("120.0"), Decimal("61.0")]
    assert observations(b"".join(BMI_PRINT[:3]) + b"\xff" + b"".join(BMI_PRINT[4:])) == []


@pytest.mark.parametrize(
    ("fields", "weight"),
    [
        (("Wk", "82.7"), ("82.7", Unit.KG)),
        (("Wp", "182.3"), ("182.3", Unit.POUND)),
        (("Ws", "12.05.5"), ("173.5", Unit.POUND)),
        (("Wg", "3972"), ("3972", Unit.GRAM)),
    ],
)
def test_tanitas_weights(fields: tuple[str, str], weight: tuple[str, Unit]) -> None:
    assert said(tanita("X", *fields)) == {Name.WEIGHT: weight}


@pytest.mark.parametrize("fields", [(), ("Wk",), ("Wk", "8x.7"), ("Wk", "82.7", "Wp", "182.3"), ("Ws", "82.7")])
def test_a_tanita_line_without_one_weight_is_noise(fields: tuple[str, ...]) -> None:
    (item,) = decode(tanita("X", *fields))
    assert isinstance(item, Noise)
    assert item.why is Why.BAD_FIELD


@pytest.mark.parametrize("text", ["5.11", "511", "5"])
def test_tanitas_feet_are_not_guessed(text: str) -> None:
    assert said(tanita("WB-3000", "Hf", text, "Wp", "182.3"))[Name.HEIGHT] == (None, Unit.INCH)


def test_a_tanitas_person_is_nobody() -> None:
    (item,) = decode(tanita("SC-330", "SN", '"00000007"', "ID", '"0000000042"', "GE", "2", "AG", "41", "Wk", "61.4"))
    assert isinstance(item, Printed)
    assert (item.model, item.serial) == ("SC-330", "00000007")
    assert "0000000042" not in repr(item).replace(repr(item.raw), "")


def test_no_flipped_bit_in_a_tanita_line_is_believed() -> None:
    line = tanita("WB-3000", "Hm", "177.8", "Wk", "83.7", "MI", "26.5")
    whole = observations(line)
    for bit in range(len(line) * 8):
        damaged = bytearray(line)
        damaged[bit // 8] ^= 0x80 >> bit % 8
        assert [o.values for o in observations(bytes(damaged))] in ([], [o.values for o in whole])


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (sma("605.0", state="O"), {Status.OVERLOAD}),
        (sma("----------", state="E"), {Status.DEVICE_ERROR}),
        (sma("----------", state="I"), {Status.DEVICE_ERROR}),
        (sma("----------", state="T"), {Status.DEVICE_ERROR}),
    ],
)
def test_f10_smas_failures_are_no_numbers(line: bytes, status: set[Status]) -> None:
    (observation,) = observations(line)
    assert observation.values[0].absent is Absent.ERROR
    assert observation.status == status


@pytest.mark.parametrize("line", [sma("0.0", state="Z"), sma("-0.2", state="U"), sma("0.0"), sma("12.5", mode="T")])
def test_sma_of_an_empty_scale_or_a_tare_says_nothing(line: bytes) -> None:
    (item,) = decode(line)
    assert isinstance(item, Streamed)
    assert item.group == ()


@pytest.mark.parametrize("line", [sma("184.5")[:-4], sma("18 4.5"), sma("184.5", unit="oz"), b"\n 1G 184.5lb \r"])
def test_what_is_not_smas_fixed_width_is_no_weight(line: bytes) -> None:
    assert observations(line) == []


pieces = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.sampled_from([rice_lake("215.0"), solo("184.5", 5, "10.0", "26.5"), sma("184.5"), *BMI_PRINT]),
        st.builds(lambda w: tanita("WB-3000", "Wk", str(w)), st.decimals(1, 200, places=1)),
        st.builds(lambda n: solo("184.5", 5, "10.0", "26.5")[:n], st.integers(0, 40)),
        st.sampled_from(
            [b"\r", b"\n", b"\r\n", b"\x05", b"\nP\r", b"{0,", b"12:00,", b"5\xe2\x80\x9903.0\xe2\x80\x9d"]
        ),
    ),
    max_size=10,
).map(b"".join)


@given(pieces, st.integers(1, 9))
def test_every_byte_is_in_one_item_however_they_are_cut(data: bytes, size: int) -> None:
    whole = decode(data)
    assert b"".join(item.raw for item in whole) == data
    codec = Codec()
    cut = [item for i in range(0, len(data), size) for item in codec.feed(data[i : i + size])]
    assert [*cut, *codec.close()] == whole


def test_f03_a_line_without_an_end_is_given_up() -> None:
    codec, held = Codec(), 0
    for _ in range(100):
        held += 700 - sum(len(item.raw) for item in codec.feed(b"A" * 700))
        assert held <= LINE_BYTES + 256


class Kept(Heard):
    @property
    def read(self) -> list[str | None]:
        return [group[0].values[0].value and str(group[0].values[0].value) for group in self.groups]


def play(pieces: Sequence[bytes | float], **options: object) -> Kept:
    kept = hear(DRIVER, pieces, Kept(), **options)
    assert kept.writes == [], "nothing is ever sent"
    return kept


def test_each_print_is_a_reading_but_not_the_same_one_twice() -> None:
    one, other = rice_lake("215.0"), rice_lake("184.5")
    assert play([one, other, one]).read == ["215.0", "184.5", "215.0"]
    assert play([one, one]).read == ["215.0"]
    assert play([one, 0.1, one], repeat_s=0.05).read == ["215.0", "215.0"]
    assert play([*BMI_PRINT, *BMI_PRINT]).read == ["215.0"]


def test_two_patients_of_one_height_in_one_minute_are_two() -> None:
    one, other = solo("184.5", 5, "10.0", "26.5"), solo("140.0", 5, "10.0", "20.1")
    heights = [observations(line)[1] for line in (one, other, one)]
    assert len({height.device_time for height in heights}) == 1
    assert heights[0].record != heights[1].record
    assert heights[0].record == heights[2].record


def test_what_the_scale_says_it_is_is_noted() -> None:
    kept = play([tanita("SC-240", "SN", '"00000002"', "Wk", "82.7")])
    assert kept.events == [DeviceIdentity(manufacturer="Tanita", model="SC-240", serial="00000002")]


def test_a_settled_weight_is_read_once_for_each_stepping_on() -> None:
    empty, on = sma("0.0", state="Z"), sma("184.5")
    assert play([empty, *[on] * 2]).read == []
    kept = play([empty, *[on] * 40, empty, *[on] * 40])
    assert kept.read == ["184.5", "184.5"]
    assert kept.events == [InProgress(), InProgress()]
    assert play([*[on] * 5, 0.2, *[on] * 5], step_off_s=0.1).read == ["184.5", "184.5"]


def test_a_moving_weight_is_not_read() -> None:
    moving, on = sma("184.5", motion="M"), sma("184.5")
    assert play([moving] * 20).read == []
    assert play([on, on, moving, on, on]).read == []
    assert play([on, on, moving, on, on, on]).read == ["184.5"]
    assert play([*[on] * 5, *[moving] * 5, *[on] * 5]).read == ["184.5"]


def test_f01_half_a_line_is_nothing() -> None:
    for line in (rice_lake("215.0"), solo("184.5", 5, "10.0", "26.5"), tanita("WB-3000", "Wk", "83.7")):
        for cut in range(len(line)):
            assert play([line[:cut]]).groups == []
