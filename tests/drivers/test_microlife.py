"""Microlife's codec, and its session over the simulated radio. Sources of the bytes: vectors.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import devicebridge_drivers.microlife as driver
from devicebridge.sdk import (
    Battery,
    DeviceClock,
    DeviceIdentity,
    Frame,
    Loss,
    Noise,
    Observation,
    Status,
    UnexpectedDevice,
    Why,
)
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.simulation import Access, Characteristic, GattPort, GattScenario, Service
from devicebridge_drivers.microlife import DRIVER
from devicebridge_drivers.microlife.codec import LENGTH_MAX, Codec, End, History, Record, encode, offline
from devicebridge_simulators.microlife import CLOCK, SIMULATOR, STORED, Monitor, memory
from support.radio import Kept, Remembering, meet, numbers, play

VECTORS = {
    v["id"]: v for v in json.loads((Path(driver.__file__).parent / "vectors.json").read_text("utf-8"))["vectors"]
}
MEMORY = bytes.fromhex(VECTORS["memory"]["hex"])
SCENARIOS = SIMULATOR.scenarios
ALL = {"first_download": "all"}


def decoded(*pieces: bytes) -> list[Frame | Noise]:
    codec = Codec()
    return [*(item for piece in pieces for item in codec.feed(piece)), *codec.close()]


def observations(items: list[Frame | Noise]) -> list[Observation]:
    return [o for item in items if isinstance(item, Frame) for o in item.group]


def test_a_memory_is_given_out_in_parts_that_hold_every_byte() -> None:
    items = decoded(MEMORY)
    assert [type(item) for item in items] == [History, *[Record] * 29, End]
    assert b"".join(item.raw for item in items) == MEMORY


@given(st.integers(1, 20))
def test_pieces_of_any_size_make_the_same(size: int) -> None:
    pieces = [MEMORY[i : i + size] for i in range(0, len(MEMORY), size)]
    assert decoded(*pieces) == decoded(MEMORY)


@given(st.integers(0, len(MEMORY) * 8 - 1))
def test_a_bit_turned_over_gives_no_number(bit: int) -> None:
    damaged = bytearray(MEMORY)
    damaged[bit // 8] ^= 0x80 >> bit % 8
    assert observations(decoded(bytes(damaged))) == []


def test_after_a_damaged_frame_the_next_is_found() -> None:
    damaged = MEMORY[:60] + b"\0\0" + MEMORY[62:]
    assert observations(decoded(damaged + MEMORY)) == observations(decoded(MEMORY))


def test_the_longest_memory_there_can_be() -> None:
    whole = memory([STORED[0].encode()] * 255)
    assert len(whole) == 4 + LENGTH_MAX
    assert len(observations(decoded(whole))) == 255


def test_a_cuff_that_is_never_marked_good_is_not_called_loose() -> None:
    never = memory([bytes.fromhex("78503c18060f0e1e0000")])
    assert [o.status for o in observations(decoded(never))] == [frozenset()]


@pytest.mark.parametrize("day", ["18060f1800", "18020f0e3c", "181e010101", "18021e0101", "1801200101"])
def test_dates_that_are_none(day: str) -> None:
    record = bytes.fromhex("78503c" + day + "8000")
    assert [item.why for item in decoded(memory([record])) if isinstance(item, Noise)] == [Why.BAD_FIELD]


def test_one_failed_number_takes_no_other_with_it() -> None:
    (observation,) = observations(decoded(memory([bytes.fromhex("785000") + bytes.fromhex("18060f0e1e8000")])))
    assert numbers(observation) == {"systolic": 120, "diastolic": 80, "pulse-rate": "error"}


def test_what_the_host_asks() -> None:
    """github.com/joergmlpts/blood-pressure-monitor, bpm_bt.py: CMD_GET_MEASUREMENTS."""
    assert encode(0x00, bytes(6) + b"\xfd").hex() == "4dff000900000000000000fd52"


def test_a_bare_record_is_only_read_offline() -> None:
    record = bytes.fromhex("78503c18060f0e1e0000")
    assert decoded(record) == [Noise(record, Why.UNSYNCHRONISED)]
    bare = offline()
    assert bare.feed(record) == ()
    assert len(observations(list(bare.close()))) == 1


# --- The session -------------------------------------------------------------------------------------------------


def session(scenario: GattScenario | str, **options: object) -> tuple[Kept, Loss]:
    return play(DRIVER, SIMULATOR, scenario, options)


def visits(monitor: Monitor, outlet: Remembering, times: int = 1) -> None:
    """So many connections of the same monitor."""
    for _ in range(times):
        meet(DRIVER, SIMULATOR, monitor.scenario("a visit"), outlet, ALL)


def test_the_second_visit_sends_only_what_is_new() -> None:
    outlet = Remembering()
    visits(Monitor([r.encode() for r in STORED[:3]]), outlet, times=2)
    assert len(outlet.observations) == 3
    visits(Monitor([r.encode() for r in STORED]), outlet)
    assert [o.device_time for o in outlet.observations] == [r.time for r in STORED]
    assert set(outlet.memory) == {"serial", "SIM-ML-1/1"}


def test_it_only_asks_for_time_and_memory() -> None:
    monitor = Monitor([r.encode() for r in STORED])
    visits(monitor, Remembering())
    assert [asked.hex() for asked in monitor.asked] == ["4dff00020c5a", "4dff000900000000000000fd52"]


def test_a_record_that_makes_no_sense_is_noted_and_the_others_are_sent() -> None:
    outlet = Remembering()
    visits(Monitor([bytes.fromhex("6e464118000f0e1e8000"), STORED[0].encode()]), outlet)
    assert [noise.why for noise in outlet.noted(Noise)] == [Why.BAD_FIELD]
    assert len(outlet.observations) == 1
    assert Status.CLOCK_UNSET not in outlet.observations[0].status


def test_what_the_monitor_says_of_itself_is_noted() -> None:
    outlet = Remembering()
    visits(Monitor([]), outlet)
    assert outlet.events == [
        DeviceIdentity("devicebridge", "BP3GY1-2N", "SIM-ML-1", "1.0"),
        Battery(percent=80),
        DeviceClock(CLOCK),
    ]


def test_f07_another_device_with_such_a_service_is_refused() -> None:
    def services() -> tuple[Service, ...]:
        return (Service(uuid16(0xFFF0), (Characteristic(uuid=uuid16(0xFFF1), access=Access.NOTIFY),)),)

    async def run(port: GattPort) -> None:
        await port.pause(60)

    _, reason = session(GattScenario(title="no line to write to", services=services, run=run))
    assert reason is UnexpectedDevice().reason
