"""A OneTouch Verio Flex over Bluetooth LE: fragments and receipts, and a memory read by number."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import devicebridge_drivers.lifescan as driver
from devicebridge.sdk import DeviceClock, DeviceIdentity, Frame, Loss, Noise, Observation, Why
from devicebridge.sdk.simulation import GattPort, GattScenario, Service
from devicebridge_drivers.lifescan import DRIVER
from devicebridge_drivers.lifescan.codec import Packet
from devicebridge_drivers.lifescan.fragments import Fragment, FragmentCodec, Receipt
from devicebridge_simulators.lifescan import CLOCK, SIMULATOR, Flex, Result, ago, flex_record, packet
from support.radio import Remembering, meet, numbers, play, stamps

VECTORS = {
    v["id"]: v for v in json.loads((Path(driver.__file__).parent / "vectors.json").read_text("utf-8"))["vectors"]
}
# Gadgetbridge, OneTouchMessageTest.kt: 92 mg/dL on 18 December 2018; the byte of the radio and two fragments' contents
RECORD = bytes.fromhex(VECTORS["ble-numbered-record-1"]["hex"])
GATT = SIMULATOR.gatt
VISIT = [Result(105, ago(2)), Result(98, ago(9)), Result(140, ago(300))]
ALL = {"first_download": "all"}


def decode(*values: bytes) -> list[Frame | Noise]:
    one = FragmentCodec()
    return [item for value in values for item in one.feed(value)]


def observations(*values: bytes) -> list[Observation]:
    return [o for item in decode(*values) if isinstance(item, Frame) for o in item.group]


def test_two_fragments_make_a_record() -> None:
    first, second = RECORD[:20], b"\x41" + RECORD[20:]
    begun, whole = decode(first, second)
    assert (type(begun), type(whole)) == (Fragment, Packet)
    assert [item.raw for item in (begun, whole)] == [first, second]
    assert [numbers(o) for o in observations(first, second)] == [{"glucose": 92}]


@given(st.integers(1, 24))
def test_fragments_of_any_size_make_the_same(size: int) -> None:
    data = RECORD[1:]
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    values = [bytes((0x40 + n if n else len(pieces),)) + piece for n, piece in enumerate(pieces)]
    assert observations(*values) == observations(RECORD)


@given(st.integers(8, len(RECORD) * 8 - 1))
def test_no_flipped_bit_in_a_record_is_believed(bit: int) -> None:
    damaged = bytearray(RECORD)
    damaged[bit // 8] ^= 1 << bit % 8
    assert observations(bytes(damaged[:20]), b"\x41" + bytes(damaged[20:])) == []


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_fragment_that_is_lost_leaves_no_number(lost: int) -> None:
    data = RECORD[1:]
    values = [b"\x03" + data[:9], b"\x41" + data[9:18], b"\x42" + data[18:]]
    del values[lost]
    assert observations(*values) == []
    assert len(observations(*values, RECORD)) == 1, "the next packet is read"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", Why.TOO_SHORT),
        (b"\x01", Why.TOO_SHORT),
        (b"\x00\x02", Why.UNSYNCHRONISED),
        (b"\x41\x02", Why.UNSYNCHRONISED),
        (b"\x81\x02", Why.TOO_LONG),
        (b"\x01\x02\x13\x00\x03", Why.INCOMPLETE),
        (b"\x01" + packet(b"\x03\x06") + b"\0", Why.TOO_LONG),
        (b"\x3f\x02\x40\x00\x03" + bytes(70), Why.TOO_LONG),
    ],
)
def test_what_is_no_fragment(value: bytes, why: Why) -> None:
    assert decode(value) == [Noise(value, why)]


def test_receipts() -> None:
    assert [item.number for item in decode(b"\x81", b"\x82", b"\xc1") if isinstance(item, Receipt)] == [1, 2, 1]


def test_a_serial_number_of_eight_wide_letters_is_no_record() -> None:
    """As long as a record with its number; no record has a letter there."""
    (item,) = decode(b"\x02" + packet(b"\x03\x06" + "TCFPQRMG".encode("utf-16-le")))
    assert isinstance(item, Packet)
    assert item.group == ()


def test_a_record_is_what_the_other_end_wrote() -> None:
    (observation,) = observations(b"\x01" + packet(flex_record(VISIT[0])))
    assert (numbers(observation), observation.device_time) == ({"glucose": 105}, ago(2))


# --- The session -------------------------------------------------------------------------------------------------


def visit(meter: Flex, outlet: Remembering) -> Loss:
    return meet(DRIVER, GATT, meter.scenario("a visit"), outlet, ALL)


def test_who_it_is_and_what_time_it_has() -> None:
    kept, lost = play(DRIVER, GATT, "flex-backlog")
    assert lost is Loss.DISCONNECTED
    assert kept.noted(DeviceClock) == [DeviceClock(CLOCK)]
    assert [(i.model, i.serial) for i in kept.noted(DeviceIdentity)] == [("OneTouch Verio Flex", "SIM-OT-1")]
    assert stamps(kept) == [ago(60 * n) for n in range(30, 0, -1)]


def test_the_next_visit_sends_what_is_new() -> None:
    outlet = Remembering()
    visit(Flex(results=VISIT, needed=3), outlet)
    visit(Flex(results=[Result(131, ago(1)), *VISIT], needed=2), outlet)
    assert [numbers(o)["glucose"] for o in outlet.observations] == [140, 98, 105, 131]


def test_two_meters_are_told_apart_by_their_serial_numbers() -> None:
    outlet = Remembering()
    for serial in ("SIM-OT-1", "SIM-OT-2"):
        visit(Flex(results=VISIT, needed=3, serial=serial), outlet)
    assert len(outlet.observations) == 6


def test_of_a_memory_that_broke_off_nothing_is_sent() -> None:
    outlet = Remembering()
    visit(Flex(results=VISIT, needed=1), outlet)
    assert outlet.observations == []
    assert "SIM-OT-1" not in outlet.memory
    visit(Flex(results=VISIT, needed=3), outlet)
    assert len(outlet.observations) == 3


@pytest.mark.parametrize("refused", [0, 1, 2])
def test_a_record_that_is_refused_is_asked_for_again(refused: int) -> None:
    """The others are not kept back by it. None of the meters' refusals says that there is no such record."""
    outlet, sent = Remembering(), {140, 98, 105}
    assert visit(Flex(results=VISIT, needed=3, refused=refused), outlet) is Loss.FAILED
    assert {numbers(o)["glucose"] for o in outlet.observations} == sent - {VISIT[refused].mg_dl}
    visit(Flex(results=VISIT, needed=3), outlet)
    assert {numbers(o)["glucose"] for o in outlet.observations} == sent


