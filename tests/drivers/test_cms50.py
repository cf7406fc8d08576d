"""Contec's protocols: what a frame says, what is asked of the device, and how live data become a reading."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicebridge.sdk import (
    DeviceIdentity,
    Frame,
    InProgress,
    Loss,
    Name,
    Noise,
    Origin,
    Status,
)
from devicebridge.sdk.bluetooth import SERIAL_NUMBER, uuid16
from devicebridge.sdk.simulation import Access, Characteristic, Service
from devicebridge_drivers.cms50 import DRIVER
from devicebridge_drivers.cms50.codec import codec
from devicebridge_drivers.cms50.frames import Command, Live, Measurement, Recording, Stored
from devicebridge_drivers.cms50.packages import command
from devicebridge_drivers.cms50.session import HEARTBEAT_S, LIVE_PER_S, QUIET_S
from devicebridge_simulators.cms50 import (
    NIGHT,
    NO_FINGER,
    PER_S,
    QUERY_MODEL,
    SIMULATOR,
    START_LIVE,
    Moment,
    live,
    model,
    recording,
    short_measurement,
    short_wave,
)
from support.cable import Heard, Piece, hear
from support.radio import play as play_over_radio

GOOD = Moment(97, 72)
HEARTBEAT = bytes.fromhex("7d81af808080808080")  # headrotor/art-sensors, spO2/stream_data.py


def play(pieces: Sequence[Piece], **options: object) -> Heard:
    """The last package is held back until the next one proves it, so one more is sent."""
    return hear(DRIVER, [*pieces, live(Moment())], Heard(), **{"steady_s": 1, **options})


def lives(moments: Sequence[Moment]) -> list[bytes]:
    return [live(moment, number) for number, moment in enumerate(moments)]


def decode(data: bytes, size: int | None = None) -> list[Frame | Noise]:
    one = codec()
    pieces = [data[i : i + size] for i in range(0, len(data), size)] if size else [data]
    return [*(item for piece in pieces for item in one.feed(piece)), *one.close()]


moments = st.builds(
    Moment,
    spo2=st.integers(0, 255),
    pulse=st.integers(0, 255),
    signal=st.integers(0, 15),
    probe_error=st.booleans(),
    too_long_search=st.booleans(),
    searching=st.booleans(),
)
older = st.tuples(st.integers(0, 127), st.integers(0, 255)).map(
    lambda s: bytes((0xF0 | s[1] >> 7, 0x80 | s[1] & 0x7F, s[0]))
)
pieces = st.one_of(
    st.builds(live, moments),
    st.builds(short_measurement, st.integers(0, 100), st.integers(0, 255)),
    st.builds(short_wave, st.integers(0, 127)),
    st.builds(recording, st.just(NIGHT), st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=6)),
    older,
    st.just(b"\xf2\x97\x0c" * 3 + b"\x80\x80\x05"),
    st.sampled_from([b"\xf5\xf5", b"\xf6\xf6\xf6", b"\x9a\x1a", b"\x9b\x01\x1c", b"\x0c\x80", START_LIVE]),
    st.binary(max_size=14),
)


@given(st.lists(pieces, max_size=12), st.integers(1, 11))
def test_every_byte_is_in_one_item_however_they_are_cut(sent: list[bytes], size: int) -> None:
    data = b"".join(sent)
    whole = decode(data)
    assert b"".join(item.raw for item in whole) == data
    assert decode(data, size) == whole


@given(moments)
def test_what_is_sent_is_said_unless_the_device_says_it_is_no_measurement(moment: Moment) -> None:
    (item,) = decode(live(moment))
    assert isinstance(item, Live)
    assert (item.spo2, item.pulse, item.signal) == (moment.spo2, moment.pulse, moment.signal)
    values = {v.name: v.value for v in item.group[0].values}
    measures = not moment.probe_error and not moment.too_long_search
    assert values[Name.SPO2] == (moment.spo2 if measures and 1 <= moment.spo2 <= 100 else None)
    assert values[Name.PULSE_RATE] == (moment.pulse if measures and 1 <= moment.pulse <= 254 else None)
    assert (Status.SENSOR_OFF in item.group[0].status) is moment.probe_error


@given(st.lists(moments, min_size=3, max_size=8), st.integers(0, 8))
def test_joined_anywhere_only_what_was_sent_is_said(said: list[Moment], joined: int) -> None:
    items = decode(b"".join(map(live, said))[joined:])
    got = [(i.spo2, i.pulse) for i in items if isinstance(i, Live | Measurement | Stored)]  # type: ignore[union-attr]
    assert got == [(m.spo2, m.pulse) for m in said][len(said) - len(got) :]
    assert len(got) >= len(said) - 1


@given(st.integers(0, 8), st.integers(0, 8), st.binary(min_size=1, max_size=1))
def test_a_byte_lost_or_too_many_invents_no_number(lost: int, extra: int, byte: bytes) -> None:
    sent = lives([Moment(90 + n, 60 + n) for n in range(6)])
    sent[2] = sent[2][:lost] + sent[2][lost + 1 :]
    sent[4] = sent[4][:extra] + byte + sent[4][extra:]
    for item in decode(b"".join(sent)):
        if isinstance(item, Live):
            assert item.raw in sent or item.raw == live(Moment(94, 64), 4)


@given(st.integers(0, 100), st.integers(0, 255), st.integers(0, 55))
def test_no_flipped_bit_in_a_short_frame_is_believed(spo2: int, pulse: int, bit: int) -> None:
    frame = bytearray(short_measurement(spo2, pulse))
    frame[bit // 8] ^= 0x80 >> bit % 8
    assert not any(isinstance(item, Measurement) for item in decode(bytes(frame)))


@given(st.integers(0, 255), st.lists(st.integers(0, 255), max_size=6))
def test_a_command_comes_back_as_it_was_said(code: int, data: list[int]) -> None:
    (item,) = decode(command(code, *data))
    assert isinstance(item, Command)
    assert item.data == bytes((code, *data)).ljust(7, b"\0")


@pytest.mark.parametrize("seed", range(3))
def test_f02_line_noise_makes_no_reading(seed: int) -> None:
    kept = play([random.Random(seed).randbytes(60_000)])
    assert kept.groups == []


def test_a_steady_second_makes_a_reading_and_no_second_one() -> None:
    assert play(lives([NO_FINGER, *[GOOD] * (PER_S - 1)])).numbers == []
    assert play(lives([NO_FINGER, *[GOOD] * PER_S])).numbers == [(97, 72)]
    assert play(lives([NO_FINGER, *[GOOD] * PER_S * 20])).numbers == [(97, 72)]


@pytest.mark.parametrize("away", [NO_FINGER, Moment(), replace(GOOD, probe_error=True), Moment(127, 255)])
def test_the_next_reading_needs_the_finger_gone_and_steady_again(away: Moment) -> None:
    other = Moment(91, 110)
    assert play(lives([*[GOOD] * 90, away, *[other] * (PER_S - 1)])).numbers == [(97, 72)]
    assert play(lives([*[GOOD] * 90, away, *[other] * PER_S])).numbers == [(97, 72), (91, 110)]


def test_a_search_starts_the_second_anew() -> None:
    lost = replace(GOOD, searching=True)
    assert play(lives([*[GOOD] * 50, lost, *[GOOD] * (PER_S - 1)])).numbers == []
    assert play(lives([*[GOOD] * 50, lost, *[GOOD] * PER_S])).numbers == [(97, 72)]


def test_a_flipped_bit_in_the_numbers_changes_nothing() -> None:
    steady = lives([GOOD] * PER_S)
    steady[30] = live(Moment(96, 72))
    assert play(steady).numbers == [(97, 72)]


def test_short_frames_are_seconds() -> None:
    assert play([short_measurement(97, 140)] * 4, steady_s=5).numbers == []
    assert play([short_measurement(97, 140)] * 5, steady_s=5).numbers == [(97, 140)]


@pytest.mark.parametrize("late_s", [1.02, 2.0])
def test_short_frames_a_little_more_than_a_second_apart_are_read(late_s: float) -> None:
    sent = [piece for _ in range(6) for piece in (short_measurement(97, 140), late_s)]
    kept = play(sent, steady_s=5)
    assert kept.numbers == [(97, 140)]
    assert kept.writes == [QUERY_MODEL + START_LIVE]


def test_short_frames_that_stop_end_the_finger() -> None:
    one, other = [short_measurement(97, 72)] * 4, [short_measurement(96, 76)] * 5
    assert play([*one, 3.0, *other[:4]], steady_s=5).numbers == []
    assert play([*one, *one, 3.0, *other], steady_s=5).numbers == [(97, 72), (96, 76)]


def test_a_stream_that_stops_is_asked_for_again_and_ends_the_finger() -> None:
    """Whose finger is in it afterwards nobody knows: it is another reading."""
    kept = play([*lives([GOOD] * 50), None, *lives([GOOD] * (PER_S - 2))])
    assert kept.numbers == []
    assert kept.writes == [QUERY_MODEL + START_LIVE, START_LIVE]
    kept = play([*lives([GOOD] * 90), None, *lives([GOOD] * PER_S)])
    assert kept.numbers == [(97, 72), (97, 72)]
    assert QUIET_S <= 2


def test_the_host_is_heard_every_five_seconds_and_says_nothing_else() -> None:
    kept = play(lives([GOOD] * (2 * HEARTBEAT_S * LIVE_PER_S + 1)))
    assert kept.writes == [QUERY_MODEL + START_LIVE, HEARTBEAT, HEARTBEAT]
    assert HEARTBEAT_S == 5


def test_a_recording_is_no_spot_check() -> None:
    """A night of seconds, of whoever wore it: decoded, never emitted."""
    data = recording(NIGHT, [(96, 60)] * 300)
    assert play([data]).groups == []
    start_date, start_time, *seconds = decode(data)
    assert isinstance(start_date, Recording) and isinstance(start_time, Recording)
    assert (start_date.start_date, start_time.start_time) == (NIGHT.date(), NIGHT.time())
    assert len(seconds) == 100
    for item in seconds:
        assert isinstance(item, Stored)
        assert {o.origin for o in item.group} == {Origin.STORED}


def test_an_older_recording_is_no_spot_check() -> None:
    data = b"\xf2\x80\x00" * 3 + b"\x80\x82\x2b" + bytes.fromhex("f0c861") * 100
    assert play([data]).groups == []
    assert sum(isinstance(item, Stored) for item in decode(data)) == 100


def test_the_model_is_noted_as_the_device_says_it() -> None:
    kept = play([model("50D(A)+"), *lives([NO_FINGER, GOOD, GOOD])])
    assert kept.events == [DeviceIdentity(model="50D(A)+"), InProgress()]


def test_a_blank_model_is_none() -> None:
    assert play([model("")]).events == []


def test_the_names_of_users_are_not_noted() -> None:
    """V7.0, types 4 and 5: a device id and a user's name, both set by whoever owns it."""
    kept = play([bytes.fromhex("0480f5f3e5f2a0a0a0"), bytes.fromhex("058080f5f3e5f28080")])
    assert kept.events == []


