"""The serial link over real lines: a TCP port everywhere, a pseudo-terminal where there is one."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import psutil
import pytest
import serial
from serial import rfc2217

from devicebridge.clock import SystemClock
from devicebridge.links.serial import (
    INBOX_BYTES,
    MAX_ABANDONED,
    STALE_S,
    Abandoned,
    SerialLink,
    SerialOpener,
    StuckPorts,
)
from devicebridge.links.serial_open import CHUNK_BYTES, Port, open_port
from devicebridge.links.serial_ports import AttachedPort
from devicebridge.sdk import LinkLost, Loss, Parity, SerialSpec
from devicebridge.sdk.simulation import SerialPort, SerialScenario
from devicebridge.testing.injectors import bytewise, cut_at, garbage_first, silent_at
from devicebridge.testing.serial_host import End, Fault, SerialHost, serve_pty, serve_tcp

Serve = Callable[..., AbstractAsyncContextManager[SerialHost]]

SPEC = SerialSpec(baud=9600)
MESSAGE = bytes(range(256))  # with XON, XOFF, ^C and 0xFF, which a terminal left cooked would eat
TIMEOUT_S = 20

LINES = [
    pytest.param(serve_tcp, Loss.UNPLUGGED, id="tcp"),
    pytest.param(
        serve_pty,
        Loss.UNPLUGGED,
        id="pty",
        marks=pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals"),
    ),
]
lines = pytest.mark.parametrize(("serve", "reason"), LINES)


def saying(*pieces: bytes) -> SerialScenario:
    async def run(port: SerialPort) -> None:
        for piece in pieces:
            await port.write(piece)
            await port.pause(1)

    return SerialScenario(title="says what it is told to", run=run)


async def _echo(port: SerialPort) -> None:
    while True:
        await port.write(await port.read())


ECHO = SerialScenario(title="echo", run=_echo)


def opener(host: SerialHost | str, spec: SerialSpec = SPEC, **options: object) -> SerialOpener:
    port = host if isinstance(host, str) else host.port
    return SerialOpener(port, spec, **{"baud": None, "clock": SystemClock(), **options})  # type: ignore[arg-type]


async def read_all(link: SerialLink) -> tuple[bytes, Loss]:
    got = bytearray()
    while True:
        try:
            got += await link.read()
        except LinkLost as lost:
            return bytes(got), lost.reason


async def read_exactly(link: SerialLink, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        got += await link.read()
    return bytes(got)


async def loss_of(opened: SerialOpener) -> Loss:
    try:
        async with opened.open():
            raise AssertionError("it should not open")
    except LinkLost as lost:
        return lost.reason


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await test()

    asyncio.run(timed())


@lines
@pytest.mark.parametrize("faults", [[], [bytewise()]], ids=["whole", "bytewise"])
def test_every_byte_arrives_in_order(serve: Serve, reason: Loss, faults: Sequence[Fault]) -> None:
    async def test() -> None:
        async with serve(saying(MESSAGE, MESSAGE), end=End.HANG_UP, faults=faults) as host, opener(host).open() as link:
            assert await read_all(link) == (MESSAGE * 2, reason)
            assert host.stats.bytes_sent == 512

    run(test)


@lines
def test_what_is_written_arrives_and_is_answered(serve: Serve, reason: Loss) -> None:
    async def test() -> None:
        async with serve(ECHO) as host, opener(host).open() as link:
            for _ in range(5):
                await link.write(MESSAGE)
                assert await read_exactly(link, len(MESSAGE)) == MESSAGE

    run(test)


@lines
@pytest.mark.parametrize("offset", [0, 1, 130, 255])
def test_f01_unplugged_mid_frame(serve: Serve, reason: Loss, offset: int) -> None:
    """What had arrived is given out; from then on every call says at once that the link is gone."""

    async def test() -> None:
        async with serve(saying(MESSAGE), faults=[cut_at(offset)]) as host, opener(host).open() as link:
            assert await read_all(link) == (MESSAGE[:offset], reason)
            for call in (link.read(), link.write(b"x"), link.read()):
                with pytest.raises(LinkLost) as lost:
                    await call
                assert lost.value.reason is reason

    run(test)


@lines
def test_f01_reopened_after_a_loss(serve: Serve, reason: Loss) -> None:
    async def test() -> None:
        async with serve(saying(MESSAGE), end=End.HANG_UP) as host:
            opens = opener(host)
            for times in range(1, 6):
                async with opens.open() as link:
                    assert await read_all(link) == (MESSAGE, reason)
                await host.connected(times)

    run(test)


@lines
def test_f02_garbage_is_bytes_like_any_other(serve: Serve, reason: Loss) -> None:
    garbage = b"\xff\x00" * 500

    async def test() -> None:
        async with (
            serve(saying(MESSAGE), end=End.HANG_UP, faults=[garbage_first(garbage)]) as host,
            opener(host).open() as link,
        ):
            assert await read_all(link) == (garbage + MESSAGE, reason)

    run(test)


@lines
def test_silence_is_waited_for_and_can_be_cancelled(serve: Serve, reason: Loss) -> None:
    async def test() -> None:
        async with serve(saying(MESSAGE), faults=[silent_at(10)]) as host, opener(host).open() as link:
            assert await read_exactly(link, 10) == MESSAGE[:10]
            waiting = asyncio.create_task(link.read())
            await host.connected()
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait({waiting})
            assert waiting.cancelled()

    run(test)


def endless(piece: bytes) -> SerialScenario:
    async def run_endlessly(port: SerialPort) -> None:
        while True:
            await port.write(piece)

    return SerialScenario(title="no end", run=run_endlessly)


@pytest.mark.long
def test_f03_memory_stays_flat_over_100_mb() -> None:
    async def test() -> None:
        process = psutil.Process()
        async with serve_tcp(endless(bytes(1 << 16))) as host, opener(host).open() as link:
            await read_exactly(link, 4 << 20)
            before, got = process.memory_info().rss, 0
            while got < 100 << 20:
                got += len(await link.read())
            assert process.memory_info().rss - before < 8 << 20

    asyncio.run(asyncio.wait_for(test(), 100))


@lines
def test_f03_f57_a_reader_that_is_busy_holds_the_device_back(serve: Serve, reason: Loss) -> None:
    """With nobody reading, no more than the inbox and the system's own buffers are taken in; nothing is lost."""

    async def test() -> None:
        # TCP buffers several megabytes of its own; a terminal holds some kilobytes.
        counted = [n.to_bytes(4, "big") * 256 for n in range(16_384 if serve is serve_tcp else 1_024)]
        async with serve(saying(*counted), end=End.HANG_UP) as host, opener(host).open() as link:
            sent = -1
            while host.stats.bytes_sent != sent:  # until nothing moves any more
                sent = host.stats.bytes_sent
                await asyncio.sleep(0.3)
            assert sent < 1024 * len(counted)
            first = await link.read()
            assert INBOX_BYTES <= len(first) < INBOX_BYTES + CHUNK_BYTES
            rest, lost = await read_all(link)
            assert (first + rest, lost) == (b"".join(counted), reason)

    run(test)


