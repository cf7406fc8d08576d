"""Health o meter scales: the packets field by field, and what makes one reading of a stepping on."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicebridge.sdk import (
    Absent,
    Frame,
    InProgress,
    Kind,
    Name,
    Noise,
    Origin,
    Status,
    Unit,
    Why,
)
from devicebridge_drivers.healthometer import DRIVER
from devicebridge_drivers.healthometer.codec import PACKET_BYTES, make_codec
from devicebridge_drivers.healthometer.frames import Control, Weighing
from devicebridge_simulators.healthometer import Shown, binary, packet
from support.cable import Heard, hear

PATIENT = "9000012345"
ADULT = Shown(weight="184.5", height="70.0", bmi="26.4", patient=PATIENT)
EMPTY = Shown()


def decode(data: bytes) -> list[Frame | Noise]:
    codec = make_codec()
    return [*codec.feed(data), *codec.close()]


def esc(*fields: str) -> bytes:
    """Fields as the manual's table has them (1100KL, p. 33)."""
    return b"".join(b"\x1b" + field.encode("latin-1") for field in fields)


def said(item: Frame | Noise) -> dict[Name, tuple[Decimal | None, Unit]]:
    assert isinstance(item, Frame)
    return {value.name: (value.value, value.unit) for o in item.group for value in o.values}


@pytest.mark.parametrize(
    ("unit", "weight_unit", "height_unit"),
    [("c", Unit.POUND, Unit.INCH), ("m", Unit.KG, Unit.CENTIMETRE)],  # constitutional, metric
)
def test_the_unit_field_holds_for_weight_and_height(unit: str, weight_unit: Unit, height_unit: Unit) -> None:
    (item,) = decode(esc("R", "I0000000000", "W90.98", "H170.20", "B28.5", "N" + unit, "E"))
    assert said(item) == {
        Name.WEIGHT: (Decimal("90.98"), weight_unit),
        Name.BMI: (Decimal("28.5"), Unit.KG_PER_M2),
        Name.HEIGHT: (Decimal("170.20"), height_unit),
    }
    assert isinstance(item, Frame)
    assert [o.kind for o in item.group] == [Kind.WEIGHT, Kind.HEIGHT]


@pytest.mark.parametrize("fields", [("W90.98", "Nm"), ("Nm", "W90.98"), ("T5.7", "W90.98", "Nm", "I1")])
def test_fields_are_known_by_their_letter_not_their_place(fields: Sequence[str]) -> None:
    (item,) = decode(esc("R", *fields, "E"))
    assert said(item)[Name.WEIGHT] == (Decimal("90.98"), Unit.KG)


@pytest.mark.parametrize("unit", ["", "x", "kg", "mm"])
def test_f10_without_a_unit_that_is_known_there_is_no_weight(unit: str) -> None:
    (item,) = decode(esc("R", "W90.98", "N" + unit, "E"))
    assert isinstance(item, Noise)
    assert item.why is Why.BAD_FIELD


@pytest.mark.parametrize("weight", ["999.9", "999.99"])
def test_f10_an_overload_is_no_number(weight: str) -> None:
    """Rice Lake 160-10-7N, 5.2.1: 999.99; 140-10-7, 8.3: 999.9."""
    (item,) = decode(esc("R", "W" + weight, "H70.0", "B26.4", "Nc", "E"))
    assert isinstance(item, Frame)
    assert item.group[0].status == {Status.OVERLOAD}
    assert [(v.name, v.absent) for v in item.group[0].values] == [(Name.WEIGHT, Absent.ERROR)]


@pytest.mark.parametrize("weight", ["-----", "Err", "OL"])
def test_f10_a_word_in_place_of_the_weight_is_an_error(weight: str) -> None:
    for data in (esc("R", "W" + weight, "Nc", "E"), binary(weight)):
        (item,) = decode(data)
        assert isinstance(item, Frame)
        assert item.group[0].status == {Status.DEVICE_ERROR}
        assert item.group[0].values[0].absent is Absent.ERROR


@pytest.mark.parametrize("weight", ["0", "0.0", "000.00", "-0.4", "-12.5"])
def test_an_empty_scale_says_nothing(weight: str) -> None:
    for data in (esc("R", "W" + weight, "Nc", "E"), binary(weight)):
        (item,) = decode(data)
        assert isinstance(item, Weighing)
        assert item.weight == Decimal(weight)
        assert item.group == ()


@pytest.mark.parametrize("weight", ["12.3.4", "1O4.5", "18 4.5", "1e3", "0x10", "12345.0", "\xb2\xb3"])
def test_what_is_not_the_manuals_nnn_nn_is_noise(weight: str) -> None:
    for item in decode(esc("R", "W" + weight, "Nc", "E")):
        assert isinstance(item, Noise)


