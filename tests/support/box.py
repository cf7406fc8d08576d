"""The plainest device there is, a box on a TCP port that says one weight and hangs up, and its supervisor."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from devicebridge.clock import Clock, SystemClock
from devicebridge.config import LogConfig
from devicebridge.health import DeviceHealth
from devicebridge.intake import Intake, Source
from devicebridge.links.serial import SerialOpener
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
from devicebridge.sdk.codec import ValueCodec
from devicebridge.setbacks import Restraint
from devicebridge.supervise import Device, Supervisor

WEIGHTS = 50
"""Different readings; after them the outbox knows each, and the disk stays as it is."""

LINE = SerialSpec(baud=9600)
MANIFEST = Manifest(
    id="box",
    title="A box",
    kinds=frozenset({Kind.WEIGHT}),
    models=(),
    links=(LINE,),
    clock=DeviceClockKind.NONE,
    rhythm=Rhythm(idle_timeout_s=10, session_timeout_s=60),
)


class Hasty:
    """The real clock, without the pauses between two sessions."""

    def now(self) -> datetime:
        return SystemClock().now()

    def monotonic_s(self) -> float:
        return SystemClock().monotonic_s()

    async def sleep(self, seconds: float, /) -> None:
        await asyncio.sleep(0)


async def one_reading(link: ByteLink, outlet: Outlet, _options: Options) -> None:
    """Ends in every way there is, in turn: returns, raises, or waits until the device hangs up."""
    number = (await link.read())[0]
    values = (Value(Name.WEIGHT, Unit.KG, Decimal(number)),)
    await outlet.emit(Observation(kind=Kind.WEIGHT, values=values, raw=bytes([number]), record=str(number)))
    if number % 3 == 0:
        raise ZeroDivisionError
    if number % 3 == 1:
        await link.read()


@asynccontextmanager
async def box() -> AsyncIterator[str]:
    """A device on a TCP port that says one weight and hangs up."""
    said = 0

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal said
        said += 1
        writer.write(bytes([said % WEIGHTS]))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def supervisor(
    folder: Path, port: str, outbox: Outbox, health: DeviceHealth, clock: Clock, restraint: Restraint
) -> Supervisor:
    driver = Driver(manifest=MANIFEST, options=Options, session=one_reading, codec=lambda *_: ValueCodec(None))
    source = Source("s", "r", "box", "box", port, link_identity_is_device=False, simulated=True)
    return Supervisor(
        Device(
            name="box",
            driver=driver,
            options=Options(),
            opener=SerialOpener(port, LINE, baud=None, clock=SystemClock()),
            intake=lambda: Intake(source, ZoneInfo("UTC"), SystemClock()),
            over_gatt=False,
        ),
        outbox,
        health,
        clock=clock,
        rng=random.Random(54),
        log=configure(LogConfig(file=folder / "log")),
        changed=lambda: None,
        restraint=restraint,
    )
