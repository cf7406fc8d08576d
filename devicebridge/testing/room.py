"""A simulated exam room: simulated devices on real links that measure one simulated patient after another.

A room file (TOML) says which devices there are and when each is used. Every measurement is reported with what must
come of it, so that whoever watches the far end can tell a reading that was lost, altered or invented.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from .. import registry
from ..sdk.simulation import (
    Expected,
    GattScenario,
    GattSimulator,
    SerialPort,
    SerialScenario,
    SerialSimulator,
    Vitals,
    links,
)
from .patient import vitals
from .serial_host import End, HungUp, real_time, serve_tcp

DEMO = Path(__file__).with_name("rooms") / "demo.toml"


class RoomDevice(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    simulator: str
    link: Literal["serial", "bluetooth"] | None = None  # for one that has both; else serial
    first_s: float = Field(default=0, ge=0)
    every_s: float = Field(gt=0)


class RoomPlan(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    device: tuple[RoomDevice, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Report:
    """phase: "measuring" when the device begins, then "measured", or "aborted" where it could not be finished."""

    device: str
    phase: str
    expected: tuple[Expected, ...]


class _Player(Protocol):
    """One hosted device. `place`: its key and value in a [devices] table of the daemon's config."""

    place: tuple[str, str]

    async def play(self, measured: Vitals) -> None:
        """Raises HungUp where the host went away meanwhile."""
        ...

    def expects(self, measured: Vitals) -> tuple[Expected, ...]: ...


class Room:
    def __init__(self, plan: RoomPlan, players: dict[str, _Player], radio_address: str, now: Callable[[], datetime]):
        self._plan = plan
        self._players = players
        self._now = now
        self.radio_address = radio_address

    @property
    def devices(self) -> dict[str, dict[str, str]]:
        """The [devices] tables that a daemon needs to read this room."""
        drivers = {device.name: device.simulator for device in self._plan.device}
        return {name: {"driver": drivers[name], **dict([player.place])} for name, player in self._players.items()}

    async def run(self, report: Callable[[Report], None]) -> None:
        """Measures until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number, device in enumerate(self._plan.device):
                tasks.create_task(self._use(device, number, report))

    async def _use(self, device: RoomDevice, number: int, report: Callable[[Report], None]) -> None:
        player = self._players[device.name]
        patient = _patient(self._plan.seed, number, self._now)
        await asyncio.sleep(device.first_s)
        while True:
            again = asyncio.create_task(asyncio.sleep(device.every_s))
            measured = next(patient)
            expected = player.expects(measured)
            report(Report(device.name, "measuring", expected))
            try:
                await player.play(measured)
            except HungUp:
                report(Report(device.name, "aborted", expected))
            except asyncio.CancelledError:
                again.cancel()
                report(Report(device.name, "aborted", expected))
                raise
            else:
                report(Report(device.name, "measured", expected))
            await again


def load_plan(path: Path) -> RoomPlan:
    """Raises OSError, ValueError."""
    return RoomPlan.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))


@asynccontextmanager
async def open_room(plan: RoomPlan, *, now: Callable[[], datetime] = datetime.now) -> AsyncIterator[Room]:
    """The devices on their links. Raises KeyError for a simulator that is not installed."""
    async with AsyncExitStack() as stack:
        simulators = {device.name: _simulator(device) for device in plan.device}
        players: dict[str, _Player] = {}
        ether: Any = None
        if any(isinstance(simulator, GattSimulator) for simulator in simulators.values()):
            from .radio import Ether

            ether = await stack.enter_async_context(Ether())
        for name, simulator in simulators.items():
            if isinstance(simulator, GattSimulator):
                players[name] = await _GattPlayer.host(ether, simulator)
            else:
                players[name] = await stack.enter_async_context(_SerialPlayer.host(simulator))
        yield Room(plan, players, await ether.serve_tcp() if ether else "", now)


def _simulator(device: RoomDevice) -> SerialSimulator | GattSimulator:
    there = links(registry.simulator(device.simulator))
    wanted = GattSimulator if device.link == "bluetooth" else SerialSimulator
    return next((simulator for simulator in there if isinstance(simulator, wanted)), there[0])


class _GattPlayer:
    """Wakes the peripheral for one connection at a time."""

    def __init__(self, simulator: GattSimulator, peripheral: Any) -> None:
        self._simulator = simulator
        self._peripheral = peripheral
        self.place = ("address", peripheral.address)

    @classmethod
    async def host(cls, ether: Any, simulator: GattSimulator) -> _GattPlayer:
        first = next(iter(simulator.scenarios.values()))
        return cls(simulator, await ether.add(simulator, first, awake=False))

    def expects(self, measured: Vitals) -> tuple[Expected, ...]:
        return self._scenario(measured).expected

    async def play(self, measured: Vitals) -> None:
        plays = self._peripheral.plays
        self._peripheral.wake(self._scenario(measured))
        await self._peripheral.played(plays + 1)

    def _scenario(self, measured: Vitals) -> GattScenario:
        assert self._simulator.measure is not None
        return self._simulator.measure(measured)


class _SerialPlayer:
    """One line that stays open; measurements are played on it between rests."""

    def __init__(self, simulator: SerialSimulator) -> None:
        self._simulator = simulator
        self._wanted: asyncio.Queue[tuple[SerialScenario, asyncio.Future[None]]] = asyncio.Queue()
        self.place = ("port", "")

    @classmethod
    @asynccontextmanager
    async def host(cls, simulator: SerialSimulator) -> AsyncIterator[_SerialPlayer]:
        player = cls(simulator)
        line = SerialScenario(title=f"{simulator.id} in its room", run=player._run)
        async with serve_tcp(line, pause=real_time(), end=End.STAY) as host:
            player.place = ("port", host.port)
            yield player

    def expects(self, measured: Vitals) -> tuple[Expected, ...]:
        return self._scenario(measured).expected

    async def play(self, measured: Vitals) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._wanted.put((self._scenario(measured), done))
        await done

    async def _run(self, port: SerialPort) -> None:
        rest = self._simulator.rest
        while True:
            if rest and self._wanted.empty():
                await rest.run(port)
                continue
            scenario, done = await self._wanted.get()
            if done.cancelled():
                continue
            try:
                await scenario.run(port)
            except Exception as error:
                _settle(done, error)
                raise
            _settle(done, None)

    def _scenario(self, measured: Vitals) -> SerialScenario:
        assert self._simulator.measure is not None
        return self._simulator.measure(measured)


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    """Unless whoever waited has gone."""
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def _patient(seed: int, number: int, now: Callable[[], datetime]) -> Iterator[Vitals]:
    """The same patients for every device of the room, each at its own present time."""
    from dataclasses import replace

    for measured in vitals(seed, now(), timedelta(0)):
        yield replace(measured, local_time=now().replace(microsecond=0))