def test_zero_height_and_bmi_were_not_measured() -> None:
    (item,) = decode(esc("R", "W184.5", "H0.0", "B0.0", "T0.0", "Nc", "E"))
    assert said(item) == {Name.WEIGHT: (Decimal("184.5"), Unit.POUND)}


def test_a_height_that_is_no_number_does_not_cost_the_weight() -> None:
    (item,) = decode(esc("R", "W184.5", "H?#", "B0.0", "Nc", "E"))
    assert said(item) == {Name.WEIGHT: (Decimal("184.5"), Unit.POUND), Name.HEIGHT: (None, Unit.INCH)}


def test_a_field_that_comes_twice_spoils_the_packet() -> None:
    (item,) = decode(esc("R", "W184.5", "W84.5", "Nc", "E"))
    assert isinstance(item, Noise)


@pytest.mark.parametrize("start", [1, 2])
@pytest.mark.parametrize(("metric", "unit"), [(False, Unit.POUND), (True, Unit.KG)])
def test_binary_frames(start: int, metric: bool, unit: Unit) -> None:
    (item,) = decode(binary("004.990", metric=metric, start=start))
    assert said(item) == {Name.WEIGHT: (Decimal("4.990"), unit)}


@pytest.mark.parametrize(("place", "byte"), [(0, 0x03), (1, 0x81), (2, 0xD6), (3, 0xE5), (9, 0x0A)])
def test_a_binary_frame_with_another_byte_in_a_fixed_place_is_none(place: int, byte: int) -> None:
    data = bytearray(binary("123.4"))
    data[min(place, len(data) - 1)] = byte
    assert not any(said(item) for item in decode(bytes(data)) if isinstance(item, Frame))


def test_what_the_scale_keeps_is_stored_and_without_a_time() -> None:
    (item,) = decode(esc("R", "I" + PATIENT, "W90.98", "H170.2", "D112126143015", "Nm", "E"))
    assert isinstance(item, Frame)
    assert {(o.origin, o.record, o.device_time) for o in item.group} == {(Origin.STORED, "112126143015", None)}


def test_the_patients_number_is_in_the_raw_bytes_only() -> None:
    (item,) = decode(packet(ADULT))
    assert isinstance(item, Weighing)
    assert PATIENT.encode() in item.raw
    for observation in item.group:
        rest = repr(observation).replace(repr(observation.raw), "")
        assert PATIENT not in rest
    (command,) = decode(esc("S", "I" + PATIENT, "T5.7", "E"))
    assert isinstance(command, Control)
    assert PATIENT not in repr(command).replace(repr(command.raw), "")


shown = st.builds(
    Shown,
    weight=st.decimals(0, 600, places=1).map(str),
    height=st.sampled_from(["0.0", "70.0", "?"]),
    tare=st.sampled_from([None, "0.0", "5.7"]),
    metric=st.booleans(),
)
pieces = st.lists(
    st.one_of(
        st.binary(max_size=12),
        shown.map(packet),
        shown.map(partial(packet, first=b"6")),
        st.builds(lambda s, n: packet(s)[:n], shown, st.integers(0, 60)),
        st.builds(binary, st.decimals(0, 50, places=2).map(str)),
        st.sampled_from([b"\r\n", b"\x1bE", b"6R\x1b", b"\x1bJ\x1bE"]),
    ),
    max_size=10,
).map(b"".join)


@given(pieces, st.integers(1, 9))
def test_every_byte_is_in_one_item_however_they_are_cut(data: bytes, size: int) -> None:
    whole = decode(data)
    assert b"".join(item.raw for item in whole) == data
    codec = make_codec()
    cut = [item for i in range(0, len(data), size) for item in codec.feed(data[i : i + size])]
    assert [*cut, *codec.close()] == whole


@given(
    st.binary(max_size=60).filter(lambda b: b"\x1b" not in b[-PACKET_BYTES:] and b[-1:] not in (b"6", b"\x01", b"\x02"))
)
def test_the_first_packet_after_junk_is_found(junk: bytes) -> None:
    assert decode(junk + packet(ADULT))[-1].raw == packet(ADULT)


def test_f03_a_packet_without_an_end_is_given_up() -> None:
    codec = make_codec()
    held = 0
    for _ in range(100):
        data = b"\x1bR\x1bW" + b"1" * 200
        held += len(data) - sum(len(item.raw) for item in codec.feed(data))
        assert held <= 2 * PACKET_BYTES + 256


class Kept(Heard):
    @property
    def read(self) -> list[dict[str, str | None]]:
        return [{v.name.value: v.value and str(v.value) for o in group for v in o.values} for group in self.groups]


