"""LifeScan's binary meters: packets, the two families' ways of asking, and a memory read at each connection."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicebridge.sdk import Absent, Context, DeviceClock, DeviceIdentity, Frame, Loss, Noise, Observation, Status, Why
from devicebridge.sdk.simulation import SerialPort
from devicebridge_drivers.lifescan import DRIVER
from devicebridge_drivers.lifescan.codec import Packet, codec
from devicebridge_simulators.lifescan import (
    CLOCK,
    HI,
    Result,
    ago,
    mini_record,
    packet,
    packets,
    ultramini,
    verio,
    verio_record,
)
from support.cable import Play, faulty, plug

# Doume/Glucometer, Documents/trace_verio.txt: record 10 of a Verio IQ, 206 mg/dL
RECORD = bytes.fromhex("02120003065AA5781BCE000001000003428A")
ERASE, SET_CLOCK = {"erase"}, {"set-clock"}
VISIT = [Result(105, ago(2), 1), Result(98, ago(9)), Result(140, ago(300))]
NEXT = [Result(131, ago(1)), *VISIT]
FAMILIES = pytest.mark.parametrize("meter", [verio, ultramini])
Meter = Callable[..., Play]


def decode(data: bytes, size: int = 0) -> list[Frame | Noise]:
    one = codec()
    pieces = [data[i : i + size] for i in range(0, len(data), size)] if size else [data]
    return [*(item for piece in pieces for item in one.feed(piece)), *one.close()]


def observations(data: bytes) -> list[Observation]:
    return [o for item in decode(data) if isinstance(item, Frame) for o in item.group]


def asked(written: bytes) -> set[str]:
    return {item.name for item in decode(written) if isinstance(item, Packet)}


@given(st.lists(st.one_of(st.binary(max_size=40), st.just(RECORD), st.just(b"\x02\x06\x06\x03\xcd\x41"))))
def test_every_byte_is_in_one_item_however_they_are_cut(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    whole = decode(data)
    assert b"".join(item.raw for item in whole) == data
    assert decode(data, size=1) == decode(data, size=5) == whole


@given(st.integers(0, len(RECORD) * 8 - 1))
def test_no_flipped_bit_in_a_record_is_believed(bit: int) -> None:
    damaged = bytearray(RECORD)
    damaged[bit // 8] ^= 1 << bit % 8
    assert observations(bytes(damaged)) == []


def test_f02_line_noise_says_nothing() -> None:
    assert observations(random.Random(3).randbytes(200_000)) == []


@pytest.mark.parametrize("family", [verio_record, mini_record])
@pytest.mark.parametrize(
    ("mg_dl", "value", "comparator", "status"),
    [
        (20, "20", None, set()),
        (600, "600", None, set()),
        (601, "600", ">", {Status.RESULT_ABOVE_RANGE}),
        (HI, "600", ">", {Status.RESULT_ABOVE_RANGE}),
        (19, "20", "<", {Status.RESULT_BELOW_RANGE}),
        (0, "error", None, set()),
    ],
)
def test_results(
    family: Callable[[Result], bytes], mg_dl: int, value: str, comparator: str | None, status: set[Status]
) -> None:
    """F10: never a number that the meter cannot show."""
    (said,) = observations(packet(family(Result(mg_dl, ago(2)))))
    assert str(said.values[0].absent or said.values[0].value) == value
    assert said.values[0].comparator == comparator
    assert said.status == status
    assert said.device_time == ago(2)


def test_flags_of_a_verio() -> None:
    (control,) = observations(packet(verio_record(Result(105, CLOCK, control=True))))
    assert control.status == {Status.CONTROL_SOLUTION}
    for meal, context in ((0, set()), (1, {Context.BEFORE_MEAL}), (2, {Context.AFTER_MEAL})):
        (said,) = observations(packet(verio_record(Result(105, CLOCK, meal))))
        assert said.context == context
    (odd,) = observations(packet(verio_record(Result(105, CLOCK, 3))))
    assert odd.status == {Status.UNEXPECTED_FORMAT}


@pytest.mark.parametrize("text", [b"C176SA00", b"C176SA00F", b"TCFPQRMG\0", b"TCFPQRMGA\0"])
@pytest.mark.parametrize("family", [b"\x03", b"\x05"])
def test_a_serial_number_is_never_a_record(family: bytes, text: bytes) -> None:
    (item,) = decode(packet(family + b"\x06" + text))
    assert isinstance(item, Packet)
    assert (item.name, item.text, item.group) == ("text", text.strip(b"\0").decode(), ())


def test_a_record_over_bluetooth_is_told_by_its_length() -> None:
    """tidepool-org/uploader, oneTouchVerioBLE.js: 06, time, value, control flag, four zeros; 01 before each packet."""
    ble = b"\x03\x06" + bytes.fromhex("5AA5781B") + b"\x69\x00" + b"\x00" + bytes(4)
    (said,) = observations(b"\x01" + packet(ble))
    assert str(said.values[0].value) == "105"
    assert said.device_time == datetime(2014, 8, 9, 9, 24, 42)


@FAMILIES
def test_a_meter_is_read_each_time_it_is_connected(meter: Meter) -> None:
    kept = plug(DRIVER, meter(VISIT, needed=3), meter(NEXT, needed=2))
    assert kept.sent == [("98",), ("105",), ("131",)]
    assert DeviceClock(CLOCK) in kept.events
    model = "OneTouch Verio IQ" if meter is verio else "OneTouch UltraMini"
    assert any(isinstance(event, DeviceIdentity) and event.model == model for event in kept.events)
    assert not asked(kept.written) & {"erase", "set-clock", "unknown"}


@FAMILIES
def test_only_what_is_new_is_read(meter: Meter) -> None:
    """After the first meeting the newest record is asked for, and the one that is known; not the third."""
    first = plug(DRIVER, meter(VISIT, needed=3))
    again = plug(DRIVER, meter(NEXT, needed=2), memory=first.memory)
    assert again.sent == [("131",)]
    assert again.written.count(b"\x21\x02\x00" if meter is verio else b"\x1f\x02\x00") == 0


@FAMILIES
@pytest.mark.parametrize("first", ["all", "none"])
def test_the_first_meeting(meter: Meter, first: str) -> None:
    kept = plug(DRIVER, meter(VISIT, needed=3 if first == "all" else 1), options={"first_download": first})
    assert kept.sent == ([("140",), ("98",), ("105",)] if first == "all" else [])
    assert plug(DRIVER, meter(VISIT, needed=1), memory=kept.memory, options={"first_download": first}).sent == []


@FAMILIES
def test_an_empty_memory(meter: Meter) -> None:
    kept = plug(DRIVER, _gone_after(meter([], needed=99), 30))
    assert kept.sent == []
    assert plug(DRIVER, meter(VISIT, needed=3), memory=kept.memory).sent == [("140",), ("98",), ("105",)]


def test_a_record_with_an_odd_field_is_a_result_without_a_number() -> None:
    """A control mark of 2, an UltraMini record of erased memory: the shape says that they are records."""
    odd = verio_record(Result(105, ago(2)))
    for message in (odd[:8] + b"\x02" + odd[9:], b"\x05\x06" + b"\xff" * 8):
        (said,) = observations(packet(message))
        assert said.values[0].absent is Absent.ERROR
        assert said.status == {Status.UNEXPECTED_FORMAT}


@FAMILIES
def test_one_odd_record_does_not_block_the_memory(meter: Meter) -> None:
    odd = Result(98, ago(9), control=2) if meter is verio else Result(0x10062, ago(9))
    kept = plug(DRIVER, meter([VISIT[0], odd, VISIT[2]], needed=3))
    assert kept.sent == [("error",), ("105",)]
    assert kept.memory


def test_f08_an_ultramini_that_repeats_itself_is_read_once() -> None:
    assert plug(DRIVER, ultramini(VISIT, needed=3, repeats=True)).sent == [("98",), ("105",)]


@FAMILIES
@pytest.mark.parametrize("doubled", range(9))
def test_f09_an_answer_that_comes_twice_is_not_the_next_one(meter: Meter, doubled: int) -> None:
    """Times and values stay together whichever answer is doubled."""
    kept = plug(DRIVER, faulty(meter(VISIT, needed=3), doubled, lambda data: data * 2), meter(VISIT, needed=1))
    assert kept.sent == [("98",), ("105",)]


@FAMILIES
@pytest.mark.parametrize("lost", range(9))
def test_f09_an_answer_that_is_lost_is_asked_for_anew(meter: Meter, lost: int) -> None:
    kept = plug(DRIVER, _gone_after(faulty(meter(VISIT, needed=99), lost, lambda _: b""), 60))
    assert kept.sent == [("98",), ("105",)]


@FAMILIES
@pytest.mark.parametrize("spoilt", range(9))
def test_a_spoilt_answer_is_asked_for_anew(meter: Meter, spoilt: int) -> None:
    kept = plug(DRIVER, _gone_after(faulty(meter(VISIT, needed=99), spoilt, _damaged), 60))
    assert kept.sent == [("98",), ("105",)]


def test_a_test_during_the_reading_shifts_nothing() -> None:
    """The number of records has changed: what was read is thrown away and read again."""

    async def grows(port: SerialPort) -> None:
        heard, records, answered = bytearray(), list(VISIT), 0
        while answered < 20:
            heard += await port.read()
            for _, message in packets(heard):
                if not message:
                    continue  # for the other family
                answered += 1
                if answered == 5:
                    records.insert(0, NEXT[0])
                await port.write(packet(_verio_answer(message, records)))

    assert plug(DRIVER, grows).sent == [("98",), ("105",), ("131",)]


def test_f07_noise_without_end_is_another_device() -> None:
    async def printer(port: SerialPort) -> None:
        for _ in range(100):
            await port.write(b"SPO2=097 HR=072\r\n")
            await port.pause(0.3)

    assert plug(DRIVER, printer).lost is Loss.UNEXPECTED_DEVICE


def test_each_family_is_tried_in_turn_until_one_answers() -> None:
    """A lone family asks nothing of the other."""
    silent = plug(DRIVER)
    assert {"read-serial", "disconnect"} <= asked(silent.written)
    assert asked(plug(DRIVER, options={"family": "ultramini"}).written) == {"disconnect"}
    assert asked(plug(DRIVER, options={"family": "verio"}).written) == {"read-serial"}


def test_a_clock_that_was_never_set_still_tells_what_is_recent() -> None:
    start = datetime(2000, 1, 1, 0, 20)
    results = [Result(105, start - timedelta(minutes=2)), Result(98, start - timedelta(minutes=19))]
    assert plug(DRIVER, verio(results, start, needed=2)).sent == [("105",)]


def test_half_a_packet_is_incomplete() -> None:
    for cut in range(4, len(RECORD)):
        assert [item.why for item in decode(RECORD[:cut]) if isinstance(item, Noise)] == [Why.INCOMPLETE] or cut < 4


def _verio_answer(message: bytes, records: list[Result]) -> bytes:
    if message[1] == 0x0B:
        return b"\x03\x06TCFPQRMG\x00"
    if message[1] == 0x20:
        return b"\x03\x06" + int((CLOCK - datetime(2000, 1, 1)).total_seconds()).to_bytes(4, "little")
    if message[1] == 0x27:
        return b"\x03\x06" + len(records).to_bytes(2, "little")
    return verio_record(records[int.from_bytes(message[2:], "little")])


def _damaged(data: bytes) -> bytes:
    return data[:-1] + bytes((data[-1] ^ 0x40,))


def _gone_after(play: Play, seconds: float) -> Play:
    async def run(port: SerialPort) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await play(port)

    return run
