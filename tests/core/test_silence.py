"""Silence is a fault where a device should be heard, and none where it should not; no word outlives its evidence."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from devicebridge import registry
from devicebridge.health import QUIET_S, REMEDIES, DeviceHealth, DeviceState, Evidence
from devicebridge.sdk import Loss
from devicebridge.sdk.driver import Rhythm
from support.clock import START, ManualClock


def heard(clock: ManualClock, budget_s: float | None) -> DeviceHealth:
    health = DeviceHealth("box", "box", clock, silence_budget_s=budget_s)
    health.heard(1)
    health.enter(DeviceState.OK)
    return health


def test_a_monitor_that_falls_silent_is_silent_with_its_evidence_and_what_to_do(clock: ManualClock) -> None:
    health = heard(clock, 15)
    clock.advance(15)
    health.settle()
    assert (health.state, health.evidence) == (DeviceState.OK, Evidence.HEARD)
    clock.advance(1)
    health.settle()
    status = health.status()
    assert (status["state"], status["reason"], status["evidence"]) == ("silent", "silent", "silence")
    assert status["text"] == "Nothing is heard from the device. Switch it on and check its cable."
    assert (status["silence_budget_s"], status["last_heard_at"]) == (15, START)


def test_a_cuff_that_falls_silent_waits_and_its_evidence_is_the_link(clock: ManualClock) -> None:
    health = heard(clock, None)
    clock.advance(QUIET_S + 1)
    health.settle()
    assert (health.state, health.evidence) == (DeviceState.WAITING, Evidence.LINK)
    clock.advance(86_400)
    health.settle()
    assert health.state is DeviceState.WAITING
    assert health.evidence_at == clock.now()


class SteppedClock(ManualClock):
    """A PC whose wall clock is set back."""

    def now(self) -> datetime:
        return START


def test_f23_a_clock_that_is_set_does_not_keep_an_ok_alive() -> None:
    clock = SteppedClock()
    health = heard(clock, 15)
    clock.advance(16)
    health.settle()
    assert health.state is DeviceState.SILENT


class SleptClock(ManualClock):
    """A PC that slept for an hour, which its monotonic clock did not see."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=1 if self.monotonic_s() else 0)


def test_f24_an_ok_does_not_live_through_a_sleep() -> None:
    clock = SleptClock()
    health = heard(clock, None)
    clock.advance(1)
    health.settle()
    assert health.state is DeviceState.WAITING


def test_every_reason_has_a_state_and_two_short_sentences() -> None:
    assert set(REMEDIES) == set(Loss)
    for _, sentence in REMEDIES.values():
        assert sentence.endswith(".")
        assert len(sentence) <= 90


def test_the_bond_is_what_the_links_have_shown(clock: ManualClock) -> None:
    health = DeviceHealth("cuff", "x", clock, bond_required=True)
    assert health.bond == "unknown"
    health.heard(1)
    assert health.bond == "held"
    health.enter(DeviceState.REFUSED, Loss.BOND_LOST)
    assert health.bond == "lost"
    health.enter(DeviceState.REFUSED, Loss.BOND_REQUIRED)
    assert health.bond == "missing"
    assert DeviceHealth("cuff", "x", clock).bond == "not-needed"


@pytest.mark.parametrize("driver", registry.names(registry.DRIVERS))
def test_f52_every_driver_that_polls_its_device_has_a_silence_budget(driver: str) -> None:
    """Of a serial line the idle time-out is one; a budget longer than a clinic's patience is none."""
    manifest = registry.driver(driver).manifest
    rhythm: Rhythm = manifest.rhythm
    if manifest.serial is not None and rhythm.idle_timeout_s is not None:
        assert rhythm.idle_timeout_s <= 60
    assert rhythm.silence_budget_s is None or 0 < rhythm.silence_budget_s <= 300
