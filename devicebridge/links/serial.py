"""The serial link: pyserial behind a ByteLink. One thread opens a port and writes to it, another reads it.

Bytes wait in a bounded inbox; while it is full the port is not read. A port that is lost, or cannot be opened, gives
LinkLost with its reason. A call of the operating system that never returns is left behind in its daemon thread and
counted; too many of those raise StuckPorts, and only a new process helps.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress

import serial

from ..clock import Clock
from ..sdk.driver import SerialSpec
from ..sdk.links import LinkLost, Loss
from . import StuckPorts
from .serial_open import CHUNK_BYTES, READ_WAKE_S, WRITE_TIMEOUT_S, Port, loss_at_open, open_port
from .serial_ports import Attached, PortError, attached_ports, check_port, resolve

INBOX_BYTES = 65_536  # over five seconds of a 115,200 baud line, so that a busy moment costs nothing
OPEN_TIMEOUT_S = 10.0  # a Bluetooth serial port may take seconds to come up
CLOSE_TIMEOUT_S = 2.0  # closing takes milliseconds, or, on a dead USB port, for ever
STALE_S = 30.0  # bytes left lying for longer would become a reading with the wrong time
MAX_ABANDONED = 4  # threads stuck in the operating system before the process has to be replaced

PortFactory = Callable[[str, SerialSpec, int], Port]
_Job = tuple[Future[None], Callable[[], None]]


class Abandoned:
    """The threads that are stuck in a call of the operating system. One for the whole process."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    @property
    def count(self) -> int:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        return len(self._threads)

    def add(self, thread: threading.Thread) -> None:
        self._threads.append(thread)

    def check(self) -> None:
        """Raises StuckPorts when no further thread may be risked."""
        if self.count >= MAX_ABANDONED:
            raise StuckPorts(f"{MAX_ABANDONED} serial ports no longer answer the operating system")


