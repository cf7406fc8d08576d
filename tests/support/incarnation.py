"""The daemon's parts from a device's bytes to the broker, in this process: supervisors, outbox and publisher are real,
the clock is the test's, and a kill leaves nothing but the files as they were at that instant.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from devicebridge.config import BrokerConfig, LogConfig
from devicebridge.health import DeviceHealth
from devicebridge.intake import Intake, Source
from devicebridge.logs import configure
from devicebridge.outbox import Outbox
from devicebridge.publisher import Publisher, client_id
from devicebridge.sdk import (
    ByteLink,
    DeviceClockKind,
    Driver,
    Kind,
    LinkLost,
    Loss,
    Manifest,
    Name,
    Noise,
    Observation,
    Options,
    Outlet,
    Rhythm,
    SerialSpec,
    Unit,
    Value,
    Why,
)
from devicebridge.supervise import Device, Supervisor

from .clock import START, Longest, ManualClock

FIRST = datetime(2026, 1, 1)
LINE_BYTES_MAX = 64
OUTBOX_BYTES, RESERVE_BYTES = 160 << 10, 64 << 10
"""A disk that some dozen readings fill."""
KEEP_S = 60.0
_LINE = re.compile(rb"(\d{1,9});(\d{2,3}\.\d)\r\n")


class JumpingClock(ManualClock):
    """Its wall clock can be set; monotonic time is left alone."""

    ahead_s = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.monotonic_s() + self.ahead_s)


class Wire:
    """A ByteLink whose other end is a SimScale."""

    def __init__(self, scale: SimScale) -> None:
        self._scale = scale
        self._pieces: deque[bytes | None] = deque()
        self._arrived = asyncio.Event()

    def send(self, piece: bytes | None) -> None:
        """None: the cable is pulled."""
        self._pieces.append(piece)
        self._arrived.set()

    async def read(self) -> bytes:
        while not self._pieces:
            self._arrived.clear()
            await self._arrived.wait()
        if self._pieces[0] is None:
            raise LinkLost(Loss.UNPLUGGED)
        return self._pieces.popleft() or b""

    async def write(self, data: bytes, /) -> None:
        if self._scale.wire is not self:
            raise LinkLost(Loss.UNPLUGGED)
        self._scale.hear(data)


class SimScale:
    """Says its oldest weighing until that is acknowledged, then forgets it. A weighing's number is its time, too."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.measured: dict[int, Decimal] = {}
        self.acknowledged: list[int] = []
        self.is_there = True
        self.wire: Wire | None = None

    @property
    def owed(self) -> list[int]:
        return list(self.measured)[len(self.acknowledged) :]

    def measure(self, weight: Decimal) -> None:
        self.measured[len(self.measured) + 1] = weight
        if len(self.owed) == 1:
            self.speak()

    def speak(self, cut_after: int | None = None) -> None:
        if self.wire is None or not self.owed:
            return
        number = self.owed[0]
        line = b"%d;%s\r\n" % (number, str(self.measured[number]).encode())
        self.wire.send(line[:cut_after])

    def hear(self, data: bytes) -> None:
        assert self.owed and data == b"ACK %d\r\n" % self.owed[0], "acknowledged is what was sent, once"
        self.acknowledged.append(self.owed[0])
        self.speak()

    def unplug(self) -> None:
        if self.wire is not None:
            self.wire.send(None)
        self.wire = None

    # An Opener.

    async def ready(self) -> None:
        pass

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteLink]:
        if not self.is_there:
            raise LinkLost(Loss.NOT_FOUND)
        self.wire = wire = Wire(self)
        self.speak()
        try:
            yield wire
        finally:
            if self.wire is wire:
                self.wire = None


