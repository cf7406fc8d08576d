"""Frames, records and results: what each field says, and what is never read."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicebridge.commands.decode import decoded
from devicebridge.sdk import (
    Absent,
    Comparator,
    Context,
    Frame,
    Kind,
    Name,
    Noise,
    Observation,
    Origin,
    Status,
    Unit,
    Why,
)
from devicebridge_drivers.astm.codec import Codec, Data
from devicebridge_drivers.astm.framing import TEXT_MAX_BYTES, checksum
from devicebridge_drivers.astm.records import RECORD_MAX_BYTES
from devicebridge_simulators import astm as simulator

DCA = (  # senaite/senaite.astm: tests/data/dca_vantage.txt, as recorded
    b"\x021H|\\^&|||DCA VANTAGE^04.04.00.00^S067337|||||||P||20240820151746\rP|1|BU24R554\r"
    b"O|1||660^0090||||||||||||||||||||||F\rR|1|^^^Alb|63.7|mg/L||||F|||20240820151030\rC|1|I|1.000^0.0 mg/L|G\r"
    b"R|2|^^^Crt|230.8|mg/dL||||F|||20240820151030\rC|1|I|1.000^0.0 mg/dL|G\r"
    b"R|3|^^^Ratio|27.6|mg/g||||F|||20240820151030\rL|1|N\r\x0343\r\n"
)


def items(data: bytes) -> list[Frame | Noise]:
    codec = Codec(bare=True)
    return [*codec.feed(data), *codec.close()]


def readings(data: bytes | str) -> list[Observation]:
    raw = data.encode() if isinstance(data, str) else data
    return [observation for item in items(raw) if isinstance(item, Frame) for observation in item.group]


def one(record: str) -> Observation:
    (observation,) = readings(record)
    return observation


def order(field: int, text: str) -> str:
    """An order record with this in one field, counted from 1."""
    return "O|1" + "|" * (field - 2) + text


def frame(number: int, text: bytes, end: bytes = b"\x03") -> bytes:
    summed = b"%d%s%s" % (number, text, end)
    return b"\x02" + summed + checksum(summed) + b"\r\n"


def test_the_sum_is_that_of_the_standard() -> None:
    """Of a recorded frame (tidepool-org/uploader, bayerContourNext.js)."""
    assert checksum(b"5R|3|^^^Glucose|93|mg/dL^P||A/M0/T1||201505261150\r\x17") == b"74"


def test_one_frame_gives_all_results_that_end_in_it() -> None:
    found = readings(DCA)
    assert [(o.values[0].code, o.values[0].value, o.values[0].unit) for o in found] == [
        ("Alb", Decimal("63.7"), Unit.MG_PER_L),
        ("Crt", Decimal("230.8"), Unit.MG_PER_DL),
        ("Ratio", Decimal("27.6"), Unit.MG_PER_G),
    ]
    assert {o.device_time for o in found} == {datetime(2024, 8, 20, 15, 10, 30)}
    assert {o.kind for o in found} == {Kind.LAB}


def test_the_header_names_the_instrument() -> None:
    (item,) = items(DCA)
    assert isinstance(item, Data)
    assert item.header is not None
    assert asdict(item.header) == {
        "instrument": "DCA VANTAGE",
        "firmware": "04.04.00.00",
        "serial": "S067337",
        "time": datetime(2024, 8, 20, 15, 17, 46),
    }
    assert item.records == tuple("HPORCRCRL")


def test_of_an_unknown_instrument_only_the_name_is_believed() -> None:
    """The reader of urine strips has its serial number in second place, and its version in third."""
    (item,) = items(rb"H|\^&|||LUP2^UA301000462^1.0.11^E77_int|||||||P|LIS2-A2|20190329105956")
    assert isinstance(item, Data)
    assert item.header is not None
    assert (item.header.instrument, item.header.serial, item.header.firmware) == ("LUP2", None, None)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("%", Unit.PERCENT),
        ("mg/dL", Unit.MG_PER_DL),
        ("mg/dl", Unit.MG_PER_DL),
        ("mmol/L", Unit.MMOL_PER_L),
        ("mmol/mol", Unit.MMOL_PER_MOL),
        ("mg/L", Unit.MG_PER_L),
        ("mg/mmol", Unit.MG_PER_MMOL),
        ("g/dL", Unit.G_PER_DL),
        ("\N{MICRO SIGN}mol/L", Unit.UMOL_PER_L),
        ("", Unit.UNITY),
    ],
)
def test_units(unit: str, expected: Unit) -> None:
    (value,) = one(f"R|1|^^^X|5.50|{unit}||||F||||20240820151030").values
    assert (value.value, str(value.value), value.unit) == (Decimal("5.50"), "5.50", expected)


@pytest.mark.parametrize(("unit", "name"), [("%", Name.HBA1C), ("mmol/mol", Name.HBA1C), ("mg/dL", Name.ANALYTE)])
def test_hba1c_is_one_in_its_own_units_only(unit: str, name: Name) -> None:
    assert one(f"R|1|^^^HbA1c|5.9|{unit}").values[0].name is name


@pytest.mark.parametrize(
    ("test", "code"),
    [
        ("^^^CRP", "CRP"),
        ("^^^^WBC^1", "WBC"),  # Sysmex
        ("7^^^Ery", "Ery"),  # 77 Elektronika
        ("46419-8^^^RBC", "RBC"),  # a LOINC code before the instrument's own
        ("CREAS^Creatinine^^F", "CREAS"),  # cobas c 111: F is the specimen
        ("GLU", "GLU"),
        ("717", "717"),
        ("^HemosIL^^F5^^^FV 1691G^Ct", "F5 FV 1691G Ct"),  # GeneXpert: the probe, and what of it is given
    ],
)
def test_the_name_of_the_test(test: str, code: str) -> None:
    assert one(f"R|1|{test}|5|mg/dL").values[0].code == code


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        ("neg", "mg/dl", "neg"),
        ("2+", "", "2+"),
        ("-", "", "-"),
        ("++++", "", "++++"),
        ("Trace", "mg/dL", "Trace"),
        ("300", "Ery/\N{MICRO SIGN}l", "300 Ery/\N{MICRO SIGN}l"),
        (">300", "Ery/ul", ">300 Ery/ul"),
        ("0,18", "Ratio", "0,18 Ratio"),
        ("5,4", "mg/L", "5,4 mg/L"),
        ("<=5", "mg/L", "<=5 mg/L"),
        ("-1^0.14", "COI", "-1^0.14 COI"),
        ("NEGATIVE^", "", "NEGATIVE"),
        (">=1000", "mg/dL", ">=1000 mg/dL"),
        ("^NEG", "", "NEG"),
    ],
)
def test_coded_results(value: str, unit: str, text: str) -> None:
    (found,) = one(f"R|1|^^^X|{value}|{unit}").values
    assert (found.text, found.value, found.unit, found.code) == (text, None, Unit.UNITY, "X")


def test_a_flag_stays_with_a_number_in_a_strange_unit() -> None:
    assert one("R|1|^^^X|300|Ery/ul||>").values[0].text == ">300 Ery/ul"


@pytest.mark.parametrize(
    ("value", "flag", "number", "comparator"),
    [
        ("5.9", "", "5.9", None),
        ("^5.9", "", "5.9", None),
        ("<5.6", "<", "5.6", Comparator.BELOW),
        (">15.0", "", "15.0", Comparator.ABOVE),
        ("2.5", "<", "2.5", Comparator.BELOW),
        ("14.0", r">\H", "14.0", Comparator.ABOVE),
        ("-2.1", "L", "-2.1", None),
        ("5.9", "HH", "5.9", None),
    ],
)
def test_numbers_and_bounds(value: str, flag: str, number: str, comparator: Comparator | None) -> None:
    found = one(f"R|1|^^^X|{value}|%||{flag}").values[0]
    assert (found.value, found.comparator) == (Decimal(number), comparator)


@pytest.mark.parametrize(
    ("record", "absent", "status"),
    [
        ("R|1|^^^X||%", Absent.UNKNOWN, set()),
        ("R|1|^^^X|---|%", Absent.UNKNOWN, set()),
        ("R|1|^^^X|****|%", Absent.ERROR, set()),
        ("R|1|^^^X|<5|%||>", Absent.ERROR, {Status.UNEXPECTED_FORMAT}),
        (r"R|1|^^^X|5|%||<\>", Absent.ERROR, {Status.UNEXPECTED_FORMAT}),
        ("R|1||5|%", Absent.ERROR, {Status.UNEXPECTED_FORMAT}),
        ("R|1|^^^X|" + "a" * 41 + "|", Absent.ERROR, {Status.UNEXPECTED_FORMAT}),
        ("R|1|^^^X|5\x07|", Absent.ERROR, {Status.UNEXPECTED_FORMAT}),
        ("R|1|^^^X|5|%||||X", Absent.NOT_PERFORMED, {Status.MEASUREMENT_UNAVAILABLE}),
        ("R|1|^^^X|5|%||||I", Absent.UNKNOWN, {Status.MEASUREMENT_ONGOING}),
        ("R|1|^^^HbA1c|HI|%", Absent.POSITIVE_INFINITY, {Status.RESULT_ABOVE_RANGE}),
        ("R|1|^^^HbA1c|Lo|%", Absent.NEGATIVE_INFINITY, {Status.RESULT_BELOW_RANGE}),
        ("R|1|^^^HbA1c|E214|%", Absent.ERROR, {Status.DEVICE_ERROR}),
        ("R|", Absent.UNKNOWN, set()),
    ],
)
def test_no_number_where_there_is_none(record: str, absent: Absent, status: set[Status]) -> None:
    found = one(record)
    assert (found.values[0].absent, found.status) == (absent, status)


def test_the_specimen_is_taken_from_the_order() -> None:
    for word, context in (("Urine", Context.URINE), ("Plasma", Context.PLASMA), ("blood", Context.WHOLE_BLOOD)):
        (found,) = readings(f"{order(16, word)}\rR|1|^^^X|5|%\r")
        assert found.context == {context}
    (found,) = readings("\r".join(simulator.afinion("5.9")))
    assert found.context == {Context.CAPILLARY_WHOLE_BLOOD}


def test_what_an_order_says_does_not_reach_the_next_patient() -> None:
    orders = (order(12, "Q"), "O|1", order(11, "Q"))
    records = [line for control in orders for line in ("P|1", control, "R|1|^^^X|5|%")]
    assert [o.status for o in readings("\r".join(records))] == [{Status.CONTROL_SOLUTION}, set(), set()]


@pytest.mark.parametrize(
    ("letter", "status"), [("Q", Status.CONTROL_SOLUTION), ("T", Status.TEST_DATA), ("D", Status.TEST_DATA)]
)
def test_what_the_header_says_holds_to_the_end_of_the_message(letter: str, status: Status) -> None:
    header = rf"H|\^&|||X|||||||{letter}|1"
    first, second, third = readings("\r".join([header, "R|1|^^^X|5|%", "R|2|^^^X|6|%", "L|1|N", "R|1|^^^X|7|%"]))
    assert (first.status, second.status, third.status) == ({status}, {status}, set())


def test_a_result_sent_before_is_of_the_past() -> None:
    assert one("R|1|^^^X|5|%||||R").origin is Origin.STORED
    assert one("R|1|^^^X|5|%||||F").origin is Origin.LIVE


def test_delimiters_and_escapes() -> None:
    header, result = "H@!\\%@@@X", "R@1@\\\\\\HbA1c@5.9@%F%@@@@F"
    assert items(header.encode())
    assert readings(f"{header}\r{result}\r")[0].values[0].code == "HbA1c"
    (value,) = one("R|1|^^^a&S&b&E&c|neg").values
    assert value.code == "a^b&c"


def test_a_header_with_no_four_delimiters_keeps_the_usual_ones() -> None:
    for header in (r"H|\\^&|||X", "H|", "H|aaaa|"):
        assert readings(f"{header}\rR|1|^^^HbA1c|5.9|%\r")[0].values[0].name is Name.HBA1C


@pytest.mark.parametrize(
    ("fields", "time"),
    [
        ("|20240820151030", datetime(2024, 8, 20, 15, 10, 30)),
        ("20240820151030|", datetime(2024, 8, 20, 15, 10, 30)),
        ("20240820150000|20240820151030", datetime(2024, 8, 20, 15, 10, 30)),  # completed before started
        ("|202408201510", datetime(2024, 8, 20, 15, 10)),
        ("|", None),
    ],
)
def test_the_time_of_a_result(fields: str, time: datetime | None) -> None:
    found = one(f"R|1|^^^X|5|%||||F|||{fields}")
    assert (found.device_time, found.status) == (time, set())


@pytest.mark.parametrize("text", ["20240820", "20241320151030", "00000000000000", "2024-08-20T15:10", "\u0662" * 14])
def test_what_is_no_time_is_not_believed(text: str) -> None:
    found = one(f"R|1|^^^X|5|%||||F||||{text}")
    assert (found.device_time, found.status) == (None, {Status.CLOCK_UNSET})


# --- Contour meters -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("markers", "context", "status"),
    [
        ("", set(), set()),
        ("B/X", {Context.BEFORE_MEAL}, set()),
        ("A/M0/T1", {Context.AFTER_MEAL}, set()),
        ("F/M0/T1", {Context.FASTING}, set()),
        ("Z4", {Context.AFTER_MEAL}, set()),
        ("ZB", {Context.AFTER_MEAL}, set()),
        ("ZC", {Context.AFTER_MEAL}, set()),
        ("D/I/S", set(), set()),
        ("T0/M0", set(), set()),
        ("C", set(), {Status.CONTROL_SOLUTION}),
        ("C/M0/T1", set(), {Status.CONTROL_SOLUTION}),
        ("Q", set(), {Status.UNEXPECTED_FORMAT}),
    ],
)
def test_markers_of_usb_meters(markers: str, context: set[Context], status: set[Status]) -> None:
    found = one(f"R|8|^^^Glucose|133|mg/dL^P||{markers}||201202052034")
    assert found.context == context | {Context.PLASMA}
    assert found.status == status
    assert (found.kind, found.origin) == (Kind.GLUCOSE, Origin.STORED)


@pytest.mark.parametrize(
    ("fields", "context", "status", "comparator"),
    [
        ("|||", set(), set(), None),
        ("||B|", {Context.BEFORE_MEAL}, set(), None),
        ("||A|", {Context.AFTER_MEAL}, set(), None),
        ("||D|", set(), set(), None),
        ("|||E", set(), {Status.CONTROL_SOLUTION}, None),
        ("|>||", set(), {Status.RESULT_ABOVE_RANGE}, Comparator.ABOVE),
        ("|<||", set(), {Status.RESULT_BELOW_RANGE}, Comparator.BELOW),
        (r"|<\T||", set(), {Status.QUESTIONABLE_MEASUREMENT, Status.RESULT_BELOW_RANGE}, Comparator.BELOW),
    ],
)
def test_marks_of_serial_meters(
    fields: str, context: set[Context], status: set[Status], comparator: Comparator | None
) -> None:
    found = one(f"R|2|^^^Glucose|133|mg/dL^P|{fields}|||200612190719")
    assert found.context == context | {Context.PLASMA}
    assert (found.status, found.values[0].comparator) == (status, comparator)
    assert found.device_time == datetime(2006, 12, 19, 7, 19)


@pytest.mark.parametrize("value", ["", "HI", "601"])
def test_hi_is_never_a_plain_number(value: str) -> None:
    (found,) = one(f"R|5|^^^Glucose|{value}|mg/dL^P||>||201505261200").values
    assert found.comparator is Comparator.ABOVE or found.absent is not None


@pytest.mark.parametrize(
    ("settings", "value", "flag", "shown"),
    [
        ("", "601", ">", "> 600"),
        ("", "19", "<", "< 20"),
        ("", "33.4", ">", "> 33.3"),
        ("", ">600", ">", "> 600"),
        ("V=10600", "601", ">", "> 600"),
        ("V=10600", "650", ">", "> 600"),
        ("V=10600", "600", ">", "> 600"),
        ("V=10600", "9", "<", "< 10"),
        ("V=10600", "19", "<", "< 20"),
        ("V=10600", "33.4", ">", "> 33.3"),
    ],
)
def test_hi_and_lo_say_the_end_of_the_range(settings: str, value: str, flag: str, shown: str) -> None:
    header = rf"H|\^&|||Bayer7390^01.24^7390-1|A=1^{settings}^Z=1"
    unit = "mmol/L" if "." in value else "mg/dL"
    (found,) = readings(f"{header}\rR|5|^^^Glucose|{value}|{unit}^P||{flag}||201505261200\r")
    said = found.values[0]
    assert f"{said.comparator} {said.value}" == shown
    assert found.status == {Status.RESULT_ABOVE_RANGE if flag == ">" else Status.RESULT_BELOW_RANGE}


HEADER = r"H|\^&|||CLINITEK STATUS|||||||P|1|20260424140615"


@pytest.mark.parametrize("stamp", ["", "|||||||20240424"])
def test_a_result_without_a_full_time_is_known_again_by_its_message(stamp: str) -> None:
    message = f"{HEADER}\rO|1|7\rR|1|^^^GLU|NEG|{stamp}\rR|2|^^^GLU|NEG|{stamp}\rL|1\r"
    first, second, again, _ = readings(message * 2)
    assert first.record and again == first
    assert second.record != first.record  # the second strip
    (other, *_) = readings(message.replace("140615", "140715"))
    assert other.record != first.record
    assert first.status == ({Status.CLOCK_UNSET} if stamp else set())


def test_equal_results_of_messages_without_any_time_are_not_taken_for_one() -> None:
    assert one("R|1|^^^GLU|NEG|").record is None


def test_a_time_with_its_distance_from_utc_is_the_instruments_own() -> None:
    """LIS2-A2, dates and times: the local time, and how far it is from UTC."""
    found = one("R|1|^^^HbA1c|5.9|%||||F||||20241206140615+0100")
    assert (found.device_time, found.record, found.status) == (datetime(2024, 12, 6, 14, 6, 15), None, set())


def test_the_average_of_a_serial_meter_is_no_measurement() -> None:
    header = r"H|\^&||-10751|Bayer7150^2.04\20.0^7150A1155328|||||||P|1|200612272011"
    average = "R|1|^^^Glucose|140|mg/dL^P|||||||200612272011"
    assert readings(f"{header}\r{average}\r") == []
    assert readings("R|1|^^^Glucose|140|mg/dL^P|||||||") == []
    assert len(readings(average.replace("R|1", "R|2"))) == 1


def test_another_unit_is_an_error_and_not_converted() -> None:
    found = one("R|8|^^^Glucose|133|mg^P||||201202052034")
    assert (found.values[0].absent, found.status) == (Absent.ERROR, {Status.UNEXPECTED_FORMAT})


def test_glucose_of_a_laboratory_instrument_is_no_fingerstick() -> None:
    found = one("R|1|^^^GLUCOSE|105|mg/dL||N||F")
    assert (found.kind, found.values[0].name) == (Kind.LAB, Name.ANALYTE)


# --- Framing ------------------------------------------------------------------------------------------------------


def test_a_record_goes_on_in_the_next_frame() -> None:
    text = b"R|1|^^^HbA1c|5.9|%||||F||||20240820151030\r"
    for cut in range(1, len(text)):
        data = frame(1, text[:cut], b"\x17") + frame(2, text[cut:])
        (found,) = readings(data)
        assert (found.values[0].value, found.raw) == (Decimal("5.9"), text[:-1])


def test_the_ends_of_a_record_without_its_middle_are_not_joined() -> None:
    parts = [frame(1, b"R|1|^^^HbA1c|1", b"\x17"), frame(2, b"5.", b"\x17"), frame(3, b"9|%\rR|2|^^^CRP|8|mg/L\r")]
    assert [o.values[0].value for o in readings(b"".join(parts))] == [Decimal("15.9"), Decimal(8)]
    assert [o.values[0].code for o in readings(parts[0] + parts[2])] == ["CRP"]
    assert [o.values[0].code for o in readings(parts[0] + b"\x05" + parts[2])] == ["CRP"]


def test_a_new_transfer_forgets_the_old_ones_context() -> None:
    control = rb"H|\^&|||X|||||||Q|1" + b"\r"
    for word in (b"\x05", b"\x04"):
        (found,) = readings(frame(1, control) + word + frame(1, b"R|1|^^^CRP|8|mg/L\r"))
        assert found.status == set()


def test_a_frame_is_whole_or_noise() -> None:
    text = frame(1, b"R|1|^^^CRP|8|mg/L\r")
    for cut in range(len(text) - 2):
        assert all(not isinstance(item, Frame) or not item.group for item in items(text[:cut]))
    for index in range(1, len(text) - 2):
        damaged = bytearray(text)
        damaged[index] ^= 0x40
        assert readings(bytes(damaged)) == []


def test_an_endless_frame_ends() -> None:
    """F03: the buffer is bounded."""
    found = items(b"\x02" + b"1" + b"x" * 3 * TEXT_MAX_BYTES)
    assert {item.why for item in found if isinstance(item, Noise)} == {Why.TOO_LONG, Why.UNSYNCHRONISED}


def test_an_endless_record_is_cut_and_marked() -> None:
    long = b"R|1|^^^CRP|8|mg/L||||F|" + b"x" * RECORD_MAX_BYTES
    data = frame(1, long, b"\x17") + frame(2, b"y" * 99 + b"\rR|2|^^^ALB|9|mg/L\r")
    first, second = readings(data)
    assert (first.values[0].value, first.status) == (Decimal(8), {Status.UNEXPECTED_FORMAT})
    assert (second.values[0].value, second.status) == (Decimal(9), set())


def test_bare_records_are_not_believed_behind_a_data_link() -> None:
    """A frame whose STX is lost has no sum."""
    record = b"R|1|^^^CRP|8|mg/L\r\n"
    assert len(readings(record)) == 1
    assert readings(b"\x05" + record) == []
    assert readings(frame(1, b"C|1\r") + record) == []
    assert [item for item in Codec(bare=False).feed(record) if isinstance(item, Frame)] == []


def test_the_patient_stays_in_the_bytes() -> None:
    """F48: nothing of P and O is in what a frame shows, in a reading, or in what decode prints beside the raw bytes."""
    planted = ("DOE", "JANE", simulator.PATIENT)
    data = b"".join(simulator.frame_each(simulator.dca(simulator.ACR)))
    for item in items(data):
        shown = repr(item)
        assert not any(word in shown for word in planted)
        assert all(word.encode() not in o.raw for word in planted for o in getattr(item, "group", ()))
    lines = list(decoded(Codec(bare=True), data))
    for line in lines:
        line.get("frame", {}).pop("raw", None)
    assert not any(word in json.dumps(lines, default=str) for word in planted)


@given(st.text(st.sampled_from("RHPOLC|^\\&0159.<>-*/ABCFQ%\u00b5 \x07"), max_size=120))
def test_any_record_is_read_without_an_exception(text: str) -> None:
    for prefix in ("", "R|1|^^^HbA1c|", "R|2|^^^Glucose|100|mg/dL^P|", "H|"):
        data = frame(1, (prefix + text).encode() + b"\r")
        assert b"".join(item.raw for item in items(data)) == data