class _Lapse(SystemClock):
    """A monotonic clock that can be put forward. asked: something has arrived, or was taken."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self.asked = threading.Event()

    def monotonic_s(self) -> float:
        self.asked.set()
        return super().monotonic_s() + self.ahead_s


def test_bytes_that_lay_too_long_are_not_given_out() -> None:
    """A stream that was left unread would become readings with the wrong time."""

    async def test() -> None:
        clock = _Lapse()
        async with serve_tcp(saying(MESSAGE), end=End.STAY) as host, opener(host, clock=clock).open() as link:
            await until(clock.asked.is_set)
            clock.ahead_s += STALE_S + 1
            assert await read_all(link) == (b"", Loss.FLOODED)

    run(test)


def test_a_long_silence_makes_nothing_stale() -> None:
    async def test() -> None:
        clock = _Lapse()
        async with serve_tcp(ECHO) as host, opener(host, clock=clock).open() as link:
            for _ in range(2):
                await link.write(b"x")
                assert await link.read() == b"x"
                clock.ahead_s += STALE_S + 1

    run(test)


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_f05_a_port_that_is_in_use_is_busy() -> None:
    async def test() -> None:
        async with serve_pty(ECHO) as host:
            async with opener(host).open():
                assert await loss_of(opener(host)) is Loss.BUSY
            with serial.Serial(str(Path(host.port).resolve()), exclusive=True):  # another program
                assert await loss_of(opener(host)) is Loss.BUSY

    run(test)


def test_a_port_that_is_not_there_is_not_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"socket://127.0.0.1:{server.getsockname()[1]}"  # nobody listens once it is closed

    async def test() -> None:
        assert await loss_of(opener(address)) is Loss.NOT_FOUND
        assert await loss_of(opener("socket://no-such-host.invalid:4001")) is Loss.NOT_FOUND
        absent = "COM250" if sys.platform == "win32" else "/dev/ttyS250"
        assert await loss_of(opener(absent)) is Loss.NOT_FOUND
        assert await loss_of(opener("usb:0403:6001", attached=lambda: ())) is Loss.NOT_FOUND

    run(test)


def test_what_is_no_serial_port_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    async def test() -> None:
        assert await loss_of(opener(str(tmp_path / "file"))) in (Loss.FAILED, Loss.NOT_FOUND)

    run(test)


def test_f04_a_usb_adapter_in_a_built_in_ports_place_is_not_opened() -> None:
    ports: list[AttachedPort] = []

    async def test() -> None:
        opens = opener("COM3", attached=lambda: ports)
        ports.append(AttachedPort("COM3", (0x0403, 0x6001), "ONE"))
        assert await loss_of(opens) is Loss.AMBIGUOUS

    run(test)


class _StuckPort:
    """A real port whose close never returns, as on a dead USB adapter, until it is let go."""

    def __init__(self, port: Port, let_go: threading.Event) -> None:
        self._port = port
        self._let_go = let_go
        self.read = port.read
        self.write = port.write

    @property
    def in_waiting(self) -> int:
        return self._port.in_waiting

    def close(self) -> None:
        self._let_go.wait()
        self._port.close()


def test_f06_a_close_that_never_returns_is_left_behind_and_counted() -> None:
    let_go, abandoned = threading.Event(), Abandoned()

    def stuck(target: str, spec: SerialSpec, baud: int) -> Port:
        return _StuckPort(open_port(target, spec, baud), let_go)

    async def test() -> None:
        async with serve_tcp(ECHO) as host:
            opens = opener(host, abandoned=abandoned, factory=stuck, close_timeout_s=0.1)
            for count in range(1, MAX_ABANDONED + 1):
                async with opens.open() as link:
                    await link.write(b"x")
                    assert await link.read() == b"x"
                assert abandoned.count == count
            with pytest.raises(StuckPorts):
                async with opens.open():
                    raise AssertionError("it should not open")
            async with opener(host).open() as link:  # another process would have its own count
                await link.write(b"y")
                assert await link.read() == b"y"

    try:
        run(test)
    finally:
        let_go.set()
    while abandoned.count:
        threading.Event().wait(0.01)
    abandoned.check()


def test_a_connection_that_never_comes_up_can_be_given_up() -> None:
    """The thread that waits for it ends by itself, and closes what it opened."""
    may_open, closed, abandoned = threading.Event(), threading.Event(), Abandoned()

    class Late:
        in_waiting = 0

        def read(self, size: int) -> bytes:
            return b""

        def write(self, data: bytes) -> int:
            return 0

        def close(self) -> None:
            closed.set()

    def slow(target: str, spec: SerialSpec, baud: int) -> Port:
        may_open.wait()
        return Late()

    async def test() -> None:
        opening = asyncio.ensure_future(loss_of(opener("COM1", abandoned=abandoned, factory=slow, attached=lambda: ())))
        await asyncio.sleep(0.05)
        opening.cancel()
        await asyncio.sleep(0)
        may_open.set()
        await asyncio.wait({opening})
        assert opening.cancelled()

    run(test)
    assert closed.wait(5)
    assert abandoned.count == 0


def test_no_thread_outlives_its_link() -> None:
    async def test() -> None:
        async with serve_tcp(ECHO) as host:
            opens = opener(host)
            for _ in range(20):
                async with opens.open() as link:
                    await link.write(b"x")
                    await link.read()
        assert [t.name for t in threading.enumerate() if t.name.startswith("serial")] == []

    run(test)


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("parity", list(Parity))
def test_line_settings_are_set_once_at_opening(parity: Parity) -> None:
    """A pseudo-terminal takes parity at the first opening and refuses every later change."""
    spec = SerialSpec(baud=19_200, data_bits=7, parity=parity, stop_bits=2)

    async def test() -> None:
        async with serve_pty(ECHO) as host:
            for _ in range(3):
                terminal = Path(host.port).readlink()
                async with opener(host, spec).open() as link:
                    await link.write(b"hello")
                    assert await read_exactly(link, 5) == b"hello"
                await until(lambda: Path(host.port).readlink() != terminal)  # noqa: B023

    run(test)


class _DeviceServer:
    """An RFC 2217 server that remembers the line settings it was asked for: pyserial's own, on a looped-back port."""

    def __init__(self) -> None:
        self.port = serial.serial_for_url("loop://", timeout=0.05)
        self.settings: tuple[object, ...] = ()
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        class Socket:
            @staticmethod
            def write(data: bytes) -> None:
                writer.write(data)

        manager = rfc2217.PortManager(self.port, Socket())
        while data := await reader.read(1024):
            self.port.write(b"".join(manager.filter(data)))
            writer.write(b"".join(manager.escape(self.port.read(self.port.in_waiting))))
            self.settings = (self.port.baudrate, self.port.bytesize, self.port.parity, self.port.stopbits)
        writer.close()
        await writer.wait_closed()
        self.ended.set()


@asynccontextmanager
async def rfc2217_server() -> AsyncIterator[tuple[_DeviceServer, str]]:
    device = _DeviceServer()
    server = await asyncio.start_server(device.serve, "127.0.0.1", 0)
    try:
        yield device, f"rfc2217://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await device.ended.wait()
    finally:
        server.close()
        device.port.close()


@pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial 3.5 itself
def test_an_rfc2217_server_is_told_the_line_settings() -> None:
    spec = SerialSpec(baud=19_200, data_bits=7, parity=Parity.EVEN, stop_bits=2)

    async def test() -> None:
        async with rfc2217_server() as (device, url), opener(url, spec).open() as link:
            await link.write(b"hello")
            assert await read_exactly(link, 5) == b"hello"
            assert device.settings == (19_200, 7, "E", 2)

    run(test)
