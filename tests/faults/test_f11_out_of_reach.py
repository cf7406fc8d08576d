"""F11: each Bluetooth LE device goes out of reach after any of its values. What is read is what it would have been
read of the whole, with nothing made of a half: no reading is invented, altered or put together of what was not one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from devicebridge import registry
from devicebridge.sdk import Status
from devicebridge.sdk.simulation import GattPort, GattScenario, GattSimulator, links
from devicebridge.testing.trials import Reading, expectation, play_over_radio

pytest.importorskip("bumble", reason="the simulated radio needs bumble")

NAMES = registry.names(registry.DRIVERS)
GATT = {n: s for n in NAMES for s in links(registry.simulator(n)) if isinstance(s, GattSimulator)}
SCENARIOS = {
    "bci-oximeter": ("ble-spot",),
    "ble-blood-pressure": ("normal", "backlog"),
    "ble-glucose": ("memory", "mmol"),
    "ble-heart-rate": ("normal",),
    "ble-pulse-oximeter": ("spot-check", "memory"),
    "ble-thermometer": ("backlog", "stream"),
    "ble-weight-scale": ("composition", "composition-backlog"),
    "cms50": ("ble-spot", "ble-two-fingers"),
    "lifescan": ("flex-backlog", "flex-fragments"),
    "microlife": ("memory",),
    "polar-ecg": ("trace",),
    "taidoc": ("ble-backlog", "ble-blood-pressure"),
    "viatom": ("clip", "ekg", "cuff-memory"),
}
"""Those in which one act takes several values, or one connection brings several acts."""
ALONE = {"stream"}
"""Whose first value, where no other follows, is a measurement by itself; the last of several that moved is marked."""
CUTS = 5
"""Of each scenario: after its first value, before its last, and between."""


class Leaving:
    """The peripheral's side of a connection that ends after so many values. sent: how many it was in all."""

    def __init__(self, port: GattPort, values: int, sent: list[int]) -> None:
        self._port = port
        self._left = values
        self._sent = sent

    async def notify(self, characteristic: str, value: bytes, /) -> None:
        await self._say(self._port.notify, characteristic, value)

    async def indicate(self, characteristic: str, value: bytes, /) -> None:
        await self._say(self._port.indicate, characteristic, value)

    async def _say(self, say: Callable[[str, bytes], Awaitable[None]], characteristic: str, value: bytes) -> None:
        await say(characteristic, value)
        self._sent[0] += 1
        self._left -= 1
        if not self._left:
            await self._port.disconnect()

    async def subscribed(self, characteristic: str, /) -> None:
        await self._port.subscribed(characteristic)

    async def pause(self, seconds: float, /) -> None:
        await self._port.pause(seconds)

    async def disconnect(self) -> None:
        await self._port.disconnect()


def leaving(scenario: GattScenario, values: int, sent: list[int]) -> GattScenario:
    return replace(scenario, run=lambda port: scenario.run(Leaving(port, values, sent)))


def is_within(some: Sequence[object], whole: Sequence[object]) -> bool:
    rest = iter(whole)
    return all(item in rest for item in some)


def test_f11_no_driver_is_left_out() -> None:
    assert SCENARIOS.keys() == GATT.keys()


@pytest.mark.long
@pytest.mark.parametrize(("driver", "title"), [(name, title) for name, titles in SCENARIOS.items() for title in titles])
def test_f11_no_driver_makes_a_reading_of_a_half(driver: str, title: str) -> None:
    """Where the link broke before the device's clock was read, "live" is a guess; the core then holds what is old."""
    found, simulator = registry.driver(driver), GATT[driver]
    scenario = simulator.scenarios[title]
    assert isinstance(scenario, GattScenario)
    sent = [0]
    play_over_radio(found, simulator, leaving(scenario, -1, sent))
    expected = [undated(expectation(each)) for each in scenario.expected]
    for values in sorted({1 + (sent[0] - 1) * n // CUTS for n in range(title in ALONE, CUTS)}):
        outcome = play_over_radio(found, simulator, leaving(scenario, values, [0]))
        how = f"away after {values} of {sent[0]} values"
        believed = [undated(r) for r in outcome.readings if Status.UNSTABLE not in r.status]
        assert is_within(believed, expected), f"{how}: {outcome.readings}"
        assert is_within([row for row in outcome.rows if any(v is not None for v in row)], scenario.rows), how


def undated(reading: Reading) -> Reading:
    return replace(reading, origin="")
