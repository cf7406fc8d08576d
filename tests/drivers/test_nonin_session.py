"""One reading for each finger: the rule by which a stream becomes a reading, second by second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import pytest
from pydantic import ValidationError

from devicebridge.sdk import (
    Battery,
    DeviceClock,
    DeviceIdentity,
    InProgress,
    Noise,
    Origin,
    Status,
)
from devicebridge_drivers.nonin import DRIVER
from devicebridge_drivers.nonin.session import NoninOptions
from devicebridge_simulators.nonin import CLOCK, NO_FINGER, Signal, format_1, format_2, format_7, format_8, format_13
from support.cable import Heard, hear

GOOD = Signal(97, 72)
STREAMS = pytest.mark.parametrize("encode", [format_1, format_2, format_7, format_8])
Encoder = Callable[[Signal], bytes]


def play(pieces: Sequence[bytes | float], **options: object) -> Heard:
    return hear(DRIVER, pieces, Heard(), **options)


def seconds(encode: Encoder, *signals: Signal) -> list[bytes]:
    return [encode(signal) for signal in signals]


@STREAMS
def test_five_steady_seconds_make_a_reading_and_no_second_one(encode: Encoder) -> None:
    assert play(seconds(encode, NO_FINGER, *[GOOD] * 4)).numbers == []
    assert play(seconds(encode, NO_FINGER, *[GOOD] * 5)).numbers == [(97, 72)]
    assert play(seconds(encode, NO_FINGER, *[GOOD] * 90)).numbers == [(97, 72)]


@STREAMS
@pytest.mark.parametrize("away", [NO_FINGER, Signal(), replace(GOOD, sensor_alarm=True)])
def test_the_next_reading_needs_the_finger_gone_and_steady_again(encode: Encoder, away: Signal) -> None:
    other = Signal(91, 110)
    assert play(seconds(encode, *[GOOD] * 9, away, *[other] * 4)).numbers == [(97, 72)]
    assert play(seconds(encode, *[GOOD] * 9, away, *[other] * 5)).numbers == [(97, 72), (91, 110)]


@STREAMS
@pytest.mark.parametrize("flaw", [{"artifact": True}, {"out_of_track": True}])
def test_a_flaw_starts_the_seconds_anew(encode: Encoder, flaw: dict[str, bool]) -> None:
    flawed = replace(GOOD, **flaw)
    assert play(seconds(encode, *[GOOD] * 4, flawed, *[GOOD] * 4)).numbers == []
    assert play(seconds(encode, *[GOOD] * 4, flawed, *[GOOD] * 5)).numbers == [(97, 72)]


@STREAMS
def test_noise_starts_the_seconds_anew(encode: Encoder) -> None:
    noise = bytes.fromhex("5a5a5a5a5a5a5a5a")
    kept = play([*seconds(encode, *[GOOD] * 4), noise, *seconds(encode, *[GOOD] * 4)])
    assert kept.numbers == []
    assert [event.raw for event in kept.events if isinstance(event, Noise)] == [noise]
    assert play([*seconds(encode, *[GOOD] * 4), noise, *seconds(encode, *[GOOD] * 5)]).numbers == [(97, 72)]


SILENCES = pytest.mark.parametrize(
    ("encode", "silence_s"), [(format_1, 3.5), (format_8, 3.5), (format_2, 1.5), (format_7, 1.5), (format_8, 1800.0)]
)
OTHER = Signal(96, 76)


@SILENCES
def test_a_stream_that_stops_ends_the_finger_so_that_two_patients_are_never_one_reading(
    encode: Encoder, silence_s: float
) -> None:
    assert play([*seconds(encode, *[GOOD] * 4), silence_s, *seconds(encode, *[OTHER] * 4)]).numbers == []


@SILENCES
def test_the_patient_after_a_stream_that_stopped_is_read(encode: Encoder, silence_s: float) -> None:
    both = [*seconds(encode, *[GOOD] * 9), silence_s, *seconds(encode, *[OTHER] * 8)]
    assert play(both).numbers == [(97, 72), (96, 76)]


@pytest.mark.parametrize(("encode", "late_s"), [(format_1, 2.5), (format_8, 2.5), (format_2, 0.8), (format_7, 0.8)])
def test_a_second_that_comes_late_ends_nothing(encode: Encoder, late_s: float) -> None:
    sent = [piece for second in seconds(encode, *[GOOD] * 12) for piece in (second, late_s)]
    assert play(sent).numbers == [(97, 72)]


@pytest.mark.parametrize(("spo2", "pulse", "steady"), [(2, 0, True), (3, 0, False), (0, 10, True), (0, 11, False)])
def test_how_far_steady_values_may_differ(spo2: int, pulse: int, steady: bool) -> None:
    wobble = [GOOD, Signal(97 - spo2, 72 + pulse), GOOD, GOOD, GOOD]
    assert bool(play(seconds(format_8, *wobble)).numbers) is steady


def test_the_rule_can_be_set() -> None:
    wobble = seconds(format_8, *[Signal(90 + n % 4, 70 + n) for n in range(20)])
    assert play(wobble).numbers == []
    assert len(play(wobble, steady_spread_spo2=3, steady_spread_pulse_per_min=20).numbers) == 1
    assert play(seconds(format_8, *[GOOD] * 9), steady_s=10).numbers == []
    assert play(seconds(format_8, *[GOOD] * 10), steady_s=10).numbers == [(97, 72)]


def test_one_odd_second_is_not_the_reading() -> None:
    """Format 8 has no checksum: a flipped bit may make one second 96 or 99."""
    for place in range(5):
        steady = [GOOD] * 5
        steady[place] = Signal(96, 72)
        assert play(seconds(format_8, *steady)).numbers == [(97, 72)]


def test_the_reading_is_as_the_device_sent_it() -> None:
    kept = play(seconds(format_2, *[replace(GOOD, smart_point=True, low_perfusion=True)] * 5))
    ((reading,),) = kept.groups
    assert reading.raw in format_2(replace(GOOD, smart_point=True, low_perfusion=True))
    assert len(reading.raw) == 125
    assert reading.status == {Status.VALIDATED, Status.LOW_PERFUSION}
    assert reading.origin is Origin.LIVE
    assert reading.device_time is None


def test_a_finger_is_noted_once_and_a_low_battery_once() -> None:
    low = replace(GOOD, low_battery=True)
    kept = play(seconds(format_8, NO_FINGER, low, low, low, NO_FINGER, GOOD, low))
    assert kept.events == [Battery(low=True), InProgress(), Battery(low=False), InProgress(), Battery(low=True)]


def test_each_spot_check_is_a_reading() -> None:
    stored = format_13(Signal(93, 60), datetime(2026, 11, 20, 9, 5), stored=True, serial="501493200")
    kept = play([stored, format_13(GOOD, CLOCK)])
    assert kept.numbers == [(93, 60), (97, 72)]
    assert [group[0].origin for group in kept.groups] == [Origin.STORED, Origin.LIVE]
    assert [group[0].device_time for group in kept.groups] == [datetime(2026, 11, 20, 9, 5), CLOCK]
    assert kept.events == [DeviceIdentity(manufacturer="Nonin", serial="501493200")]


def test_f01_half_a_spot_check_is_nothing() -> None:
    record = format_13(GOOD, CLOCK)
    for cut in range(len(record)):
        assert play([record[:cut]]).groups == []


def test_f08_a_record_sent_again_says_the_same() -> None:
    """The core makes one id of it: time and values are all there is to know it by."""
    record = format_13(GOOD, CLOCK)
    assert play([record]).groups == play([record]).groups


def test_nothing_is_written_unless_told() -> None:
    for options, written in (
        ({}, []),
        ({"data_format": "13"}, []),
        ({"data_format": "8", "select_format": True}, ["027002020803"]),
        ({"data_format": "13", "select_format": True, "read_clock": True}, ["027002020d03", "02720003"]),
    ):
        kept = play([format_13(GOOD, CLOCK)], **options)
        assert [data.hex() for data in kept.writes] == written


def test_the_devices_time_is_noted_when_it_is_given() -> None:
    assert play([bytes.fromhex("02f2061a0b150e1e0f03")]).events == [DeviceClock(datetime(2026, 11, 21, 14, 30, 15))]


@pytest.mark.parametrize("data_format", ["auto", "1"])
def test_only_a_documented_format_can_be_selected(data_format: str) -> None:
    with pytest.raises(ValidationError, match="select_format"):
        NoninOptions.model_validate({"data_format": data_format, "select_format": True})
