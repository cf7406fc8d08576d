"""OneTouch Ultra2 and Ultra: lines, sums, and a memory read each time a meter is put on the cable."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devicebridge.sdk import (
    Context,
    DeviceClock,
    DeviceIdentity,
    Frame,
    Loss,
    Name,
    Noise,
    Observation,
    Origin,
    Status,
    Why,
)
from devicebridge.sdk.simulation import SerialPort
from devicebridge_drivers.onetouch_ultra2 import DRIVER
from devicebridge_drivers.onetouch_ultra2.codec import Record, codec
from devicebridge_simulators.onetouch_ultra2 import (
    CLOCK,
    SERIAL,
    Result,
    dump,
    line,
    meter,
    mg_dl,
    minutes_ago,
    record,
)
from support.cable import plug

# tidepool-org/uploader, oneTouchUltra2.js: as received from a meter
RECORD = b'P "SAT","03/21/15","16:42:11   ","  105 ","B","02", 00 099F\r\n'
ALLOWED = {b"DM@", b"DMF", b"DMP"}


def decode(data: bytes, size: int = 0) -> list[Frame | Noise]:
    one = codec()
    pieces = [data[i : i + size] for i in range(0, len(data), size)] if size else [data]
    return [*(item for piece in pieces for item in one.feed(piece)), *one.close()]


def observations(data: bytes) -> list[Observation]:
    return [o for item in decode(data) if isinstance(item, Frame) for o in item.group]


def numbers(data: bytes) -> list[str]:
    return [str(o.values[0].absent or o.values[0].value) for o in observations(data)]


def shown(result: str) -> Observation:
    return observations(record(Result(result, CLOCK)))[0]


@given(st.lists(st.one_of(st.binary(max_size=20), st.just(RECORD), st.just(b"\x11\rDM?"), st.just(b"S 0053\r\n"))))
def test_every_byte_is_in_one_item_however_they_are_cut(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    whole = decode(data)
    assert b"".join(item.raw for item in whole) == data
    assert decode(data, size=1) == decode(data, size=7) == whole


@given(st.integers(0, len(RECORD) * 8 - 1))
def test_no_flipped_bit_in_a_record_is_believed(bit: int) -> None:
    """Within the text or the sum. The line end is not summed, and does not matter."""
    damaged = bytearray(RECORD)
    damaged[bit // 8] ^= 1 << bit % 8
    assert numbers(bytes(damaged)) in ([], ["105"] if bit // 8 >= len(RECORD) - 2 else [])


def test_f10_swapped_digits_keep_the_sum() -> None:
    """What a sum of characters cannot tell: the reason why no line is believed that is not whole in its form."""
    assert numbers(RECORD.replace(b"105", b"501")) == ["501"]
    assert numbers(RECORD.replace(b"  105 ", b" 1 05 ")) == []


@given(st.binary(max_size=30))
@example(b"\x11\rDM")  # with the record's own first letter it is the host's command for a dump
def test_within_one_record_of_junk_the_next_is_found(junk: bytes) -> None:
    assert numbers(junk + RECORD + RECORD)[-1:] == ["105"]


@pytest.mark.parametrize(
    ("letter", "context"), [("N", set()), ("B", {Context.BEFORE_MEAL}), ("A", {Context.AFTER_MEAL})]
)
def test_meals(letter: str, context: set[Context]) -> None:
    assert observations(record(mg_dl(105, CLOCK, letter)))[0].context == context


@pytest.mark.parametrize("comment", [f"{code:02d}" for code in range(12)])
def test_comments_are_kept_in_the_frame(comment: str) -> None:
    (item,) = decode(record(Result("  105 ", CLOCK, "N", comment)))
    assert isinstance(item, Record)
    assert item.comment == comment


@pytest.mark.parametrize(
    ("result", "value", "comparator", "status"),
    [
        ("  020 ", "20", None, set()),
        ("  600 ", "600", None, set()),
        ("  601 ", "600", ">", {Status.RESULT_ABOVE_RANGE}),
        ("  019 ", "20", "<", {Status.RESULT_BELOW_RANGE}),
        (" HIGH ", "600", ">", {Status.RESULT_ABOVE_RANGE}),
        ("C HIGH", "600", ">", {Status.RESULT_ABOVE_RANGE, Status.CONTROL_SOLUTION}),
        ("  LOW ", "20", "<", {Status.RESULT_BELOW_RANGE}),
        ("C 110 ", "110", None, {Status.CONTROL_SOLUTION}),
        ("K 110 ", "110", None, {Status.CONTROL_SOLUTION}),
        ("  110?", "error", None, {Status.DEVICE_ERROR}),
        ("! 110 ", "error", None, {Status.DEVICE_ERROR}),
        ("  000 ", "error", None, {Status.DEVICE_ERROR}),
    ],
)
def test_results(result: str, value: str, comparator: str | None, status: set[Status]) -> None:
    """F10: never a number that the meter did not measure."""
    said = shown(result)
    assert str(said.values[0].absent or said.values[0].value) == value
    assert said.values[0].comparator == comparator
    assert said.values[0].name is Name.GLUCOSE
    assert said.status == status
    assert said.origin is Origin.STORED


@pytest.mark.parametrize("result", ["I 010 ", "  1x5 ", "1     ", "12345 ", "-  105"])
def test_what_is_no_result_is_no_reading(result: str) -> None:
    assert observations(record(Result(result, CLOCK))) == []


def test_noise_is_bounded_and_named() -> None:
    items = decode(b"\x80" * 1000)
    assert {item.why for item in items if isinstance(item, Noise)} == {Why.UNSYNCHRONISED}
    assert max(len(item.raw) for item in items) <= 256


VISIT = [mg_dl(105, minutes_ago(2), "B"), mg_dl(98, minutes_ago(9)), mg_dl(140, minutes_ago(300))]
NEXT = [mg_dl(131, minutes_ago(1)), *VISIT]


def test_a_meter_is_read_each_time_it_is_connected() -> None:
    kept = plug(DRIVER, meter(dump(VISIT)), meter(dump(NEXT)), meter(dump(NEXT)))
    assert kept.sent == [("98",), ("105",), ("131",)]
    assert kept.lost is Loss.UNPLUGGED
    assert DeviceIdentity(manufacturer="LifeScan", model="OneTouch Ultra2", serial=SERIAL) in kept.events
    assert DeviceClock(CLOCK) in kept.events


def test_nothing_is_set_or_erased() -> None:
    kept = plug(DRIVER, meter(dump(VISIT)), meter(dump(NEXT)), options={"first_download": "all"})
    assert set(kept.written.split(b"\x11\r")[1:]) == ALLOWED


def test_the_clock_is_noted_before_anything_is_sent() -> None:
    kept = plug(DRIVER, meter(dump(VISIT)))
    assert [type(event) for event in kept.events] == [DeviceIdentity, DeviceClock]


def test_a_meter_that_stays_is_read_once() -> None:
    async def stays(port: SerialPort) -> None:
        await meter(dump(VISIT))(port)
        for _ in range(5):
            await port.read()
            await port.write(line(f'@ "{SERIAL}"'))

    kept = plug(DRIVER, stays)
    assert kept.written.count(b"DMP") == 1
    assert kept.sent == [("98",), ("105",)]


def test_a_spoilt_line_costs_only_itself_and_is_asked_for_again() -> None:
    async def spoilt(port: SerialPort) -> None:
        await meter([*dump(VISIT)[:2], record(VISIT[1]).replace(b"098", b"998"), record(VISIT[2])])(port)
        await port.pause(10)

    first = plug(DRIVER, spoilt)
    assert first.sent == [("105",)]
    assert first.memory == {}
    assert [event.why for event in first.events if isinstance(event, Noise)] == [Why.CHECKSUM]
    assert plug(DRIVER, meter(dump(VISIT)), memory=first.memory).sent == [("98",), ("105",)]


@pytest.mark.parametrize("lines", range(4))
def test_f01_a_meter_that_is_pulled_in_the_midst_sends_nothing(lines: int) -> None:
    async def pulled(port: SerialPort) -> None:
        await meter(dump(VISIT)[:lines])(port)
        await port.pause(1)

    kept = plug(DRIVER, pulled, options={"first_download": "all"})
    assert kept.memory == {}
    assert set(kept.sent) <= {("105",), ("98",)}


def test_f07_the_memory_of_another_meter_is_refused() -> None:
    assert plug(DRIVER, meter(dump(VISIT), serial="ABC123XYY")).lost is Loss.UNEXPECTED_DEVICE


def test_f07_a_device_that_only_makes_noise_is_refused() -> None:
    async def printer(port: SerialPort) -> None:
        for _ in range(100):
            await port.write(b"SPO2=097 HR=072\r\n")
            await port.pause(1)

    kept = plug(DRIVER, printer)
    assert kept.lost is Loss.UNEXPECTED_DEVICE
    assert kept.sent == []


def test_f09_a_late_answer_is_not_taken_for_the_next() -> None:
    """The serial number comes when the clock was asked for: it is passed over, and the clock waited for."""

    async def late(port: SerialPort) -> None:
        await port.read()
        await port.write(line(f'@ "{SERIAL}"') * 3)
        await meter(dump(VISIT))(port)

    assert plug(DRIVER, late).sent == [("98",), ("105",)]


def test_its_own_echo_is_no_answer() -> None:
    async def echoing(port: SerialPort) -> None:
        await meter(dump(VISIT))(_Echo(port))

    assert plug(DRIVER, echoing).sent == [("98",), ("105",)]


class _Echo:
    def __init__(self, port: SerialPort) -> None:
        self._port = port

    async def read(self) -> bytes:
        data = await self._port.read()
        await self._port.write(data)
        return data

    async def write(self, data: bytes, /) -> None:
        await self._port.write(data)

    async def pause(self, seconds: float, /) -> None:
        await self._port.pause(seconds)


def test_silence_is_asked_again_at_the_pace_that_is_set() -> None:
    """600 s of silence: an answer is waited for 2 s, then 5 s or 58 s pass."""
    for poll_s, asked in ((5, 600 / 7), (58, 10)):
        kept = plug(DRIVER, options={"poll_s": poll_s})
        assert abs(kept.written.count(b"DM@") - asked) <= 1


def test_a_time_without_a_day_is_no_time() -> None:
    (said,) = observations(record(mg_dl(105, None)))
    assert said.device_time is None
    assert Status.CLOCK_UNSET in said.status
    (dated,) = observations(record(mg_dl(105, datetime(2026, 2, 28, 23, 59, 59))))
    assert dated.device_time == datetime(2026, 2, 28, 23, 59, 59)
