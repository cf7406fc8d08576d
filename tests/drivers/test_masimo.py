"""Masimo ASCII 1: what a line says, and the rule by which lines become a reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicebridge.sdk import (
    Battery,
    DeviceClock,
    DeviceIdentity,
    Frame,
    InProgress,
    Noise,
    Origin,
    Status,
    Why,
)
from devicebridge_drivers.masimo import DRIVER
from devicebridge_drivers.masimo.codec import LINE_BYTES, Line, codec
from devicebridge_simulators.masimo import (
    CLOCK,
    LOW_BATTERY_ALARM,
    LOW_PERFUSION,
    LOW_SIQ,
    OFF,
    SEARCH,
    SENSOR_OFF,
    SET,
    USUAL,
    Second,
    line,
    lines,
    trend,
)
from support.cable import Heard, hear


class Kept(Heard):
    @property
    def numbers(self) -> list[tuple[int, ...]]:
        return [numbers[:2] for numbers in super().numbers]


def play(pieces: Sequence[bytes | float], **options: object) -> Kept:
    kept = hear(DRIVER, pieces, Kept(), **options)
    assert kept.writes == [], "the port has no commands"
    return kept


def decode(data: bytes, size: int | None = None) -> list[Frame | Noise]:
    one = codec()
    pieces = [data[i : i + size] for i in range(0, len(data), size)] if size else [data]
    return [*(item for piece in pieces for item in one.feed(piece)), *one.close()]


seconds = st.builds(
    Second,
    spo2=st.none() | st.integers(0, 100),
    pulse=st.none() | st.integers(25, 240),
    perfusion=st.none() | st.from_regex(r"[01][0-9]\.[0-9][0-9]", fullmatch=True),
    exceptions=st.integers(0, 0xFFFFFF),
    alarms=st.integers(0, 0xFFFF),
)


@given(st.lists(seconds, min_size=1, max_size=6), st.binary(max_size=30), st.integers(1, 50))
def test_every_byte_is_in_one_item_however_they_are_cut(said: list[Second], junk: bytes, size: int) -> None:
    data = b"".join([*lines(said[:2]), junk, *lines(said[2:])])
    whole = decode(data)
    assert b"".join(item.raw for item in whole) == data
    assert decode(data, size) == whole


@given(seconds)
def test_a_line_says_what_was_sent_and_no_more(second: Second) -> None:
    item = decode(line(second, CLOCK))[0]
    assert isinstance(item, Line)
    numbers = [v.value for v in item.group[0].values]
    assert (item.exceptions, item.alarms, item.time) == (second.exceptions, second.alarms, CLOCK)
    for number, sent in zip(numbers, (second.spo2, second.pulse, second.perfusion), strict=True):
        assert number is None or str(number).lstrip("0") == str(sent).lstrip("0")


@given(seconds, st.data())
def test_a_line_with_a_character_missing_is_not_believed(second: Second, data: st.DataObject) -> None:
    """Of what is read: the stamp, SpO2, pulse rate, PI, the exceptions."""
    whole = line(second, CLOCK)
    at = data.draw(st.integers(0, len(whole) - 3))
    short = whole[:at] + whole[at + 1 :]
    sound = decode(whole)[0]
    assert isinstance(sound, Line)
    for item in decode(short):
        if isinstance(item, Line):
            assert set(item.group[0].values) <= set(sound.group[0].values)
            assert item.group[0].values[:2] == sound.group[0].values[:2]
            assert (item.exceptions, item.time) == (sound.exceptions, sound.time)


def test_f01_a_line_broken_off_is_not_believed() -> None:
    whole = line(replace(USUAL, exceptions=SET | SENSOR_OFF), CLOCK)
    for cut in range(1, len(whole) - 2):
        assert [item.why for item in decode(whole[:cut]) if isinstance(item, Noise)] == [Why.INCOMPLETE], cut
    assert isinstance(decode(whole[:-2])[0], Line)


def test_f03_an_endless_line_comes_in_bounded_pieces() -> None:
    items = decode(b"9" * 10_000)
    assert {item.why for item in items[:-1] if isinstance(item, Noise)} == {Why.TOO_LONG}
    assert max(len(item.raw) for item in items) <= LINE_BYTES


def test_five_steady_seconds_make_a_reading_and_no_second_one() -> None:
    assert play(lines([OFF, *[USUAL] * 4])).numbers == []
    assert play(lines([OFF, *[USUAL] * 5])).numbers == [(97, 72)]
    assert play(lines([OFF, *[USUAL] * 60])).numbers == [(97, 72)]


@pytest.mark.parametrize("away", [OFF, Second(), replace(USUAL, exceptions=SET | SENSOR_OFF)])
def test_the_next_reading_needs_the_sensor_off_and_steady_again(away: Second) -> None:
    other = replace(USUAL, spo2=91, pulse=110)
    assert play(lines([*[USUAL] * 9, away, *[other] * 4])).numbers == [(97, 72)]
    assert play(lines([*[USUAL] * 9, away, *[other] * 5])).numbers == [(97, 72), (91, 110)]


def test_pulse_search_starts_the_seconds_anew() -> None:
    searching = replace(USUAL, exceptions=SET | SEARCH)
    assert play(lines([*[USUAL] * 4, searching, *[USUAL] * 4])).numbers == []
    assert play(lines([*[USUAL] * 4, searching, *[USUAL] * 5])).numbers == [(97, 72)]


def test_noise_starts_the_seconds_anew() -> None:
    sent = lines([USUAL] * 9)
    broken = sent[4][:40] + b"?" + sent[4][40:]
    kept = play([*sent[:4], broken, *sent[5:]])
    assert kept.numbers == []
    assert [event.why for event in kept.events if isinstance(event, Noise)] == [Why.BAD_FIELD]


OTHER = replace(USUAL, spo2=96, pulse=76)
LATER = CLOCK + timedelta(minutes=30)
UNDATED = b"00/00/00 00:00:00"


def undated(sent: Sequence[bytes]) -> list[bytes]:
    return [UNDATED + one[len(UNDATED) :] for one in sent]


def test_lines_that_stop_end_the_sensor_so_that_two_patients_are_never_one_reading() -> None:
    one, other = lines([USUAL] * 4), lines([OTHER] * 4, LATER)
    assert play([*one, 1800.0, *other]).numbers == []
    assert play([*undated(one), 4.0, *undated(other)]).numbers == []
    assert play([*undated(one), 2.0, *undated([line(USUAL, CLOCK)])]).numbers == [(97, 72)]


def test_the_patient_after_lines_that_stopped_is_read() -> None:
    one, other = lines([USUAL] * 9), lines([OTHER] * 8, LATER)
    assert play([*one, 1800.0, *other]).numbers == [(97, 72), (96, 76)]
    assert play([*undated(one), 4.0, *undated(other)]).numbers == [(97, 72), (96, 76)]


@pytest.mark.parametrize(("jump_s", "is_another"), [(3, False), (4, True), (1800, True), (-1, True), (-3600, True)])
def test_stamps_that_jump_end_the_sensor(jump_s: int, is_another: bool) -> None:
    """Lines may be lost between two, and no time pass while the host sleeps."""
    start = CLOCK + timedelta(seconds=3 + jump_s)
    sent = [*lines([USUAL] * 4), *lines([OTHER] * 4, start)]
    assert bool(play(sent).numbers) is not is_another
    sent = [*lines([USUAL] * 9), *lines([OTHER] * 5, start + timedelta(seconds=5))]
    assert play(sent).numbers == [(97, 72), (96, 76)][: 1 + is_another]


def test_a_line_sent_twice_is_one_second() -> None:
    assert play([one for one in lines([USUAL] * 4) for _ in range(2)]).numbers == []


def test_what_was_said_of_the_signal_stands_on_the_reading() -> None:
    weak = replace(USUAL, exceptions=SET | LOW_SIQ | LOW_PERFUSION)
    ((reading,),) = play(lines([USUAL, weak, USUAL, USUAL, USUAL])).groups
    assert reading.status == {Status.POOR_SIGNAL, Status.LOW_PERFUSION}
    assert reading.origin is Origin.LIVE
    assert reading.device_time == CLOCK + timedelta(seconds=4)


def test_the_rule_can_be_set() -> None:
    assert play(lines([USUAL] * 9), steady_s=10).numbers == []
    assert play(lines([USUAL] * 10), steady_s=10).numbers == [(97, 72)]


def test_serial_number_battery_and_clock_are_noted() -> None:
    low = replace(USUAL, alarms=LOW_BATTERY_ALARM)
    kept = play(lines([OFF, low, low, low, USUAL, USUAL]))
    assert kept.events == [
        DeviceIdentity(manufacturer="Masimo", serial="0000056661"),
        Battery(low=True),
        InProgress(),
        Battery(low=False),
        DeviceClock(CLOCK + timedelta(seconds=5)),
    ]


def test_a_dashed_serial_number_is_none() -> None:
    assert not any(isinstance(e, DeviceIdentity) for e in play([line(USUAL, CLOCK, "----------")]).events)


def test_f21_a_stamp_that_is_no_time_is_not_believed() -> None:
    broken = [one.replace(b"11/21/26", b"00/00/00") for one in lines([USUAL] * 5)]
    ((reading,),) = play(broken).groups
    assert reading.device_time is None
    assert reading.status == {Status.CLOCK_UNSET}


def test_a_trend_download_is_no_spot_check() -> None:
    sent = [trend(USUAL, datetime(2026, 11, 21, 2, 0, second)) for second in range(40)]
    assert play(sent).groups == []
    item = decode(sent[0])[0]
    assert isinstance(item, Line) and item.is_trend
    assert item.group[0].origin is Origin.STORED