async def _session(link: ByteLink, outlet: Outlet, options: Options) -> None:
    """Weight and, in the same act, height; acknowledged when stored."""
    heard = b""
    while True:
        heard += await link.read()
        while (end := heard.find(b"\n") + 1) or len(heard) > LINE_BYTES_MAX:
            line, heard = heard[: end or None], heard[end or len(heard) :]
            if found := _LINE.fullmatch(line):
                await outlet.emit(*_weighing(int(found[1]), Decimal(found[2].decode()), line))
                await link.write(b"ACK %d\r\n" % int(found[1]))
            else:
                outlet.note(Noise(line, Why.UNSYNCHRONISED))


def _weighing(number: int, weight: Decimal, raw: bytes) -> tuple[Observation, ...]:
    values = ((Kind.WEIGHT, Name.WEIGHT, Unit.KG, weight), (Kind.HEIGHT, Name.HEIGHT, Unit.CENTIMETRE, Decimal(170)))
    return tuple(
        Observation(
            kind=kind, values=(Value(name, unit, value),), device_time=FIRST + timedelta(minutes=number), raw=raw
        )
        for kind, name, unit, value in values
    )


DRIVER = Driver(
    manifest=Manifest(
        id="sim-scale",
        title="A scale of this test",
        kinds=frozenset({Kind.WEIGHT, Kind.HEIGHT}),
        models=(),
        links=(SerialSpec(baud=9600),),
        clock=DeviceClockKind.STAMPS,
        rhythm=Rhythm(),
        has_memory=True,
    ),
    options=Options,
    session=_session,
    codec=lambda *_: None,  # type: ignore[arg-type]
)


class Incarnation:
    """One run of the daemon over `folder`."""

    def __init__(
        self,
        folder: Path,
        scales: list[SimScale],
        port: int,
        clock: JumpingClock,
        driver: Driver[Options] = DRIVER,
    ) -> None:
        """port: the broker's, on loopback."""
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._scales = scales
        self._port = port
        self._driver = driver
        self._clock = clock
        self.healths = {scale.name: DeviceHealth(scale.name, "sim-scale", clock) for scale in scales}
        self.outbox = Outbox(
            folder / "outbox.db", max_bytes=OUTBOX_BYTES, reserve_bytes=RESERVE_BYTES, keep_s=KEEP_S, clock=clock
        )

    async def start(self) -> None:
        await self.outbox.open()
        config = BrokerConfig(addresses=(f"127.0.0.1:{self._port}",))
        self.publisher = Publisher(
            config,
            self.outbox,
            client_id=client_id(self.outbox.instance_id),
            will_topic="devicebridge/v1/s/r/status",
            will_payload=b"{}",
            clock=self._clock,
            rng=Longest(),
            on_change=lambda: None,
        )
        self._sending = asyncio.create_task(self.publisher.run())
        self._running = [asyncio.create_task(self._supervisor(scale).run()) for scale in self._scales]

    def _supervisor(self, scale: SimScale) -> Supervisor:
        source = Source("s", "r", scale.name, "sim-scale", scale.name, link_identity_is_device=True, simulated=True)
        device = Device(
            name=scale.name,
            driver=self._driver,
            options=Options(),
            opener=scale,
            intake=lambda: Intake(source, ZoneInfo("UTC"), self._clock),
            over_gatt=False,
        )
        return Supervisor(
            device,
            self.outbox,
            self.healths[scale.name],
            clock=self._clock,
            rng=Longest(),
            log=configure(LogConfig(file=self.folder / "log")),
            changed=lambda: None,
        )

    async def stop(self) -> None:
        """Devices first, then the answers under way, as the daemon does."""
        await self._ended(self._running)
        await self._ended([self._sending])
        await self.outbox.close()

    async def kill(self, successor: Path) -> None:
        """`successor` gets the files as they are now. The broker must not listen to what this one has still to say."""
        await self.outbox.recall("nobody", "barrier")  # nothing is half-way through the writer
        shutil.copytree(self.folder, successor, ignore=shutil.ignore_patterns("*.lock", "*-shm", "log*"))
        await self.stop()

    async def _ended(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        while not all(task.done() for task in tasks):
            await asyncio.wait(tasks, timeout=0.005)
            self._clock.advance(0.5)
