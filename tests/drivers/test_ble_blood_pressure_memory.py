"""What of a cuff's memory is published at the first meeting and later (sdk.burst)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from devicebridge.sdk import DeviceIdentity, Loss, Observation, Origin, Skipped
from devicebridge.sdk.burst import Burst
from devicebridge.sdk.clock_setting import ClockSetter
from devicebridge.sdk.gatt_device import About, Arrivals
from devicebridge.sdk.settable_clock import SettableClock
from devicebridge.sdk.simulation import GattScenario
from devicebridge_drivers.ble_blood_pressure import DRIVER
from devicebridge_drivers.ble_blood_pressure.codec import MEASUREMENT, Codec
from devicebridge_drivers.ble_blood_pressure.session import CuffOptions
from devicebridge_simulators.ble_blood_pressure import CLOCK, EARLIER, MEMORY, NORMAL, SIMULATOR, Reading, cuff
from support.radio import Remembering, meet, stamps

OLD = MEMORY[0]


def visit(outlet: Remembering, scenario: GattScenario | str, **options: object) -> None:
    found = SIMULATOR.scenarios[scenario] if isinstance(scenario, str) else scenario
    assert meet(DRIVER, SIMULATOR, found, outlet, options) is Loss.DISCONNECTED


def sent(*readings: Reading, clock: SettableClock | None) -> GattScenario:
    return cuff("these", readings, clock=clock)


def late() -> SettableClock:
    return SettableClock(CLOCK)


@pytest.mark.parametrize("has_clock", [True, False])
def test_at_the_first_meeting_the_memory_is_left_out_and_counted(has_clock: bool) -> None:
    outlet = Remembering()
    visit(outlet, sent(*MEMORY, EARLIER, NORMAL, clock=late() if has_clock else None))
    assert stamps(outlet) == [EARLIER.time, NORMAL.time]
    assert len(outlet.noted(Skipped)) == len(MEMORY)


@pytest.mark.parametrize("has_clock", [True, False])
@pytest.mark.parametrize(("rule", "published", "skipped"), [("all", 5, 0), ("none", 1, 4)])
def test_the_site_may_want_all_of_it_or_none(has_clock: bool, rule: str, published: int, skipped: int) -> None:
    outlet = Remembering()
    scenario = sent(*MEMORY, EARLIER, NORMAL, clock=late() if has_clock else None)
    visit(outlet, scenario, first_download=rule)
    assert len(outlet.observations) == published
    assert outlet.observations[-1].device_time == NORMAL.time
    assert len(outlet.noted(Skipped)) == skipped


@pytest.mark.parametrize("has_clock", [True, False])
def test_from_the_second_meeting_on_nothing_is_left_out(has_clock: bool) -> None:
    outlet = Remembering()
    clock = late() if has_clock else None
    visit(outlet, sent(NORMAL, clock=clock), first_download="none")
    visit(outlet, sent(OLD, NORMAL, clock=clock), first_download="none")
    assert stamps(outlet) == [NORMAL.time, OLD.time, NORMAL.time]
    assert outlet.noted(Skipped) == []


def test_a_cuff_that_had_nothing_to_send_is_still_a_stranger() -> None:
    outlet = Remembering()
    visit(outlet, sent(clock=late()))
    visit(outlet, sent(OLD, NORMAL, clock=late()))
    assert stamps(outlet) == [NORMAL.time]


def test_another_cuff_in_its_place_is_met_for_the_first_time() -> None:
    outlet = Remembering()
    outlet.memory |= {"met": "met", "met OTHER-1": "met"}
    visit(outlet, sent(OLD, NORMAL, clock=late()))
    assert stamps(outlet) == [NORMAL.time]
    assert set(outlet.memory) == {"met", "met OTHER-1", "met SIM-BP-1"}


def test_a_known_cuff_whose_serial_number_cannot_be_read_is_known() -> None:
    """As when the link breaks before that: its memory must not be taken for a stranger's."""
    outlet = Remembering()
    visit(outlet, sent(NORMAL, clock=late()))
    scenario = sent(OLD, NORMAL, clock=late())
    visit(outlet, replace(scenario, services=lambda: scenario.services()[:1]))
    assert stamps(outlet) == [NORMAL.time, OLD.time, NORMAL.time]


def test_a_first_meeting_that_breaks_leaves_nothing_out_for_good() -> None:
    outlet = Remembering()
    visit(outlet, sent(MEMORY[0], clock=late()))
    visit(outlet, sent(MEMORY[1], NORMAL, clock=late()))
    assert stamps(outlet) == [MEMORY[1].time, NORMAL.time]
    assert len(outlet.noted(Skipped)) == 1


