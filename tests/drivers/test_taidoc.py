"""TaiDoc and FORA: frames, what a record means on which model, and a memory that is asked for again and again."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicebridge.sdk import (
    Absent,
    Context,
    DeviceClock,
    DeviceIdentity,
    Frame,
    Kind,
    Loss,
    Name,
    Noise,
    Observation,
    Status,
    Unit,
)
from devicebridge.sdk.simulation import SerialPort, SerialScenario
from devicebridge_drivers.taidoc import DRIVER
from devicebridge_drivers.taidoc.codec import Message, codec
from devicebridge_drivers.taidoc.records import Measures, measures, moment
from devicebridge_simulators.taidoc import (
    AFTER_MEAL,
    BEFORE_MEAL,
    CONTROL,
    FROM_BP,
    SERIAL,
    SIMULATOR,
    UART,
    Record,
    ago,
    device,
    frame,
    pressure,
    strip,
    temperature,
    time,
    weighing,
)
from support.cable import faulty, plug
from support.radio import Remembering, meet, numbers, play

# medical_ble_toolkit, tests/test_fora_protocol.py: 120/80 mmHg, mean 90, pulse 72
PRESSURE = bytes.fromhex("5126785a5048a586")
NEVER = {0x33, 0x41, 0x43, 0x47, 0x50, 0x52}  # set, start, switch off, erase


def decode(data: bytes, size: int = 0, model: str | None = None) -> list[Frame | Noise]:
    one = codec(model)
    pieces = [data[i : i + size] for i in range(0, len(data), size)] if size else [data]
    return [*(item for piece in pieces for item in one.feed(piece)), *one.close()]


def observations(data: bytes, model: str | None = None) -> list[Observation]:
    return [o for item in decode(data, model=model) if isinstance(item, Frame) for o in item.group]


def pair(record: Record) -> bytes:
    return frame(0x25, time(record.when, record.minute_flags, record.hour_flags)) + frame(0x26, record.data)


def read(model: str, record: Record) -> Observation:
    (said,) = observations(pair(record), model)
    return said


def values(said: Observation) -> dict[Name, str]:
    return {v.name: str(v.absent or f"{v.comparator or ''}{v.text or v.value}") for v in said.values}


@given(st.lists(st.one_of(st.binary(max_size=20), st.just(PRESSURE), st.just(frame(0x24, b"\x77\x42\0\0")))))
def test_every_byte_is_in_one_item_however_they_are_cut(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    whole = decode(data)
    assert b"".join(item.raw for item in whole) == data
    assert decode(data, size=1) == decode(data, size=5) == whole


@given(st.integers(0, 63))
def test_no_flipped_bit_is_believed(bit: int) -> None:
    damaged = bytearray(PRESSURE)
    damaged[bit // 8] ^= 1 << bit % 8
    assert observations(bytes(damaged)) == []


def test_f02_line_noise_says_next_to_nothing() -> None:
    """A frame has no more than a byte of sum: of a megabyte of noise that begins and ends like one, one in 256."""
    noise = random.Random(5).randbytes(200_000)
    assert len(observations(noise)) == 0


def test_a_frame_alone_is_read_only_where_it_can_mean_one_thing() -> None:
    assert values(observations(PRESSURE)[0])[Name.MEAN] == "90"
    assert values(observations(frame(0x26, bytes((101, 0, 0, 64))))[0]) == {Name.GLUCOSE: "101"}
    assert values(observations(frame(0x26, bytes((98, 0, 0, 0))))[0]) == {Name.GLUCOSE: "98"}
    for data in (
        bytes((120, 0, 80, 64)),  # a D40's 120/80, pulse 64, or glucose with a strip code of 80
        bytes((0x6E, 1, 0xFA, 0)),  # 36.6 degrees in a room of 25.0, or glucose
        bytes((97, 0, 0, 72)),  # an oximeter's 97 % and 72
        bytes((98, 0, 0, 64)),  # 98 % and 64, or glucose before a meal
        bytes((91, 0, 0, 128)),  # 91 % and 128, or glucose after a meal
        bytes((90, 0, 0, 192)),  # 90 % and 192, or control solution
        bytes((80, 90, 120, 72)),  # no blood pressure
        bytes((120, 90, 80, 2)),  # an error
    ):
        assert observations(frame(0x26, data)) == []


def test_the_model_is_remembered_from_what_the_device_said() -> None:
    thermometer = frame(0x24, bytes.fromhex("41120000"))
    (said,) = observations(thermometer + pair(temperature(366, ago(1))))
    assert said.kind is Kind.TEMPERATURE
    assert observations(frame(0x24, bytes.fromhex("01730000")) + PRESSURE) == []


@pytest.mark.parametrize(
    ("model", "what"),
    [
        ("1241", Measures.TEMPERATURE),
        ("2551", Measures.WEIGHT),
        ("3128", Measures.BLOOD_PRESSURE),
        ("3261", Measures.GLUCOSE_AND_BLOOD_PRESSURE),
        ("4277", Measures.GLUCOSE),
        ("8255", Measures.OXIMETRY),
        ("7301", None),
        ("0000", None),
    ],
)
def test_the_first_digits_tell_what_is_measured(model: str, what: Measures | None) -> None:
    assert measures(model) == what


@given(st.datetimes(datetime(2000, 1, 1), datetime(2127, 12, 31)))
def test_times(when: datetime) -> None:
    assert moment(time(when)) == when.replace(second=0, microsecond=0)
    assert moment(time(when, 0xC0, 0xE0)) == when.replace(second=0, microsecond=0)


@pytest.mark.parametrize(
    ("number", "value"),
    [(20, "20"), (600, "600"), (601, ">600"), (19, "<20"), (0, "error"), (0xFFFF, "error")],
)
def test_f10_glucose(number: int, value: str) -> None:
    said = read("4277", strip(number, ago(2)))
    assert values(said) == {Name.GLUCOSE: value}
    assert said.device_time == ago(2)


def test_meals_and_control_solution() -> None:
    for meal, context in ((0, set()), (BEFORE_MEAL, {Context.BEFORE_MEAL}), (AFTER_MEAL, {Context.AFTER_MEAL})):
        assert read("4277", strip(105, ago(2), meal=meal)).context == context
    control = read("4277", strip(105, ago(2), meal=CONTROL))
    assert (control.status, control.context) == ({Status.CONTROL_SOLUTION}, frozenset())


@pytest.mark.parametrize(
    ("kind", "number", "reading"),
    [
        (7, 45, (Kind.GLUCOSE, Name.KETONE, "1.5", Unit.MMOL_PER_L)),
        (7, 0, (Kind.GLUCOSE, Name.KETONE, "0.0", Unit.MMOL_PER_L)),
        (7, 243, (Kind.GLUCOSE, Name.KETONE, ">8.0", Unit.MMOL_PER_L)),
        (7, 0xFFFF, (Kind.GLUCOSE, Name.KETONE, "error", Unit.MMOL_PER_L)),
        (6, 42, (Kind.LAB, Name.ANALYTE, "42", Unit.PERCENT)),
        (8, 61, (Kind.LAB, Name.ANALYTE, "6.1", Unit.MG_PER_DL)),
        (9, 182, (Kind.LAB, Name.ANALYTE, "182", Unit.MG_PER_DL)),
        (11, 135, (Kind.LAB, Name.ANALYTE, "13.5 g/dL", Unit.UNITY)),
        (5, 61, (Kind.LAB, Name.ANALYTE, "unknown", Unit.UNITY)),
    ],
)
def test_kinds_of_strip(kind: int, number: int, reading: tuple[Kind, Name, str, Unit]) -> None:
    said = read("4216", strip(number, ago(2), kind=kind))
    ((name, value),) = values(said).items()
    assert (said.kind, name, value, said.values[0].unit) == reading


@pytest.mark.parametrize("flags", [0x40, 0x20 << 8, 0x40 << 8, 0x60 << 8])
def test_an_irregular_pulse(flags: int) -> None:
    """The bit beside the minute, or a code beside the hour."""
    record = Record(bytes((128, 96, 82, 71)), ago(2), flags & 0xFF, flags >> 8)
    assert read("3128", record).status == {Status.IRREGULAR_PULSE}
    assert read("3128", pressure(128, 96, 82, 71, ago(2))).status == frozenset()


@pytest.mark.parametrize("data", [(0, 0, 0, 0), (0, 96, 82, 71), (128, 96, 0, 71), (128, 96, 82, 0), (128, 96, 82, 3)])
def test_f10_a_failed_measurement_has_no_number(data: tuple[int, int, int, int]) -> None:
    said = read("3128", pressure(*data, ago(2)))
    assert {value.absent for value in said.values} == {Absent.ERROR}
    assert said.status == {Status.DEVICE_ERROR}


def test_a_d40_has_both_in_one_memory() -> None:
    cuff = pressure(120, 0, 80, 64, ago(2), flags=FROM_BP)
    assert values(read("3261", cuff)) == {Name.SYSTOLIC: "120", Name.DIASTOLIC: "80", Name.PULSE_RATE: "64"}
    assert values(read("3261", strip(120, ago(2), meal=BEFORE_MEAL))) == {Name.GLUCOSE: "120"}


@pytest.mark.parametrize(
    ("number", "value"),
    [(366, "36.6"), (3660, "36.60"), (200, "20.0"), (0, "error"), (1999, "error"), (0xFFFF, "error")],
)
def test_temperatures(number: int, value: str) -> None:
    assert values(read("1241", temperature(number, ago(1)))) == {Name.TEMPERATURE: value}


@pytest.mark.parametrize(
    ("place", "context"), [(0, Context.EAR), (1, Context.FOREHEAD), (2, Context.RECTAL), (3, Context.AXILLARY)]
)
def test_places(place: int, context: Context) -> None:
    assert read("1241", temperature(366, ago(1), place=place)).context == {context}


@pytest.mark.parametrize("place", [4, 5])
def test_the_temperature_of_a_thing_or_a_room_is_nobodys(place: int) -> None:
    assert observations(pair(temperature(366, ago(1), place=place)), "1241") == []


@pytest.mark.parametrize(
    ("spo2", "pulse", "expected"), [(97, 72, ("97", "72")), (0, 0, ("error",) * 2), (101, 72, ("error", "72"))]
)
def test_oximetry(spo2: int, pulse: int, expected: tuple[str, str]) -> None:
    said = read("8255", Record(bytes((spo2, 0, 0, pulse)), ago(1)))
    assert tuple(values(said).values()) == expected


def test_weights() -> None:
    for unit, value in (
        (0, (Decimal("82.5"), Unit.KG)),
        (1, (Decimal("181.9"), Unit.POUND)),
        (2, (Decimal("82.5"), Unit.KG)),
    ):
        (said,) = observations(weighing(825, 1819, ago(1), unit=unit))
        assert (said.values[0].value, said.values[0].unit) == value
        assert said.device_time == ago(1)


STRIPS = [strip(105, ago(2)), strip(98, ago(9)), strip(140, ago(300))]
NEXT = [strip(131, ago(1)), *STRIPS]


def test_what_is_new_is_sent_each_time() -> None:
    kept = plug(DRIVER, device("4277", STRIPS, needed=3), device("4277", NEXT, needed=2))
    assert kept.sent == [("98",), ("105",), ("131",)]
    serial = SERIAL.hex().upper()
    assert [e for e in kept.events if isinstance(e, DeviceIdentity)] == [DeviceIdentity("TaiDoc", "TD-4277", serial)]
    assert DeviceClock(ago(0)) in kept.events
    assert list(kept.memory) == [serial]


def test_a_device_that_stays_connected_is_asked_again() -> None:
    """A cuff on its USB cable measures while it is connected."""
    records = list(STRIPS)

    async def stays(port: SerialPort) -> None:
        await device("4277", records, needed=3)(port)
        records.insert(0, NEXT[0])
        await device("4277", records, needed=2)(port)

    assert plug(DRIVER, stays).sent == [("98",), ("105",), ("131",)]


def test_nothing_is_started_set_or_erased() -> None:
    written = plug(DRIVER, device("4277", STRIPS, needed=3), device("3128", STRIPS, needed=1)).written
    asked = {item.command for item in decode(written) if isinstance(item, Message)}
    assert asked == {0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x2B}
    assert not asked & NEVER


def test_a_device_that_is_just_waking_is_asked_again() -> None:
    assert plug(DRIVER, device("4277", STRIPS, needed=3, wakes=True)).sent == [("98",), ("105",)]


def test_the_memories_of_several_users() -> None:
    async def two_users(port: SerialPort) -> None:
        await device("3128", [pressure(128, 96, 82, 71, ago(1))], needed=2)(port)

    kept = plug(DRIVER, two_users, options={"users": [1, 2]})
    assert sorted(kept.memory) == [f"{SERIAL.hex().upper()}/{user}" for user in (1, 2)]
    assert len(kept.sent) == 2


ANSWERS = range(22)  # of the device and of nine records, but the last: with that it is off


@pytest.mark.parametrize("number", ANSWERS)
@pytest.mark.parametrize("fault", [lambda data: data * 2, lambda data: b"", lambda data: data[:-1] + b"\0"])
def test_f09_a_time_is_never_paired_with_another_records_value(number: int, fault: Callable[[bytes], bytes]) -> None:
    """One answer comes twice, not at all, or spoilt."""
    records = [strip(100 + n, ago(n)) for n in range(9)]
    kept = plug(DRIVER, faulty(device("4277", records, needed=9), number, fault))
    assert [group[0].device_time for group in kept.groups] == [ago(n) for n in range(8, -1, -1)]
    assert kept.sent == [(str(100 + n),) for n in range(8, -1, -1)]


def test_f07_a_device_of_another_kind_is_refused() -> None:
    assert plug(DRIVER, device("7301", STRIPS, needed=9)).lost is Loss.UNEXPECTED_DEVICE


def test_a_scale_that_is_used_meanwhile_is_read_anew() -> None:
    """The number of records changes while they are read: nothing is sent of that, and then all of it."""
    scale = [weighing(825, 1819, ago(1)), weighing(612, 1349, ago(5))]
    assert plug(DRIVER, device("2551", scale, needed=2)).sent == [("61.2",), ("82.5",)]

    async def grows(port: SerialPort) -> None:
        await faulty(device("2551", scale[1:], needed=1), 5, lambda _: frame(0x2B, b"\x02\x00\xff\xff"))(port)
        await port.pause(5)
        await device("2551", scale, needed=2)(port)

    assert plug(DRIVER, grows).sent == [("61.2",), ("82.5",)]


# --- Over Bluetooth LE -------------------------------------------------------------------------------------------


def test_over_radio_it_is_read_once_and_again_when_it_was_used() -> None:
    kept, lost = play(DRIVER, SIMULATOR.gatt, "ble-used-again")
    assert lost is Loss.DISCONNECTED
    assert [numbers(o) for o in kept.observations][:2] == [{"glucose": 98}, {"glucose": 105}]
    assert {i.serial for i in kept.noted(DeviceIdentity)} == {SERIAL.hex().upper(), None}


def test_over_radio_the_next_visit_sends_what_is_new() -> None:
    outlet = Remembering()
    for records, needed in ((STRIPS[1:], len(STRIPS) - 1), (STRIPS, 2)):
        on_cable = SerialScenario(title="a visit", run=device("4277", records, needed=needed))
        meet(DRIVER, SIMULATOR.gatt, UART.scenario(on_cable), outlet, {"first_download": "all"})
    assert len(outlet.observations) == len(STRIPS)


@pytest.mark.parametrize(("model", "user"), [("4277", 0), ("3128", 1), ("3280", 1), ("4183", 1)])
def test_models_that_keep_their_one_user_as_the_first(model: str, user: int) -> None:
    kept = plug(DRIVER, device(model, [pressure(128, 96, 82, 71, ago(1))], needed=1))
    said = [item for item in decode(kept.written) if isinstance(item, Message)]
    assert {item.data[3] for item in said if item.command == 0x26} == {user}
    assert {item.data[0] for item in said if item.command == 0x2B} == {user}
