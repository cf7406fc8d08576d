"""Viatom's codec, and its sessions over the simulated radio. Sources of the bytes: vectors.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import devicebridge_drivers.viatom as driver
from devicebridge.sdk import (
    Battery,
    DeviceIdentity,
    Frame,
    InProgress,
    Loss,
    Noise,
    Observation,
    Origin,
    Skipped,
    Status,
    Why,
)
from devicebridge.sdk.simulation import GattScenario
from devicebridge_drivers.viatom import DRIVER
from devicebridge_drivers.viatom.codec import CHARACTERISTICS, codec, offline
from devicebridge_drivers.viatom.frames import CuffAsk, RingAsk, ask_lepu, ask_ring, crc8, crc8_maxim
from devicebridge_drivers.viatom.session import ViatomOptions
from devicebridge_simulators.viatom import (
    FINGER,
    FORBIDDEN,
    NO_FINGER,
    SIMULATOR,
    STORED,
    Cuff,
    Reading,
    clip,
    clip_second,
)
from support.radio import Kept, Remembering, meet, numbers, play

VECTORS = json.loads((Path(driver.__file__).parent / "vectors.json").read_text(encoding="utf-8"))["vectors"]
FRAMES = [
    bytes.fromhex(v["hex"])
    for v in VECTORS
    if len(v["expected"]) == 1 and "noise" not in v["expected"][0] and v["hex"][:2] in ("aa", "55", "a5")
]
SCENARIOS = SIMULATOR.scenarios


def decoded(*pieces: bytes) -> list[Frame | Noise]:
    stream = codec()
    return [*(item for piece in pieces for item in stream.feed(piece)), *stream.close()]


def observations(items: list[Frame | Noise]) -> list[Observation]:
    return [o for item in items if isinstance(item, Frame) for o in item.group]


def test_checksums() -> None:
    """The check values of both in the catalogue of parametrised CRC algorithms: over "123456789"."""
    assert crc8(b"123456789") == 0xF4
    assert crc8_maxim(b"123456789") == 0xA1


def test_what_the_host_asks() -> None:
    """ecostech/viatom-ble, and nglessner/o2ring-s-protocol, README.md."""
    assert ask_ring(RingAsk.SENSORS).hex() == "aa17e8000000001b"
    assert ask_lepu(CuffAsk.INFO, 2).hex() == "a5e11e00020000bf"


def test_nothing_that_inflates_or_erases_can_be_asked_of_a_cuff() -> None:
    """github.com/chalimov/viatom_bp2_ha, LP-BP2W_PROTOCOL.md, 4.4."""
    assert not {*CuffAsk} & {0x04, 0x09, 0x0A, 0x24, 0x25, 0x39, 0xE2, 0xE3}
    assert not {*RingAsk} & {0x16, 0x18}


@given(st.permutations(FRAMES), st.integers(1, 40))
def test_frames_one_after_the_other_in_pieces_of_any_size(frames: list[bytes], size: int) -> None:
    data = b"".join(frames)
    items = decoded(*(data[i : i + size] for i in range(0, len(data), size)))
    assert b"".join(item.raw for item in items) == data
    assert items == [item for frame in frames for item in decoded(frame)]


@given(st.sampled_from(FRAMES), st.data())
def test_a_bit_turned_over_gives_no_number(frame: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, len(frame) * 8 - 1))
    damaged = bytearray(frame)
    damaged[bit // 8] ^= 0x80 >> bit % 8
    assert observations(decoded(bytes(damaged))) == []


@pytest.mark.parametrize("characteristic", CHARACTERISTICS)
def test_any_of_the_characteristics_takes_any_frame(characteristic: str) -> None:
    stream = DRIVER.codec(ViatomOptions(), None, characteristic)
    assert [item for frame in FRAMES for item in stream.feed(frame)] == [i for f in FRAMES for i in decoded(f)]


def test_a_bare_record_is_only_read_offline() -> None:
    record = STORED[0].encode()
    assert [type(item) for item in decoded(record)] == [Noise]
    bare = offline()
    assert bare.feed(record) == ()
    assert numbers(observations(list(bare.close()))[0])["systolic"] == STORED[0].systolic


def test_a_damaged_frame_swallows_nothing_that_follows() -> None:
    damaged = FINGER[0][:5] + b"\x7f" + FINGER[0][6:]
    items = decoded(damaged + FINGER[0])
    assert isinstance(items[0], Noise)
    assert items[0].why is Why.CHECKSUM
    assert [numbers(o)["spo2"] for o in observations(items)] == [97]


# --- The sessions ------------------------------------------------------------------------------------------------


def session(scenario: GattScenario | str, **options: object) -> tuple[Kept, Loss]:
    return play(DRIVER, SIMULATOR, scenario, options or None)


def visit(scenario: GattScenario, outlet: Remembering) -> Loss:
    return meet(DRIVER, SIMULATOR, scenario, outlet)


def test_a_ring_gives_one_reading_and_says_what_it_is() -> None:
    kept, _ = session("ring")
    assert [numbers(o)["spo2"] for o in kept.observations] == [98]
    assert kept.noted(DeviceIdentity)[-1] == DeviceIdentity("Viatom", "1641", "SIM-RING-1", "1.4.0")
    assert [b.percent for b in kept.noted(Battery)] == [97, 96]
    assert len(kept.noted(InProgress)) == 1


def test_a_clip_is_written_nothing_and_read_once_a_finger() -> None:
    kept, reason = session("clip-two-fingers")
    assert [numbers(o)["pulse-rate"] for o in kept.observations] == [64, 300]
    assert reason is Loss.DISCONNECTED


def test_a_value_that_holds_four_seconds_only_is_no_reading() -> None:
    kept, _ = session(clip([*[clip_second(97, 64)] * 4, NO_FINGER], "too short", []))
    assert kept.observations == []


def test_a_spot_check_gives_its_result_once_and_not_its_stream() -> None:
    kept, _ = session("clip-spot-check")
    assert [numbers(o) for o in kept.observations] == [{"spo2": 98, "pulse-rate": 88}]


def test_strangers_on_the_same_service_are_refused() -> None:
    """The service is Nordic's, and anybody's."""
    _, reason = session(clip([b"hello world, I am a serial port\r\n" * 4] * 6, "a stranger", []))
    assert reason is Loss.UNEXPECTED_DEVICE


def test_a_cuff_sends_what_it_shows_once() -> None:
    outlet, cuff = Remembering(), Cuff(STORED, (5,))
    for _ in range(2):
        visit(cuff.scenario("a visit"), outlet)
    assert [(o.device_time, o.origin) for o in outlet.observations] == [(STORED[2].time, Origin.LIVE)]
    assert outlet.noted(DeviceIdentity)[-1] == DeviceIdentity("Viatom", "32120011", "2523C00812")
    assert not set(cuff.asked) & set(FORBIDDEN)


def test_what_a_cuff_measured_between_two_visits_is_stored() -> None:
    outlet = Remembering()
    visit(Cuff(STORED[:1]).scenario("a visit", options={"first_download": "none"}), outlet)
    assert outlet.observations == []
    visit(Cuff(STORED).scenario("the next"), outlet)
    assert [(o.device_time, o.origin) for o in outlet.observations] == [(r.time, Origin.STORED) for r in STORED[1:]]
    assert Status.IRREGULAR_PULSE in outlet.observations[0].status


SHOWS = (5,)
HOUR = timedelta(hours=1)


def cuff_visits(*memories: Sequence[Reading], states: Sequence[int] = SHOWS) -> list[list[tuple[int, str]]]:
    """What is sent of each of these memories of one cuff: systolic pressure and origin."""
    outlet, sent = Remembering(), []
    for memory in memories:
        before = len(outlet.observations)
        visit(Cuff(memory, states).scenario("a visit"), outlet)
        sent.append([(int(numbers(o)["systolic"]), o.origin.value) for o in outlet.observations[before:]])
    return sent


def taken(systolic: int, time: datetime) -> Reading:
    return Reading(systolic, 80, 95, 70, time)


@pytest.mark.parametrize("back", [HOUR, timedelta(days=365), timedelta(days=20000)], ids=["hour", "year", "unset"])
def test_a_clock_set_back_hides_no_result(back: timedelta) -> None:
    """As after a change of batteries: the records are in a ring, and told apart by themselves."""
    now = STORED[2].time
    two = [*STORED, taken(111, now - back)]
    three = [*two, taken(112, now - back + timedelta(minutes=5))]
    assert cuff_visits(STORED, two, three) == [[(128, "live")], [(111, "live")], [(112, "live")]]


def test_a_full_ring_with_a_clock_set_back_hides_nothing_and_sends_nothing_twice() -> None:
    now = STORED[2].time
    two = [taken(111, now - 24 * HOUR), *STORED[1:]]
    three = [two[0], taken(112, now - 23 * HOUR), taken(113, now - 22 * HOUR)]
    assert cuff_visits(STORED, two, two, three) == [
        [(128, "live")],
        [(111, "live")],
        [],
        [(112, "stored"), (113, "live")],
    ]


def test_a_ring_is_sent_from_its_oldest_record_on() -> None:
    outlet = Remembering()
    visit(Cuff([STORED[2], *STORED[:2]], SHOWS).scenario("", options={"first_download": "all"}), outlet)
    assert [o.device_time for o in outlet.observations] == [r.time for r in STORED]


def test_where_a_ring_does_not_tell_which_record_is_the_newest_none_is_taken_for_what_is_shown() -> None:
    """Twice the time goes back, round the ring: either may be the end of it."""
    ring = [taken(111, STORED[0].time - HOUR), taken(112, STORED[0].time), taken(113, STORED[0].time - 2 * HOUR)]
    ring.insert(0, taken(110, STORED[0].time - HOUR / 2))
    assert sorted(cuff_visits(ring)[0]) == [(110, "stored"), (112, "stored")]


def test_what_a_cuff_at_rest_measured_last_is_held_at_a_first_meeting() -> None:
    """It may have been measured just now; what its clock says cannot be compared."""
    outlet = Remembering()
    visit(Cuff(STORED).scenario("at rest"), outlet)
    assert [(o.device_time, o.origin) for o in outlet.observations] == [(STORED[2].time, Origin.STORED)]
    assert len(outlet.noted(Skipped)) == 2


def test_a_link_that_flaps_while_a_result_is_shown_gives_it_once() -> None:
    assert cuff_visits(STORED, STORED, STORED) == [[(128, "live")], [], []]
    unset = taken(128, datetime(1970, 1, 1, 0, 5))
    assert cuff_visits([unset], [unset]) == [[(128, "live")], []]


def test_a_long_memory_is_remembered_whole() -> None:
    many = [taken(100 + n, STORED[0].time + n * HOUR) for n in range(99)]
    more = [taken(99, STORED[2].time), *many[1:]]
    assert cuff_visits(many, many, more) == [[(198, "live")], [], [(99, "live")]]


def test_an_erased_cuff_is_read_anew() -> None:
    assert cuff_visits(STORED, [], [taken(111, STORED[0].time)]) == [[(128, "live")], [], [(111, "live")]]


def test_a_cuff_that_refuses_its_file_is_visited_again() -> None:
    _, reason = session("cuff-refuses")
    assert reason is Loss.TIMEOUT


def test_a_second_measurement_needs_a_new_link() -> None:
    outlet = Remembering()
    assert visit(SCENARIOS["cuff-again"], outlet) is Loss.DISCONNECTED
    assert len(outlet.noted(InProgress)) == 1
    visit(SCENARIOS["cuff-shown"], outlet)
    assert [o.origin for o in outlet.observations] == [Origin.STORED]  # the newest there was, and known since
