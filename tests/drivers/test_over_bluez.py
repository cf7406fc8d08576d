"""The same scenario gives the same over bleak's own BlueZ backend as over the simulated radio's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from devicebridge import registry
from devicebridge.sdk.simulation import GattSimulator
from support.bluez import over_bluez, system_bus
from support.radio import Remembering, meet

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="BlueZ is Linux's")
SCENARIOS_EACH = 2
TAKE_THEIR_TIME = {"viatom"}
"""Drivers that ask once a second, which no simulated pace can hasten."""


def cases() -> Iterator[Any]:
    for name in registry.names(registry.SIMULATORS):
        simulator = registry.simulator(name)
        if isinstance(simulator, GattSimulator):
            ordinary = [key for key, scenario in simulator.scenarios.items() if scenario.expected]
            marks = [pytest.mark.long] if name in TAKE_THEIR_TIME else []
            yield from (pytest.param(name, key, marks=marks) for key in ordinary[:SCENARIOS_EACH])


@pytest.fixture(scope="module")
def bus() -> Iterator[str]:
    with system_bus() as address:
        yield address


@pytest.mark.parametrize(("name", "scenario"), list(cases()))
def test_a_scenario_gives_the_same_over_bluez(name: str, scenario: str, bus: str) -> None:
    driver, simulator = registry.driver(name), registry.simulator(name)
    assert isinstance(simulator, GattSimulator)
    simulated, kept = Remembering(), Remembering()
    meet(driver, simulator, simulator.scenarios[scenario], simulated)
    meet(driver, simulator, simulator.scenarios[scenario], kept, adapter=lambda ether: over_bluez(ether, bus))
    assert kept.groups == simulated.groups
    assert kept.events == simulated.events
    assert kept.memory == simulated.memory
