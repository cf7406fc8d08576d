"""F07: the cable, or the address, is another device's. Every driver meets every other driver's device, and none makes
a reading or a trace of what it hears."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devicebridge import registry
from devicebridge.sdk import Loss
from devicebridge.sdk.simulation import GattSimulator, SerialSimulator, links
from devicebridge.testing.trials import play_in_memory, play_over_radio

pytest.importorskip("bumble", reason="the simulated radio needs bumble")

NAMES = registry.names(registry.DRIVERS)
SERIAL = {n: s for n in NAMES for s in links(registry.simulator(n)) if isinstance(s, SerialSimulator)}
GATT = {n: s for n in NAMES for s in links(registry.simulator(n)) if isinstance(s, GattSimulator)}


@pytest.mark.parametrize("driver", SERIAL)
def test_f07_no_driver_reads_another_devices_bytes(driver: str) -> None:
    for other, simulator in SERIAL.items():
        for title, scenario in simulator.scenarios.items():
            if other != driver and not scenario.faulty:
                outcome = play_in_memory(registry.driver(driver), replace(scenario, options={}))
                assert not outcome.readings and not outcome.rows, f"{driver} reads {title!r} of {other}"


@pytest.mark.parametrize("driver", GATT)
def test_f07_no_driver_reads_another_peripheral(driver: str) -> None:
    for other, simulator in GATT.items():
        if other != driver:
            scenario = next(iter(simulator.scenarios.values()))
            outcome = play_over_radio(registry.driver(driver), simulator, replace(scenario, options={}))
            said = (outcome.reason, outcome.readings, outcome.rows)
            assert said == (Loss.UNEXPECTED_DEVICE, (), ()), f"{driver} meets {other}"
