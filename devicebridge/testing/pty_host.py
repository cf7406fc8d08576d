"""Serves a simulated serial device on pseudo-terminals (POSIX). Use it through `serial_host.serve_pty`.

The port is a symbolic link to a pseudo-terminal, which is replaced after each connection: a fresh one takes parity
settings that a used one refuses, and closing the old one is what pulling the cable looks like to its reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import select
import struct
import tempfile
import termios
import tty
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from ..sdk.simulation import SerialScenario
from .serial_host import READ_BYTES, End, Fault, HostStats, HungUp, Pause, SerialHost, stop, with_faults

T = TypeVar("T")

POLL_S = 0.005
FLUSH_WAIT_S = 0.5  # pyserial empties the port right after opening it; other programs never do
DRAIN_WAIT_S = 2.0  # for the reader to take what was sent, before it is lost with the terminal
QUIET_POLLS = 10  # without anything to take: the kernel hands bytes over a little later than it accepts them


@asynccontextmanager
async def serve(scenario: SerialScenario, pause: Pause, end: End, faults: Sequence[Fault]) -> AsyncIterator[SerialHost]:
    with tempfile.TemporaryDirectory(prefix="devicebridge-") as folder:
        host = SerialHost(str(Path(folder) / "port"))
        terminal = _Terminal(Path(host.port))
        task = asyncio.create_task(_serve(host, terminal, scenario, pause, end, faults))
        try:
            yield host
        finally:
            await stop([task])


async def _serve(
    host: SerialHost,
    terminal: _Terminal,
    scenario: SerialScenario,
    pause: Pause,
    end: End,
    faults: Sequence[Fault],
) -> None:
    while True:
        try:
            await terminal.opened()
            await host.play(scenario, with_faults(_PtyLine(terminal, pause, host.stats), faults), end)
            await terminal.drained()
        except BaseException:
            terminal.close()
            raise
        used, terminal = terminal, _Terminal(Path(host.port))
        used.close()


class _Terminal:
    """A pseudo-terminal in packet mode (a control byte before what is read), linked from `path`."""

    def __init__(self, path: Path) -> None:
        self.master, slave = pty.openpty()
        self._name = os.ttyname(slave)
        tty.setraw(slave)
        os.close(slave)  # from here on the master tells by POLLHUP whether somebody has the port open
        os.set_blocking(self.master, False)
        fcntl.ioctl(self.master, termios.TIOCPKT, struct.pack("i", 1))
        self._poll = select.poll()
        self._poll.register(self.master, select.POLLIN)
        _link(path, self._name)

    @property
    def is_open(self) -> bool:
        return not any(event & select.POLLHUP for _, event in self._poll.poll(0))

    async def opened(self) -> None:
        """Waits until somebody has opened the port, and emptied it."""
        await _until(lambda: self.is_open)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_WAIT_S):
                await _until(self._was_flushed)

    async def drained(self) -> None:
        """Waits until the reader has taken everything."""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(DRAIN_WAIT_S):
                slave = os.open(self._name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
                try:
                    quiet = 0
                    while quiet < QUIET_POLLS:
                        quiet = 0 if _waiting(slave) else quiet + 1
                        await asyncio.sleep(POLL_S)
                finally:
                    os.close(slave)

    def close(self) -> None:
        os.close(self.master)

    def _was_flushed(self) -> bool:
        try:
            return bool(os.read(self.master, READ_BYTES)[0] & termios.TIOCPKT_FLUSHREAD)
        except BlockingIOError:
            return False
        except OSError:  # closed again already
            return True


class _PtyLine:
    def __init__(self, terminal: _Terminal, pause: Pause, stats: HostStats) -> None:
        self._terminal = terminal
        self._pause = pause
        self._stats = stats

    async def read(self) -> bytes:
        while True:
            packet = self._try(lambda: os.read(self._terminal.master, READ_BYTES))
            if packet is None:
                await asyncio.sleep(POLL_S)
            elif data := packet[1:]:
                self._stats.bytes_received += len(data)
                return data

    async def write(self, data: bytes, /) -> None:
        rest = memoryview(data)
        while rest:
            sent = self._try(lambda: os.write(self._terminal.master, rest))  # noqa: B023 - called at once
            if sent is None:
                await asyncio.sleep(POLL_S)
            else:
                self._stats.bytes_sent += sent
                rest = rest[sent:]

    async def pause(self, seconds: float, /) -> None:
        if not self._terminal.is_open:
            raise HungUp
        await self._pause(seconds)

    def _try(self, call: Callable[[], T]) -> T | None:
        """None where the terminal has nothing to give or no room; HungUp where its other end was closed."""
        if not self._terminal.is_open:
            raise HungUp
        try:
            return call()
        except BlockingIOError:
            return None
        except OSError:
            raise HungUp from None


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the kernel has no event for it
        await asyncio.sleep(POLL_S)


def _link(path: Path, target: str) -> None:
    """Points `path` at `target`, without an instant in which it is not there."""
    new = path.with_suffix(".new")
    new.symlink_to(target)
    new.replace(path)


def _waiting(fd: int) -> int:
    count: int = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]
    return count
