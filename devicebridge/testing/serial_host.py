"""Puts a simulated serial device at the end of a real line: a TCP port (socket://, everywhere) or a pseudo-terminal.

    async with serve_tcp(scenario) as host:
        ... open host.port ...

Each connection plays the scenario from its start. When the scenario ends the device hangs up, or stays and is silent,
or plays again. `faults` stand between the device and the wire, the first nearest to the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from ..sdk.simulation import SerialPort, SerialScenario

Pause = Callable[[float], Awaitable[None]]
Fault = Callable[[SerialPort], SerialPort]

READ_BYTES = 4_096


class End(StrEnum):
    """What the device does when it has no more to say."""

    HANG_UP = "hang-up"
    STAY = "stay"
    REPEAT = "repeat"


class HungUp(Exception):
    """The other side, or a fault, has ended the connection."""


async def instant(seconds: float) -> None:
    """A pace for tests: no pause lasts; others may run."""
    await asyncio.sleep(0)


def real_time(factor: float = 1.0) -> Pause:
    """The device's own pace, or `factor` times as fast."""

    async def pause(seconds: float) -> None:
        await asyncio.sleep(seconds / factor)

    return pause


@dataclass(slots=True)
class HostStats:
    connections: int = 0
    plays: int = 0
    """Scenarios that were played to their end."""
    bytes_sent: int = 0
    bytes_received: int = 0


@dataclass(slots=True)
class SerialHost:
    """A device that is being served. port: what to write in a device's configuration."""

    port: str
    stats: HostStats = field(default_factory=HostStats)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def played(self, times: int = 1) -> None:
        """Waits until the scenario has ended so often."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.stats.plays >= times)

    async def connected(self, times: int = 1) -> None:
        """Waits until the port has been opened so often."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.stats.connections >= times)

    async def _count(self, *, connections: int = 0, plays: int = 0) -> None:
        async with self._changed:
            self.stats.connections += connections
            self.stats.plays += plays
            self._changed.notify_all()

    async def play(self, scenario: SerialScenario, port: SerialPort, end: End) -> None:
        """One connection, from the device's side, until it is over."""
        await self._count(connections=1)
        try:
            while True:
                await scenario.run(port)
                await self._count(plays=1)
                if end is not End.REPEAT:
                    break
                await port.pause(1.0)
            while end is End.STAY:
                await port.read()
        except HungUp:
            pass


@asynccontextmanager
async def serve_tcp(
    scenario: SerialScenario,
    *,
    pause: Pause = instant,
    end: End = End.HANG_UP,
    faults: Sequence[Fault] = (),
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[SerialHost]:
    """Port 0 takes any free one."""
    served = SerialHost("")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = with_faults(_TcpLine(reader, writer, pause, served.stats), faults)
        try:
            await served.play(scenario, line, end)
        finally:
            await _close(writer)

    connections = _Connections(serve)
    server = await asyncio.start_server(connections.start, host, port)
    served.port = f"socket://{host}:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.close()
        await connections.stop()


def serve_pty(
    scenario: SerialScenario,
    *,
    pause: Pause = instant,
    end: End = End.STAY,
    faults: Sequence[Fault] = (),
) -> AbstractAsyncContextManager[SerialHost]:
    """On a pseudo-terminal behind a path of its own, fresh for each connection. NotImplementedError on Windows."""
    if sys.platform == "win32":
        raise NotImplementedError("Windows has no pseudo-terminals; use serve_tcp")
    from .pty_host import serve

    return serve(scenario, pause, end, faults)


class _Connections:
    """The connections of one server, so that they end with it and their errors are not lost."""

    def __init__(self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self._serve = serve
        self._tasks: set[asyncio.Future[None]] = set()

    def start(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.ensure_future(self._serve(reader, writer)))

    async def stop(self) -> None:
        await stop(self._tasks)


class _TcpLine:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: Pause, stats: HostStats
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._stats = stats
        self._pause = pause

    async def read(self) -> bytes:
        try:
            data = await self._reader.read(READ_BYTES)
        except OSError:
            raise HungUp from None
        if not data:
            raise HungUp
        self._stats.bytes_received += len(data)
        return data

    async def write(self, data: bytes, /) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            raise HungUp from None
        self._stats.bytes_sent += len(data)

    async def pause(self, seconds: float, /) -> None:
        if self._reader.at_eof() or self._writer.is_closing():
            raise HungUp
        await self._pause(seconds)


async def stop(tasks: Collection[asyncio.Future[None]]) -> None:
    """Cancels them and waits; raises the first error that one of them ended with."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


def with_faults(port: SerialPort, faults: Sequence[Fault]) -> SerialPort:
    """The device's port as it looks through the faults; the first is nearest to the wire."""
    for fault in faults:
        port = fault(port)
    return port


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
