"""F09: a Bluetooth LE device that is asked says each answer twice, so that after each question the answer to the one
before is still coming. No answer is paired with another's question."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from devicebridge import registry
from devicebridge.sdk.simulation import GattPort, GattScenario, GattSimulator, links
from devicebridge.testing.trials import Reading, expectation, play_over_radio

pytest.importorskip("bumble", reason="the simulated radio needs bumble")

ASKED = [
    ("ble-glucose", "memory"),
    ("ble-pulse-oximeter", "memory"),
    ("lifescan", "flex-backlog"),
    ("microlife", "memory"),
    ("taidoc", "ble-backlog"),
    ("viatom", "cuff-memory"),
]


class Twice:
    """The peripheral's side of a connection."""

    def __init__(self, port: GattPort) -> None:
        self._port = port

    async def notify(self, characteristic: str, value: bytes, /) -> None:
        await self._say(self._port.notify, characteristic, value)

    async def indicate(self, characteristic: str, value: bytes, /) -> None:
        await self._say(self._port.indicate, characteristic, value)

    async def _say(self, say: Callable[[str, bytes], Awaitable[None]], characteristic: str, value: bytes) -> None:
        await say(characteristic, value)
        await say(characteristic, value)

    async def subscribed(self, characteristic: str, /) -> None:
        await self._port.subscribed(characteristic)

    async def pause(self, seconds: float, /) -> None:
        await self._port.pause(seconds)

    async def disconnect(self) -> None:
        await self._port.disconnect()


@pytest.mark.parametrize(("driver", "title"), ASKED)
def test_f09_an_answer_that_comes_again_is_no_answer_to_the_next_question(driver: str, title: str) -> None:
    simulator = next(s for s in links(registry.simulator(driver)) if isinstance(s, GattSimulator))
    scenario = simulator.scenarios[title]
    assert isinstance(scenario, GattScenario)
    twice = replace(scenario, run=lambda port: scenario.run(Twice(port)))
    outcome = play_over_radio(registry.driver(driver), simulator, twice)
    rest = iter([undated(expectation(each)) for each in scenario.expected])
    assert all(undated(reading) in rest for reading in outcome.readings), outcome.readings


def undated(reading: Reading) -> Reading:
    return replace(reading, origin="")
