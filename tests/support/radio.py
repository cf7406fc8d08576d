"""One connection over the simulated radio, from the advertisement to the hang-up, and what a driver made of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest

from devicebridge.clock import SystemClock
from devicebridge.intake import Intake, Source
from devicebridge.links.gatt import Backend, Radio
from devicebridge.sdk import (
    Codec,
    DeviceClock,
    DeviceIdentity,
    Driver,
    Event,
    Frame,
    LinkLost,
    Loss,
    MemoryOptions,
    Noise,
    Observation,
    Wave,
)
from devicebridge.sdk.simulation import GattScenario, GattSimulator

E = TypeVar("E")
Adapter = Callable[[Any], AbstractAsyncContextManager[Backend]]
"""Given the Ether."""
TIMEOUT_S = 20.0


class Kept:
    """An outlet that keeps all it is given. groups: as emitted."""

    def __init__(self) -> None:
        self.groups: list[tuple[Observation, ...]] = []
        self.events: list[Event] = []

    @property
    def observations(self) -> list[Observation]:
        return [observation for group in self.groups for observation in group]

    def noted(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    async def emit(self, *group: Observation) -> None:
        await asyncio.sleep(0)  # as the disk would
        self.groups.append(group)

    async def recall(self, key: str, /) -> str | None:
        return None

    async def remember(self, key: str, value: str, /) -> None:
        raise AssertionError("nothing of this is read twice")

    def wave(self, wave: Wave, /) -> None:
        raise AssertionError("this device has no wave")

    def local_time(self) -> datetime:
        raise AssertionError("this device's clock is not set")

    def note(self, event: Event, /) -> None:
        self.events.append(event)

    def published(self, driver: Driver[Any]) -> list[dict[str, Any]]:
        """The messages, in order."""
        source = Source("s", "r", "device", driver.manifest.id, "address", True, True)
        intake = Intake(source, ZoneInfo("America/Chicago"), SystemClock())
        for event in self.events:
            if isinstance(event, DeviceClock):
                intake.read_clock(event.now)
            elif isinstance(event, DeviceIdentity):
                intake.identity = event
        return [json.loads(entry.payload) for o in self.observations for entry in intake.entries((o,))]


class Remembering(Kept):
    """memory: of one connection for the next."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: dict[str, str] = {}

    async def recall(self, key: str, /) -> str | None:
        return self.memory.get(key)

    async def remember(self, key: str, value: str, /) -> None:
        self.memory[key] = value


def play(
    driver: Driver[Any],
    simulator: GattSimulator,
    scenario: GattScenario | str,
    options: Mapping[str, object] | None = None,
) -> tuple[Kept, Loss]:
    """scenario: or the name of one of the simulator's. options: in place of the scenario's."""
    found = simulator.scenarios[scenario] if isinstance(scenario, str) else scenario
    kept = Remembering() if issubclass(driver.options, MemoryOptions) else Kept()
    return kept, meet(driver, simulator, found, kept, options)


def meet(
    driver: Driver[Any],
    simulator: GattSimulator,
    scenario: GattScenario,
    kept: Kept,
    options: Mapping[str, object] | None = None,
    *,
    adapter: Adapter | None = None,
) -> Loss:
    """As `play`, into an outlet that is there. adapter: the way to the peripherals, None for bleak over Bumble."""
    pytest.importorskip("bumble", reason="the simulated radio needs bumble")
    chosen = scenario.options if options is None else options
    return asyncio.run(_meet(driver, simulator, scenario, kept, chosen, adapter or (lambda ether: ether.radio())))


async def _meet(
    driver: Driver[Any],
    simulator: GattSimulator,
    scenario: GattScenario,
    kept: Kept,
    options: Mapping[str, object],
    adapter: Adapter,
) -> Loss:
    from devicebridge.testing.radio import Ether

    spec = driver.manifest.gatt
    assert spec is not None
    async with Ether(pace=0) as ether, adapter(ether) as backend:
        radio = Radio(backend, clock=SystemClock())
        await radio.start()
        peripheral = await ether.add(simulator, scenario)
        try:
            async with asyncio.timeout(TIMEOUT_S), radio.opener(peripheral.address, spec).open() as link:
                await driver.session(link, kept, driver.options.model_validate(dict(options)))
        except LinkLost as lost:
            return lost.reason
        finally:
            await radio.stop()
    raise AssertionError("a session ends with the link")


def whole(codec: Codec, data: bytes) -> Frame | Noise:
    """The one item that a characteristic's value is; nothing of it is left."""
    (item,) = codec.feed(data)
    assert item.raw == data
    assert codec.close() == ()
    return item


def numbers(observation: Observation) -> dict[str, Decimal | str]:
    """By name; a reason where there is no number."""
    return {v.name.value: str(v.absent) if v.value is None else v.value for v in observation.values}


def stamps(kept: Kept) -> list[datetime | None]:
    return [observation.device_time for observation in kept.observations]
