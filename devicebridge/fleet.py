"""The devices that run. One is started, changed or stopped while the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from .clock import Clock
from .health import DeviceHealth, DeviceState
from .supervise import Device, Supervisor

LEAVE_POLL_S = 0.05
LEAVE_QUIET_S = 1.0
"""A device that leaves has been silent for so long: what it was in the middle of saying has arrived."""
LEAVE_LIMIT_S = 5.0
"""One that speaks all the time is cut after so long; but never while it saves, however long that takes."""


class Fleet:
    """make: the supervisor of a device."""

    def __init__(self, make: Callable[[Device, DeviceHealth], Supervisor], clock: Clock) -> None:
        self._make = make
        self._clock = clock
        self._devices: dict[str, Device] = {}
        self._supervisors: dict[str, Supervisor] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._failures: asyncio.Queue[BaseException] = asyncio.Queue()
        self.healths: dict[str, DeviceHealth] = {}
        self.devices: Mapping[str, Device] = MappingProxyType(self._devices)
        self.supervisors: Mapping[str, Supervisor] = MappingProxyType(self._supervisors)

    async def run(self) -> None:
        """For ever; raises what no supervisor could contain."""
        raise await self._failures.get()

    def start(self, devices: Iterable[Device]) -> None:
        """Begins when those that are leaving have left: they may hold the same port."""
        before = tuple(self._leaving)
        for device in devices:
            manifest = device.driver.manifest
            health = DeviceHealth(
                device.name,
                manifest.id,
                self._clock,
                silence_budget_s=device.silence_budget_s,
                bond_required=device.over_gatt and manifest.gatt is not None and manifest.gatt.bond_required,
            )
            supervisor = self._make(device, health)
            task = asyncio.create_task(_run_after(before, supervisor))
            task.add_done_callback(self._ended)
            self._devices[device.name], self.healths[device.name] = device, health
            self._supervisors[device.name], self._tasks[device.name] = supervisor, task

    def stop(self, names: Iterable[str]) -> None:
        """Returns at once."""
        for name in names:
            del self._devices[name]
            leaving = self._leave(self._supervisors.pop(name), self.healths.pop(name), self._tasks.pop(name))
            task = asyncio.create_task(leaving)
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def end(self, timeout_s: float) -> None:
        """Of all that runs, in bounded time."""
        tasks = {*self._tasks.values(), *self._leaving}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    async def _leave(self, supervisor: Supervisor, health: DeviceHealth, task: asyncio.Task[None]) -> None:
        limit_s = self._clock.monotonic_s() + LEAVE_LIMIT_S
        try:
            while not task.done() and (supervisor.is_saving or self._is_speaking(health, limit_s)):
                await self._clock.sleep(LEAVE_POLL_S)
        finally:
            task.cancel()
            await asyncio.wait({task})

    def _is_speaking(self, health: DeviceHealth, limit_s: float) -> bool:
        now_s = self._clock.monotonic_s()
        heard = health.last_bytes_at is not None and now_s - health.last_bytes_s < LEAVE_QUIET_S
        return heard and health.state is DeviceState.OK and now_s < limit_s

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.put_nowait(error)


async def _run_after(others: Iterable[asyncio.Task[None]], supervisor: Supervisor) -> None:
    if others:
        await asyncio.wait(tuple(others))
    await supervisor.run()
