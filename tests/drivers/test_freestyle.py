"""Abbott's text meters: records and their flags, a memory that is believed whole or not at all, and both families."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicebridge.sdk import DeviceClock, DeviceIdentity, Frame, Loss, Name, Noise, Observation, Status, Why
from devicebridge.sdk.simulation import SerialPort
from devicebridge_drivers.freestyle import DRIVER
from devicebridge_drivers.freestyle.codec import MEMORY_MAX_BYTES, Memory, codec
from devicebridge_simulators.freestyle import (
    CLOCK,
    LITE_SERIAL,
    XTRA_SERIAL,
    Result,
    ago,
    information,
    lite,
    lite_row,
    memory,
    meter,
    xtra,
    xtra_row,
)
from support.cable import Play, plug

VISIT = [Result("105", ago(2)), Result("003", ago(4), is_ketone=True), Result("140", ago(300))]
NEXT = [Result("131", ago(1)), *VISIT]
LITE_VISIT = [VISIT[0], VISIT[2]]


def decode(data: bytes, size: int = 0) -> list[Frame | Noise]:
    one = codec()
    pieces = [data[i : i + size] for i in range(0, len(data), size)] if size else [data]
    return [*(item for piece in pieces for item in one.feed(piece)), *one.close()]


def observations(data: bytes) -> list[Observation]:
    return [o for item in decode(data) if isinstance(item, Frame) for o in item.group]


def shown(text: str, **flags: bool | int) -> Observation:
    (said,) = observations(xtra_row(Result(text, ago(2), **flags)).encode() + b"\r\n")  # type: ignore[arg-type]
    return said


def whole(rows: int) -> bytes:
    return memory(XTRA_SERIAL, "0.22", CLOCK, [xtra_row(Result("105", ago(n))) for n in range(rows)])


@given(
    st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([whole(2), b"$colq\r\n", b"mem", b"CMD OK\r\n", b"\r"])))
)
def test_every_byte_is_in_one_item_however_they_are_cut(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    items = decode(data)
    assert b"".join(item.raw for item in items) == data
    assert decode(data, size=1) == decode(data, size=11) == items


@given(st.integers(0, (len(whole(3)) - 2) * 8 - 1))
def test_no_flipped_bit_in_a_memory_is_believed(bit: int) -> None:
    damaged = bytearray(whole(3))
    damaged[bit // 8] ^= 1 << bit % 8
    memories = [item for item in decode(bytes(damaged)) if isinstance(item, Memory)]
    first_line_end = bit // 8 < 2  # it is counted, but what it was is not seen
    assert len(memories) <= first_line_end


def test_the_longest_memory_fits() -> None:
    """450 records: a Precision Xtra's."""
    longest = whole(450)
    assert len(longest) < MEMORY_MAX_BYTES
    (found,) = [item for item in decode(longest, size=64) if isinstance(item, Memory)]
    assert found.count == len(found.group) == 450


@pytest.mark.parametrize(
    ("text", "value", "comparator", "status"),
    [
        ("020", "20", None, set()),
        ("500", "500", None, set()),
        ("501", "500", ">", {Status.RESULT_ABOVE_RANGE}),
        ("HI ", "500", ">", {Status.RESULT_ABOVE_RANGE}),
        ("019", "20", "<", {Status.RESULT_BELOW_RANGE}),
        ("LO ", "20", "<", {Status.RESULT_BELOW_RANGE}),
        ("000", "error", None, set()),
    ],
)
def test_glucose(text: str, value: str, comparator: str | None, status: set[Status]) -> None:
    said = shown(text)
    assert str(said.values[0].absent or said.values[0].value) == value
    assert said.values[0].comparator == comparator
    assert said.status == status


@pytest.mark.parametrize(
    ("text", "value", "comparator"),
    [("003", "0.2", None), ("000", "0.0", None), ("018", "1.0", None), ("144", "8.0", None), ("145", "8.1", ">")],
)
def test_ketones_are_eighteenths(text: str, value: str, comparator: str | None) -> None:
    said = shown(text, is_ketone=True)
    assert said.values[0].name is Name.KETONE
    assert said.values[0].comparator == (">" if comparator else None)
    assert str(said.values[0].value) == ("8.0" if comparator else value)


def test_flags() -> None:
    assert shown("105", flags=1).status == {Status.CONTROL_SOLUTION}
    lost = shown("105", flags=2)
    assert (lost.status, lost.device_time) == ({Status.CLOCK_UNSET}, None)
    assert shown("105", flags=4).status == {Status.UNEXPECTED_FORMAT}
    assert shown("105", flags=3, is_ketone=True).status == {Status.CONTROL_SOLUTION, Status.CLOCK_UNSET}


@pytest.mark.parametrize("month", range(1, 13))
def test_months(month: int) -> None:
    when = datetime(2026, month, 9, 7, 5)
    for row in (xtra_row, lite_row):
        (said,) = observations(row(Result("105", when)).encode() + b"\r\n")
        assert said.device_time == when


@pytest.mark.parametrize(
    "change",
    [(b"002\r\n", b"003\r\n"), (b"105  ", b"015  "), (b" G 0x00", b" K 0x00"), (b"END", b"ENE")],
)
def test_what_is_not_whole_is_not_believed(change: tuple[bytes, bytes]) -> None:
    """A swapped pair of digits keeps the sum: the one thing it cannot tell. All else is told."""
    items = decode(whole(2).replace(*change))
    swapped = change == (b"105  ", b"015  ")
    assert any(isinstance(item, Memory) for item in items) == swapped