def test_what_came_before_the_clock_could_be_read_is_published() -> None:
    """The link broke at once: of what came then nobody knows how old it is."""
    outlet = Remembering()
    visit(outlet, cuff("breaks", MEMORY, clock=late(), sent=1))
    assert stamps(outlet) == [OLD.time]
    assert outlet.noted(Skipped) == []


def test_the_only_reading_of_a_cuff_without_a_clock_is_just_measured() -> None:
    outlet = Remembering()
    visit(outlet, sent(replace(NORMAL, time=None), clock=None), first_download="none")
    assert [o.origin for o in outlet.observations] == [Origin.LIVE]


def test_a_stamp_that_the_clock_contradicts_does_not_hide_the_last_reading() -> None:
    """The clock went back, as after a change of batteries: what the stamp says of its age is nothing."""
    ahead = replace(NORMAL, time=CLOCK + timedelta(days=400))
    outlet = Remembering()
    visit(outlet, sent(OLD, ahead, clock=late()), first_download="none")
    assert stamps(outlet) == [ahead.time]


def test_a_clock_that_was_never_set_tells_what_is_old_all_the_same() -> None:
    start = CLOCK.replace(year=2000)
    old, new = (replace(NORMAL, time=start - timedelta(minutes=m)) for m in (90, 1))
    outlet = Remembering()
    visit(outlet, sent(old, new, clock=SettableClock(start)))
    assert stamps(outlet) == [new.time]


def test_what_is_measured_in_the_same_connection_is_published() -> None:
    again = replace(NORMAL, systolic=NORMAL.diastolic, time=CLOCK)
    outlet = Remembering()
    visit(outlet, cuff("two", [OLD, NORMAL], clock=None, later=[again]))
    assert [(o.device_time, o.origin) for o in outlet.observations] == [
        (NORMAL.time, Origin.LIVE),
        (again.time, Origin.LIVE),
    ]


def test_a_cuff_met_before_its_serial_number_could_be_read_is_no_stranger_when_it_can_be() -> None:
    """As when it hung up at once, the first time: what it measured since must not be left out."""
    outlet = Remembering()
    scenario = sent(NORMAL, clock=late())
    visit(outlet, replace(scenario, services=lambda: scenario.services()[:1]))
    visit(outlet, sent(OLD, NORMAL, clock=late()))
    assert stamps(outlet) == [NORMAL.time, OLD.time, NORMAL.time]


def test_only_the_first_serial_number_is_taken_for_that_of_a_cuff_without_one() -> None:
    outlet = Remembering()
    outlet.memory |= {"met": "unnamed"}
    visit(outlet, sent(OLD, NORMAL, clock=late()))
    del outlet.memory["met SIM-BP-1"]  # as that of another
    visit(outlet, sent(OLD, NORMAL, clock=late()))
    assert stamps(outlet) == [OLD.time, NORMAL.time, NORMAL.time]


class NoLink:
    """Of a cuff whose clock is not set."""

    name = ""

    def has(self, _: str, /) -> bool:
        return False

    async def read(self, _: str, /) -> bytes:
        raise AssertionError("nothing is read")

    async def write(self, _: str, __: bytes, /) -> None:
        raise AssertionError("nothing is written")

    async def subscribe(self, *_: str) -> AsyncIterator[tuple[str, bytes]]:
        raise AssertionError("nothing is subscribed to")


class Slow(Remembering):
    """Its disk has the first, and is still at it when the session is stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.is_busy = asyncio.Event()

    async def emit(self, *group: Observation) -> None:
        self.groups.append(group)
        if len(self.groups) == 1:
            self.is_busy.set()
            await asyncio.Event().wait()


@pytest.mark.parametrize("has_clock", [True, False])
def test_what_has_come_is_published_when_the_session_is_stopped(has_clock: bool) -> None:
    """The cuff has the confirmation of each, and will not send it again."""
    readings = [MEMORY[2], EARLIER, NORMAL]

    async def values() -> AsyncIterator[tuple[str, bytes]]:
        for reading in readings:
            yield MEASUREMENT, reading.encode()
        await asyncio.Event().wait()

    async def run() -> Slow:
        outlet, options = Slow(), CuffOptions(first_download="all")
        about = About(DeviceIdentity(serial="SIM-BP-1"), CLOCK if has_clock else None)
        arrivals = Arrivals(values())
        burst = Burst(outlet, about, options, ClockSetter(NoLink(), outlet, options))
        session = asyncio.create_task(burst.run(arrivals, {MEASUREMENT: Codec(MEASUREMENT)}))
        await asyncio.wait_for(outlet.is_busy.wait(), 5)
        session.cancel()
        await asyncio.wait((session,), timeout=5)
        await arrivals.close()
        assert session.cancelled()
        return outlet

    outlet = asyncio.run(run())
    assert stamps(outlet) == [reading.time for reading in readings]
    assert set(outlet.memory) == {"met", "met SIM-BP-1"}