def test_over_radio_it_is_asked_told_that_somebody_listens_and_named() -> None:
    """The simulated CMS50D-BT says no sixth second before it has heard from us."""
    kept, lost = play_over_radio(DRIVER, SIMULATOR.gatt, "ble-long")
    assert lost is Loss.DISCONNECTED
    assert len(kept.observations) == 1
    assert DeviceIdentity(manufacturer="Contec", model="CMS50D-BT") in kept.noted(DeviceIdentity)


def test_over_radio_damaged_seconds_prove_nothing() -> None:
    kept, _ = play_over_radio(DRIVER, SIMULATOR.gatt, "ble-damaged")
    assert kept.observations == []
    assert len(kept.noted(Noise)) == 6


def test_over_radio_the_name_that_is_advertised_replaces_nothing_that_was_said() -> None:
    scenario = SIMULATOR.gatt.scenarios["ble-long"]
    number = Characteristic(uuid=SERIAL_NUMBER, access=Access.READ, value=b"50D-0042")
    numbered = replace(scenario, services=lambda: (*scenario.services(), Service(uuid16(0x180A), (number,))))
    kept, _ = play_over_radio(DRIVER, SIMULATOR.gatt, numbered)
    assert kept.noted(DeviceIdentity) == [
        DeviceIdentity(serial="50D-0042"),
        DeviceIdentity(manufacturer="Contec", model="CMS50D-BT", serial="50D-0042"),
    ]