@pytest.mark.parametrize("empty", ["   ", "", "1 5"])
def test_one_unreadable_row_does_not_block_the_memory(empty: str) -> None:
    kept = plug(DRIVER, lite([LITE_VISIT[0], Result(empty, ago(3)), LITE_VISIT[1]]))
    assert kept.sent == [("error",), ("105",)]
    assert [g[0].status for g in kept.groups] == [{Status.UNEXPECTED_FORMAT}, set()]
    assert kept.groups[0][0].device_time == ago(3)


def test_a_truncated_memory_says_its_lines_but_is_no_memory() -> None:
    items = decode(whole(3)[:-20])
    assert not any(isinstance(item, Memory) for item in items)


def test_a_precision_xtra_is_read_each_time_it_is_connected() -> None:
    kept = plug(DRIVER, xtra(VISIT), xtra(NEXT), xtra(NEXT))
    assert kept.sent == [("0.2",), ("105",), ("131",)]
    identity = DeviceIdentity(manufacturer="Abbott", model="Precision Xtra", serial=XTRA_SERIAL, firmware="0.22")
    assert identity in kept.events
    assert DeviceClock(CLOCK) in kept.events


def test_a_lite_is_read_though_it_answers_to_one_word_only() -> None:
    kept = plug(DRIVER, lite(LITE_VISIT), lite([Result("131", ago(1)), *LITE_VISIT]))
    assert kept.sent == [("105",), ("131",)]
    assert any(isinstance(event, DeviceIdentity) and event.serial == LITE_SERIAL for event in kept.events)


def test_nothing_is_set() -> None:
    written = plug(DRIVER, xtra(VISIT), lite(LITE_VISIT)).written
    assert written.replace(b"$colq\r\n", b"").replace(b"$xmem\r\n", b"").replace(b"mem", b"") == b""


def test_the_order_of_the_records_is_told_by_their_times() -> None:
    kept = plug(DRIVER, xtra(NEXT[::-1]))
    assert kept.sent == [("0.2",), ("105",), ("131",)]
    assert plug(DRIVER, xtra([Result("120", ago(0)), *NEXT]), memory=kept.memory).sent == [("120",)]


def test_a_clock_set_back_neither_loses_a_record_nor_releases_one_that_was_withheld() -> None:
    """The year was set wrong between two visits; 099 was of a day before the first one."""
    first = [Result("105", ago(2)), Result("099", ago(1500))]
    back = CLOCK - timedelta(days=365)
    second = [Result("111", ago(2, back)), *first]
    third = [Result("112", ago(1, back)), *second]
    assert plug(DRIVER, lite(first), lite(second, back), lite(third, back)).sent == [("105",), ("111",), ("112",)]


def test_a_clock_set_an_hour_back_on_a_nearly_new_meter_loses_no_record() -> None:
    first, back = [Result("105", ago(2))], CLOCK - timedelta(minutes=60)
    assert plug(DRIVER, lite(first), lite([Result("111", ago(1, back)), *first], back)).sent == [("105",), ("111",)]


def test_a_first_command_that_is_ignored_is_repeated() -> None:
    answers = {
        b"$colq\r\n": information(CLOCK, 3),
        b"$xmem\r\n": memory(XTRA_SERIAL, "0.22", CLOCK, list(map(xtra_row, VISIT))),
    }
    assert plug(DRIVER, meter(answers, b"$xmem\r\n", deaf_to=1)).sent == [("0.2",), ("105",)]


def test_a_spoilt_memory_is_asked_for_again_and_nothing_of_it_sent() -> None:
    good = memory(XTRA_SERIAL, "0.22", CLOCK, list(map(xtra_row, VISIT)))

    async def spoilt_once(port: SerialPort) -> None:
        dumps = [good.replace(b"105", b"905"), good]
        while dumps:
            heard = await port.read()
            await port.write(dumps.pop(0) if b"$xmem" in heard else information(CLOCK, 3) if b"$colq" in heard else b"")

    kept = plug(DRIVER, spoilt_once)
    assert kept.sent == [("0.2",), ("105",)]
    assert [event.why for event in kept.events if isinstance(event, Noise)] == [Why.CHECKSUM]


@pytest.mark.parametrize("cut", range(0, 140, 10))
def test_f01_a_meter_pulled_in_the_midst_sends_nothing(cut: int) -> None:
    kept = plug(DRIVER, xtra(VISIT, spoil=lambda dump: dump[:cut]), options={"first_download": "all"})
    assert kept.sent == []
    assert kept.memory == {}


@pytest.mark.parametrize(("family", "play"), [("precision", xtra(VISIT)), ("lite", lite(LITE_VISIT))])
def test_a_family_that_is_named_is_asked_only_its_own_question(family: str, play: Play) -> None:
    written = plug(DRIVER, play, options={"family": family}).written
    assert (b"$" in written) == (family == "precision")
    assert (b"mem" in written.replace(b"$xmem", b"")) == (family == "lite")


def test_f07_another_device_is_refused() -> None:
    async def scale(port: SerialPort) -> None:
        for _ in range(100):
            await port.write(b"GS,+00072.5,kg\r\n" * 3)
            await port.pause(0.5)

    assert plug(DRIVER, scale).lost is Loss.UNEXPECTED_DEVICE
