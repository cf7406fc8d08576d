"""Setting the clock of a device that has one, where the site wants it (sdk.clock_setting).

In the room it is 10:32; the simulated devices say 10:20. Date Time and Current Time: GATT Specification Supplement.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from devicebridge.sdk import ClockOutcome, DeviceClock, LinkLost, Loss
from devicebridge.sdk.bluetooth import DATE_TIME
from devicebridge.sdk.clock_setting import ClockOptions, ClockSetter, Moment
from devicebridge.sdk.settable_clock import IGNORED, SettableClock
from devicebridge_drivers.ble_blood_pressure import DRIVER
from devicebridge_simulators.ble_blood_pressure import (
    AND_HANG_UP,
    AND_SEND_ALL,
    CLOCK,
    MEMORY,
    NORMAL,
    SIMULATOR,
    and_cuff,
    cuff,
    omron,
)
from support.radio import meet
from support.site import LOCAL_TIME, Site

ON = {"set_clock": True, "first_download": "all"}
OMRON = replace(SIMULATOR, name="BLEsmart_00000116001122334455")

AT_10_32 = "ea070b150a2000"
"""2026-11-21 10:32:00."""
CURRENT_TIME_10_32 = AT_10_32 + "060001"
"""The same, a Saturday, and set by hand."""
OLD_AT = "2026-11-18 08:32"
"""MEMORY[0], 08:20 by the cuff's clock."""


def hexes(clock: SettableClock) -> list[str]:
    return [value.hex() for value in clock.written]


def is_now(shown: datetime) -> bool:
    """By a clock that runs on, with the calls between."""
    return timedelta() <= shown - LOCAL_TIME < timedelta(seconds=5)


def test_off_nothing_is_written() -> None:
    clock, site = SettableClock(CLOCK), Site(DRIVER)
    meet(DRIVER, SIMULATOR, cuff("late", [*MEMORY, NORMAL], clock=clock, stays=True), site, {})
    assert (clock.written, site.outcomes) == ([], [])
    assert site.noted(DeviceClock) == [DeviceClock(CLOCK)]


def test_on_the_clock_is_set_when_all_has_come_and_read_back() -> None:
    clock, site = SettableClock(CLOCK), Site(DRIVER)
    meet(DRIVER, SIMULATOR, cuff("late", [*MEMORY[:1], NORMAL], clock=clock, stays=True), site, ON)
    assert hexes(clock) == [CURRENT_TIME_10_32]
    assert site.outcomes == [ClockOutcome.SET]
    before, after = (event.now for event in site.noted(DeviceClock))
    assert (before, is_now(after)) == (CLOCK, True)
    assert site.measured == [OLD_AT, "2026-11-21 10:31"]
    assert [m["clock_offset_s"] for m in site.messages] == [720, 720]


def test_a_clock_that_is_right_is_left_alone() -> None:
    clock, site = SettableClock(LOCAL_TIME + timedelta(seconds=2)), Site(DRIVER)
    meet(DRIVER, SIMULATOR, cuff("right", [replace(NORMAL, time=LOCAL_TIME)], clock=clock, stays=True), site, ON)
    assert (clock.written, site.outcomes) == ([], [])


def test_a_clock_that_was_never_set_is_set() -> None:
    clock, site = SettableClock(None), Site(DRIVER)
    meet(
        DRIVER,
        SIMULATOR,
        cuff("unset", [replace(NORMAL, time=None, time_unset=True)], clock=clock, stays=True),
        site,
        ON,
    )
    assert (clock.shows, site.outcomes) == (LOCAL_TIME, [ClockOutcome.SET])


@pytest.mark.parametrize(
    ("clock", "outcome"),
    [
        (SettableClock(CLOCK, refusal=0x03), ClockOutcome.REFUSED),
        (SettableClock(CLOCK, is_deaf=True), ClockOutcome.NOT_TAKEN),
        (SettableClock(CLOCK, refusal=IGNORED), ClockOutcome.SET),
    ],
    ids=["write not permitted", "takes it and forgets it", "takes the time and refuses the rest"],
)
def test_what_came_of_it_is_told(clock: SettableClock, outcome: ClockOutcome) -> None:
    site = Site(DRIVER)
    meet(DRIVER, SIMULATOR, cuff("late", [NORMAL], clock=clock, stays=True), site, ON)
    assert site.outcomes == [outcome]
    assert len(site.noted(DeviceClock)) == 1 + (outcome is ClockOutcome.SET)
    assert site.measured == ["2026-11-21 10:31"]