class SerialOpener:
    """Opens the serial port of one configured device, as often as it is asked.

    port: an address as `serial_ports` has them; PortError is raised for any other.
    baud: in place of the driver's. abandoned: give all openers of the process the same one.
    """

    def __init__(
        self,
        port: str,
        spec: SerialSpec,
        *,
        baud: int | None,
        clock: Clock,
        abandoned: Abandoned | None = None,
        attached: Attached = attached_ports,
        factory: PortFactory = open_port,
        close_timeout_s: float = CLOSE_TIMEOUT_S,
    ) -> None:
        check_port(port, attached)
        self._port = port
        self._spec = spec
        self._baud = baud or spec.baud
        self._clock = clock
        self._abandoned = abandoned or Abandoned()
        self._attached = attached
        self._factory = factory
        self._close_timeout_s = close_timeout_s

    async def ready(self) -> None:
        """There is nothing to wait for: a port is there, or `open` says why not."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SerialLink]:
        """Raises LinkLost at once where the port is away, busy, denied or not to be told from another; StuckPorts."""
        self._abandoned.check()
        link = SerialLink(self._open_port, self._clock)
        try:
            await link.start()
            yield link
        finally:
            await link.aclose(self._close_timeout_s, self._abandoned)

    def _open_port(self) -> Port:
        try:
            target = resolve(self._port, self._attached)
        except PortError:  # a USB adapter has taken the name of what was a built-in port
            raise LinkLost(Loss.AMBIGUOUS) from None
        try:
            return self._factory(target, self._spec, self._baud)
        except Exception as error:  # pyserial lets termios.error, ValueError and others through
            raise LinkLost(loss_at_open(error)) from error


class SerialLink:
    """A ByteLink over a serial port. Made by SerialOpener.

    After a loss what had arrived before it can still be read; then every call raises LinkLost at once.
    """

    def __init__(self, open_port: Callable[[], Port], clock: Clock) -> None:
        self._loop = asyncio.get_running_loop()
        self._open_port = open_port
        self._lost: Loss | None = None
        self._inbox = _Inbox(clock)
        self._arrived = asyncio.Event()
        self._stop = threading.Event()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._ended: Future[None] = Future()
        self._ended.set_running_or_notify_cancel()  # so that giving up the wait does not cancel it
        self._thread = threading.Thread(target=self._work, name="serial", daemon=True)
        self._port: Port | None = None

    async def start(self) -> None:
        self._thread.start()
        await self._do(self._open, OPEN_TIMEOUT_S)

    async def read(self) -> bytes:
        await asyncio.sleep(0)  # a session fed without a pause must not keep the others from running
        while True:
            self._arrived.clear()
            data, waited_s = self._inbox.take()
            if data and waited_s > STALE_S:
                self._lose(Loss.FLOODED)
            elif data:
                return data
            if self._lost:
                raise LinkLost(self._lost)
            await self._arrived.wait()

    async def write(self, data: bytes, /) -> None:
        if self._lost:
            raise LinkLost(self._lost)
        await self._do(lambda: self._write(data), WRITE_TIMEOUT_S + 1)

    async def aclose(self, timeout_s: float, abandoned: Abandoned) -> None:
        """Waits for the port to be closed, but not for ever: then its thread is left to `abandoned`."""
        self._lose(self._lost or Loss.UNPLUGGED)
        self._stop.set()
        self._jobs.put(None)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await asyncio.wrap_future(self._ended)
        finally:
            if not self._ended.done():
                abandoned.add(self._thread)

    async def _do(self, job: Callable[[], None], timeout_s: float) -> None:
        done: Future[None] = Future()
        self._jobs.put((done, job))
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.wrap_future(done)
        except TimeoutError:
            self._lose(Loss.TIMEOUT)
            raise LinkLost(Loss.TIMEOUT) from None
        except LinkLost as lost:
            self._lose(lost.reason)
            raise

    def _lose(self, reason: Loss) -> None:
        self._lost = self._lost or reason
        self._arrived.set()

    # What follows runs in threads.

    def _work(self) -> None:
        try:
            while job := self._jobs.get():
                _run(*job)
            if self._port is not None:
                self._reader.join()
                with suppress(OSError):
                    self._port.close()
        finally:
            self._ended.set_result(None)

    def _open(self) -> None:
        self._port = self._open_port()
        self._reader = threading.Thread(target=self._read, args=(self._port,), name="serial-read", daemon=True)
        self._reader.start()

    def _write(self, data: bytes) -> None:
        if self._port is None or self._stop.is_set():
            raise LinkLost(Loss.UNPLUGGED)
        try:
            self._port.write(data)
        except serial.SerialTimeoutException:
            raise LinkLost(Loss.TIMEOUT) from None
        except OSError:
            raise LinkLost(Loss.UNPLUGGED) from None

    def _read(self, port: Port) -> None:
        reason = Loss.FAILED
        try:
            while not self._stop.is_set():
                data = port.read(max(1, min(port.in_waiting, CHUNK_BYTES)))
                if data and self._inbox.put(data, self._stop):
                    self._post(self._arrived.set)
        except OSError:
            reason = Loss.UNPLUGGED
        finally:
            self._post(lambda: self._lose(reason))

    def _post(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop was closed while this thread was stuck
            self._loop.call_soon_threadsafe(call)


class _Inbox:
    """What was read from the port and not yet by the session: the one thing both threads touch."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._room = threading.Condition()
        self._bytes = bytearray()
        self._since_s = 0.0

    def put(self, data: bytes, stop: threading.Event) -> bool:
        """Waits for room. True where the inbox had been empty."""
        with self._room:
            while len(self._bytes) >= INBOX_BYTES and not stop.is_set():
                self._room.wait(READ_WAKE_S)
            was_empty = not self._bytes
            if was_empty:
                self._since_s = self._clock.monotonic_s()
            self._bytes += data
            return was_empty

    def take(self) -> tuple[bytes, float]:
        """All there is, and how many seconds its first byte has waited."""
        with self._room:
            data = bytes(self._bytes)
            self._bytes.clear()
            self._room.notify()
            return data, self._clock.monotonic_s() - self._since_s


def _run(done: Future[None], job: Callable[[], None]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        job()
    except BaseException as error:  # noqa: BLE001 - handed over to whoever waits
        done.set_exception(error)
    else:
        done.set_result(None)