def play(pieces: Sequence[bytes | float], **options: object) -> Kept:
    kept = hear(DRIVER, pieces, Kept(), **options)
    assert kept.writes == [], "nothing is ever sent"
    return kept


W184, W62 = packet(Shown(weight="184.5")), packet(Shown(weight="62.2"))


def test_three_equal_packets_make_a_reading_and_no_second_one() -> None:
    assert play([W184] * 2).read == []
    assert play([W184] * 3).read == [{"weight": "184.5"}]
    assert play([W184] * 60).read == [{"weight": "184.5"}]


def test_weight_height_and_bmi_are_one_group() -> None:
    assert play([packet(ADULT)] * 10).read == [{"weight": "184.5", "bmi": "26.4", "height": "70.0"}]


def test_a_height_typed_in_later_is_read_by_itself() -> None:
    assert play([W184] * 5 + [packet(ADULT)] * 5).read == [{"weight": "184.5"}, {"bmi": "26.4", "height": "70.0"}]
    corrected = Shown(weight="184.5", height="71.0", bmi="25.7")
    assert play([packet(ADULT)] * 5 + [packet(corrected)] * 5).read[1:] == [{"bmi": "25.7", "height": "71.0"}]


def test_a_changing_height_is_not_read() -> None:
    """600KL, firmware 3.2.02, sends garbage heights (Pelstar, Communication Protocols)."""
    assert play([packet(Shown(weight="184.5", height=f"{n}.0")) for n in range(9)]).read == [{"weight": "184.5"}]


def test_the_empty_scale_ends_the_stepping_on() -> None:
    empty = packet(EMPTY)
    assert play([W184] * 5 + [empty] + [W184] * 5).read == [{"weight": "184.5"}] * 2
    assert play([W184] * 2 + [empty] + [W184] * 2).read == []


def test_silence_ends_the_stepping_on() -> None:
    assert play([*[W184] * 5, 0.2, *[W184] * 5], step_off_s=0.1).read == [{"weight": "184.5"}] * 2
    assert play([*[W184] * 5, 0.05, *[W184] * 5], step_off_s=5).read == [{"weight": "184.5"}]
    assert play([*[W184] * 2, 0.2, *[W184] * 2], step_off_s=0.1).read == []


def test_silence_ends_it_after_noise_too() -> None:
    assert play([*[W184] * 5, b"\xff", 0.2, *[W184] * 5], step_off_s=0.1).read == [{"weight": "184.5"}] * 2


def test_another_steady_weight_is_another_reading() -> None:
    assert play([W184] * 5 + [W62] * 5).read == [{"weight": "184.5"}, {"weight": "62.2"}]
    near = packet(Shown(weight="186.0"))
    assert play([W184] * 5 + [near] * 5).read == [{"weight": "184.5"}]
    assert len(play([W184] * 5 + [near] * 5, new_weight_percent=0.5).read) == 2


def test_the_same_weight_in_the_other_unit_is_no_other_reading() -> None:
    assert play([W184] * 5 + [packet(Shown(weight="83.7", metric=True))] * 5).read == [{"weight": "184.5"}]


def test_noise_starts_the_counting_anew() -> None:
    assert play([W184] * 2 + [b"\xff\xff"] + [W184] * 2).read == []
    kept = play([W184] * 2 + [b"\xff\xff"] + [W184] * 3)
    assert kept.read == [{"weight": "184.5"}]
    assert [e.raw for e in kept.events if isinstance(e, Noise)] == [b"\xff\xff"]


def test_one_odd_packet_is_not_the_reading() -> None:
    """There is no checksum: one flipped bit makes 184.5 a 194.5."""
    odd = packet(Shown(weight="194.5"))
    for place in range(6):
        stream = [W184] * 6
        stream[place] = odd
        assert play(stream).read == [{"weight": "184.5"}]


def test_binary_scales_send_each_value_twice() -> None:
    frame = binary("4.990", metric=True)
    assert play([frame] * 5).read == []
    assert play([frame] * 6).read == [{"weight": "4.990"}]


def test_a_patient_is_noted_once() -> None:
    kept = play([packet(EMPTY), *[W184] * 5, packet(EMPTY), *[W62] * 5])
    assert kept.events == [InProgress(), InProgress()]


def test_f01_half_a_packet_is_nothing() -> None:
    whole = W184 * 3
    for cut in range(len(whole)):
        assert play([whole[:cut]]).groups == []


def test_stored_readings_are_passed_on_as_they_come() -> None:
    kept = play([esc("R", "I1", f"W{n}.0", f"D11212614300{n}", "Nm", "E") for n in range(5, 8)])
    assert kept.read == [{"weight": "5.0"}, {"weight": "6.0"}, {"weight": "7.0"}]
    assert {group[0].origin for group in kept.groups} == {Origin.STORED}
