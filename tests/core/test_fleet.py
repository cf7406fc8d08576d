"""Devices that are changed while they run: what is being saved is never cut, and a port has one user at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from devicebridge.clock import SystemClock
from devicebridge.config import LogConfig
from devicebridge.fleet import LEAVE_LIMIT_S, LEAVE_QUIET_S, Fleet
from devicebridge.health import DeviceHealth
from devicebridge.intake import Intake, Source
from devicebridge.links import StuckPorts
from devicebridge.logs import configure
from devicebridge.outbox import Outbox
from devicebridge.sdk import (
    ByteLink,
    DeviceClockKind,
    Driver,
    Kind,
    Manifest,
    Name,
    Observation,
    Options,
    Outlet,
    Rhythm,
    SerialSpec,
    Unit,
    Value,
)
from devicebridge.supervise import Device, Supervisor
from support.clock import QuickClock
from support.waiting import until

SOURCE = Source("s", "r", "scale", "scale", "usb:0000:0000", link_identity_is_device=False, simulated=False)
SPEED = 20


class Line:
    """A port that counts its users, and whose device says what the test wants."""

    def __init__(self) -> None:
        self.users = 0
        self.most_users = 0
        self.opened = 0
        self._said: asyncio.Queue[bytes] = asyncio.Queue()

    def say(self, data: bytes) -> None:
        self._said.put_nowait(data)

    async def ready(self) -> None: ...

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteLink]:
        self.users += 1
        self.opened += 1
        self.most_users = max(self.users, self.most_users)
        try:
            yield self
        finally:
            self.users -= 1

    async def read(self) -> bytes:
        return await self._said.get()

    async def write(self, data: bytes, /) -> None: ...


class Stuck(Line):
    async def ready(self) -> None:
        raise StuckPorts("all ports are stuck")


async def weighings(link: ByteLink, outlet: Outlet, _options: Options) -> None:
    while True:
        for number in await link.read():
            values = (Value(Name.WEIGHT, Unit.KG, Decimal(number)),)
            await outlet.emit(Observation(kind=Kind.WEIGHT, values=values, raw=bytes([number]), record=str(number)))


def device(line: Any) -> Device:
    manifest = Manifest(
        id="scale",
        title="A scale",
        kinds=frozenset({Kind.WEIGHT}),
        models=(),
        links=(SerialSpec(baud=9600),),
        clock=DeviceClockKind.NONE,
        rhythm=Rhythm(),
    )
    driver = Driver(manifest=manifest, options=Options, session=weighings, codec=lambda *_: None)  # type: ignore[arg-type, return-value]
    return Device(
        name="scale",
        driver=driver,
        options=Options(),
        opener=line,
        intake=lambda: Intake(SOURCE, ZoneInfo("UTC"), SystemClock()),
        over_gatt=False,
    )


class Rig:
    def __init__(self, folder: Path) -> None:
        self.clock = QuickClock(SPEED)
        self.outbox = Outbox(
            folder / "outbox.db", max_bytes=64 << 20, reserve_bytes=1 << 20, keep_s=60, clock=SystemClock()
        )
        self._log = configure(LogConfig(file=folder / "log"))
        self.fleet = Fleet(self._make, self.clock)

    def _make(self, device: Device, health: DeviceHealth) -> Supervisor:
        rng = random.Random(1)
        return Supervisor(device, self.outbox, health, clock=self.clock, rng=rng, log=self._log, changed=lambda: None)


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Rig], Coroutine[Any, Any, None]]], None]:
    async def main(scenario: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
        rig = Rig(tmp_path)
        await rig.outbox.open()
        try:
            await scenario(rig)
        finally:
            await rig.fleet.end(1)
            await rig.outbox.close()

    return lambda scenario: asyncio.run(main(scenario))


def test_f42_a_session_that_saves_is_never_cut(run: Callable[[Any], None]) -> None:
    async def scenario(rig: Rig) -> None:
        line = Line()
        rig.fleet.start([device(line)])
        await until(lambda: line.users)
        leaving = rig.fleet.supervisors["scale"]
        await rig.outbox.close()  # the plainest way in which it cannot save
        line.say(b"\x50")
        await until(lambda: leaving.is_saving)
        rig.fleet.stop(["scale"])
        rig.fleet.start([device(line)])
        start_s = rig.clock.monotonic_s()
        await until(lambda: rig.clock.monotonic_s() > start_s + 3 * LEAVE_LIMIT_S)
        assert leaving.is_saving
        assert (line.users, line.opened) == (1, 1)
        await rig.outbox.open()
        await until(lambda: line.opened == 2)
        assert line.most_users == 1
        assert [row.state.name for row in await rig.outbox.rows(limit=10)] == ["PENDING"]

    run(scenario)


def test_a_device_in_the_middle_of_its_words_is_heard_out(run: Callable[[Any], None]) -> None:
    async def scenario(rig: Rig) -> None:
        line = Line()
        rig.fleet.start([device(line)])
        line.say(b"\x50")
        await until(lambda: rig.fleet.healths["scale"].last_bytes_at)
        heard_s = rig.clock.monotonic_s()
        rig.fleet.stop(["scale"])
        assert "scale" not in rig.fleet.healths
        line.say(b"\x51")
        await until(lambda: not line.users)
        assert rig.clock.monotonic_s() - heard_s >= LEAVE_QUIET_S * 0.9
        assert len(await rig.outbox.rows(limit=10)) == 2

    run(scenario)


def test_one_that_never_stops_talking_is_cut_in_the_end(run: Callable[[Any], None]) -> None:
    async def scenario(rig: Rig) -> None:
        line = Line()
        rig.fleet.start([device(line)])
        await until(lambda: line.users)
        rig.fleet.stop(["scale"])
        start_s = rig.clock.monotonic_s()
        while line.users:
            line.say(b"\x50")
            await asyncio.sleep(0.002)
            assert rig.clock.monotonic_s() - start_s < 3 * LEAVE_LIMIT_S

    run(scenario)


def test_a_device_that_was_never_heard_leaves_at_once_and_others_do_not_notice(run: Callable[[Any], None]) -> None:
    async def scenario(rig: Rig) -> None:
        line = Line()
        rig.fleet.start([device(line)])
        await until(lambda: line.users)
        start_s = rig.clock.monotonic_s()
        rig.fleet.stop(["scale"])
        await until(lambda: not line.users)
        assert rig.clock.monotonic_s() - start_s < LEAVE_QUIET_S

    run(scenario)


def test_f06_what_no_supervisor_can_contain_ends_the_fleet(run: Callable[[Any], None]) -> None:
    async def scenario(rig: Rig) -> None:
        rig.fleet.start([device(Stuck())])
        with pytest.raises(StuckPorts):
            await rig.fleet.run()

    run(scenario)