def test_of_what_comes_after_the_clock_was_set_old_stamps_are_not_believed() -> None:
    """10:14:55 by the clock of before. By the clock as it is now that would be seventeen minutes ago."""
    before = replace(NORMAL, time=CLOCK - timedelta(minutes=5))
    after = replace(NORMAL, time=LOCAL_TIME + timedelta(seconds=1))
    clock, site = SettableClock(CLOCK), Site(DRIVER)
    meet(DRIVER, SIMULATOR, cuff("late", [NORMAL], clock=clock, later=[before, after]), site, ON)
    assert site.measured == ["2026-11-21 10:31", None, "2026-11-21 10:32"]
    assert [m["origin"] for m in site.messages] == ["live", "stored", "live"]
    assert [m["state"] for m in site.messages] == ["preliminary", "held", "preliminary"]


def test_a_cuff_that_sends_nothing_is_not_set() -> None:
    """What it measured a moment ago may still come, with a stamp of the clock as it is."""
    clock = SettableClock(CLOCK)
    meet(DRIVER, SIMULATOR, cuff("empty", [], clock=clock, stays=True), Site(DRIVER), ON)
    assert clock.written == []


def test_an_and_is_set_before_it_sends_and_what_it_sends_is_dated_by_the_clock_of_before() -> None:
    clock, site, asked = SettableClock(CLOCK), Site(DRIVER), list[bytes]()
    meet(DRIVER, SIMULATOR, and_cuff("UA-651BLE", [*MEMORY[:1], NORMAL], clock, asked=asked), site, ON)
    assert hexes(clock) == [AT_10_32]
    assert site.outcomes == [ClockOutcome.SET]
    assert asked == [AND_SEND_ALL, AND_HANG_UP]
    assert site.measured == [OLD_AT, "2026-11-21 10:31"]
    assert is_now(site.noted(DeviceClock)[-1].now)


def test_off_an_and_is_asked_for_its_memory_and_not_set() -> None:
    clock, site, asked = SettableClock(CLOCK), Site(DRIVER), list[bytes]()
    meet(DRIVER, SIMULATOR, and_cuff("UA-651BLE", [NORMAL], clock, asked=asked), site, {})
    assert (clock.written, asked) == ([], [AND_SEND_ALL, AND_HANG_UP])


def test_an_omron_is_set_by_its_first_word_of_its_time() -> None:
    clock, site = SettableClock(CLOCK), Site(DRIVER)
    meet(DRIVER, OMRON, omron("HEM-9200T", [*MEMORY[:1], NORMAL], clock), site, ON)
    assert hexes(clock) == [CURRENT_TIME_10_32]
    assert site.outcomes == [ClockOutcome.SET]
    assert site.measured == [OLD_AT, "2026-11-21 10:31"]


@pytest.mark.parametrize(
    ("shows", "options"),
    [(LOCAL_TIME - timedelta(minutes=9), ON), (CLOCK, {})],
    ids=["off by less than ten minutes", "not wanted"],
)
def test_nothing_else_is_ever_written_to_an_omron(shows: datetime, options: dict[str, object]) -> None:
    clock, site = SettableClock(shows), Site(DRIVER)
    meet(DRIVER, OMRON, omron("HEM-9200T", [NORMAL], clock), site, options)
    assert (clock.written, site.outcomes) == ([], [])
    assert len(site.messages) == 1


class HangingUp:
    """A cuff whose link ends while its clock is written."""

    name = ""

    def has(self, characteristic: str, /) -> bool:
        return characteristic == DATE_TIME

    async def read(self, _: str, /) -> bytes:
        raise LinkLost(Loss.DISCONNECTED)

    async def write(self, _: str, data: bytes, /) -> None:
        assert data.hex() == AT_10_32
        raise LinkLost(Loss.DISCONNECTED)

    async def subscribe(self, *_: str) -> AsyncIterator[tuple[str, bytes]]:
        raise AssertionError("nothing is subscribed to")


def test_a_clock_that_was_written_as_the_link_ended_is_told_of_and_not_taken_for_set() -> None:
    site = Site(DRIVER)

    async def run() -> None:
        setter = ClockSetter(HangingUp(), site, ClockOptions(set_clock=True))
        await setter.set_at(Moment.QUIET, CLOCK)
        assert setter.settle() is None

    asyncio.run(run())
    assert site.outcomes == [ClockOutcome.UNPROVEN]