def test_a_record_that_is_refused_between_two_visits_is_asked_for_again() -> None:
    outlet, later = Remembering(), [Result(131, ago(1)), Result(132, ago(2)), *VISIT]
    visit(Flex(results=VISIT, needed=3), outlet)
    assert visit(Flex(results=later, needed=3, refused=1), outlet) is Loss.FAILED
    visit(Flex(results=later, needed=3), outlet)
    assert [numbers(o)["glucose"] for o in outlet.observations] == [140, 98, 105, 131, 132, 131]
    assert len(set(outlet.observations)) == 5  # the same, and so with the same ids


def test_a_meter_whose_serial_number_could_not_be_read_once_is_the_same() -> None:
    outlet = Remembering()
    later = [Result(131, ago(30)), *VISIT]
    visit(Flex(results=VISIT, needed=3), outlet)
    scenario = Flex(results=later, needed=2).scenario("no serial number this time")
    meet(DRIVER, GATT, replace(scenario, services=lambda: scenario.services()[:1]), outlet)
    assert [numbers(o)["glucose"] for o in outlet.observations] == [140, 98, 105, 131]


def test_a_meter_that_allows_nothing_wants_a_bond() -> None:
    assert play(DRIVER, GATT, "flex-not-bonded")[1] is Loss.BOND_REQUIRED


def test_another_device_with_its_service_is_refused() -> None:
    async def nothing(_: GattPort) -> None:
        await asyncio.Event().wait()

    empty = GattScenario(title="no line", services=lambda: (Service(GATT.advertised[0], ()),), run=nothing)
    assert play(DRIVER, GATT, empty)[1] is Loss.UNEXPECTED_DEVICE
