"""What is fuzzed, and what must hold whatever the bytes are. One target is a function of bytes that raises if it does
not hold; hypothesis (`tests/properties/test_fuzz.py`) and atheris (`tests/fuzz/run.py`) feed the same ones."""

from __future__ import annotations

import asyncio
import io
import json
import random
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from devicebridge import registry
from devicebridge.app import Daemon
from devicebridge.assemble import read
from devicebridge.clock import SystemClock
from devicebridge.commands import watch
from devicebridge.config import BrokerConfig, LogConfig, parse
from devicebridge.intake import Intake, Source
from devicebridge.logs import configure
from devicebridge.mistakes import ConfigError
from devicebridge.outbox.files import HighWaterFile
from devicebridge.publisher.link import Link, Will
from devicebridge.publisher.reasons import PUBACK
from devicebridge.reload import ConfigFile
from devicebridge.sdk import Driver, Frame, Noise
from devicebridge.setbacks import KEPT, Setbacks
from devicebridge.testing import vectors
from devicebridge.web.client import DaemonAbsent, control_file, read_control
from devicebridge.words import BROKER

from .clock import ManualClock

Once = Callable[[bytes], None]
PATIENCE_S = 10.0
ACCEPTED = bytes.fromhex("2003000000")
"""CONNACK: MQTT 5.0 section 3.2."""


@dataclass(frozen=True)
class Target:
    """seeds: inputs to begin from. open: makes what it needs, and gives the function."""

    name: str
    seeds: tuple[bytes, ...]
    open: Callable[[], AbstractContextManager[Once]]


def targets(only: str | None = None) -> Iterator[Target]:
    """only: of this name, without loading the drivers of the others."""
    return (target for target in _targets(only or "") if only in (None, target.name))


def _targets(only: str) -> Iterator[Target]:
    for driver_id in registry.names(registry.DRIVERS):
        if only and not only.startswith(f"{driver_id}-"):
            continue
        driver = registry.driver(driver_id)
        seeds = _vectors(driver_id)
        for characteristic in (driver.characteristics or ()) + (() if driver.manifest.serial is None else (None,)):
            kind = characteristic.split("-")[0] if characteristic else "serial"
            run = partial(decode, driver, characteristic)
            yield Target(f"{driver_id}-{kind}", seeds, partial(_plain, run))
    yield Target("config", (CONFIG.encode(), CONFIG_MORE.encode()), _config)
    yield Target("control", tuple(bytes([n]) + body for n, body in enumerate(BODIES)), _control)
    yield Target(
        "broker", (b"\1\x40\x02\x00\x01", b"\1\xe0\x01\x8e", b"\0" + ACCEPTED, b"\1\x40\x03\x00\x01\x87"), _broker
    )
    yield Target("watch", (READING,), partial(_plain, watched))
    yield Target("files", (b'{"port": 1, "token": "x"}', b"uuid 00000000000000000001 deadbeef\n", SETBACK), _files)


@contextmanager
def _plain(once: Once) -> Iterator[Once]:
    yield once


# --- Codecs --------------------------------------------------------------------------------------------------------


def _vectors(driver_id: str) -> tuple[bytes, ...]:
    entry = next(e for e in entry_points(group=registry.DRIVERS) if e.name == driver_id)
    return tuple(b"\x10" + vector.data for vector in vectors.load(files(entry.module)))


def decode(driver: Driver[Any], characteristic: str | None, data: bytes) -> None:
    """The contract of `devicebridge.sdk.codec`; and what a frame says can be stored as a reading.

    The first byte says in which pieces a stream arrives.
    """
    piece, data = data[0] + 1 if data else 1, data[1:]
    is_stream = characteristic is None or characteristic in driver.streams
    pieces = [data[n : n + piece] for n in range(0, len(data), piece)] if is_stream else [data]
    items = _items(driver, characteristic, pieces)
    if is_stream:
        assert b"".join(item.raw for item in items) == data, "every byte in one item"
        assert items == _items(driver, characteristic, [data]), "however it is cut"
    else:
        assert [item.raw for item in items] == [data], "one value, one item"
    for item in items:
        if isinstance(item, Frame) and item.group:
            _store(driver, item)


def _items(driver: Driver[Any], characteristic: str | None, pieces: list[bytes]) -> list[Frame | Noise]:
    codec = driver.codec(driver.options(), None, characteristic)
    return [*(item for piece in pieces for item in codec.feed(piece)), *codec.close()]


def _store(driver: Driver[Any], frame: Frame) -> None:
    source = Source("s", "r", "d", driver.manifest.id, "usb:0", link_identity_is_device=False, simulated=True)
    for entry in Intake(source, ZoneInfo("America/Chicago"), ManualClock()).entries(frame.group):
        reading = json.loads(entry.payload, parse_constant=_no_number)
        assert all(("value" in value) + ("absent" in value) + ("text" in value) == 1 for value in reading["values"])


def _no_number(word: str) -> None:
    raise AssertionError(f"{word} in a reading")


# --- Files ---------------------------------------------------------------------------------------------------------

CONFIG = """\
[site]
id = "clinic"
room = "exam-1"
timezone = "America/Chicago"
[broker]
addresses = ["127.0.0.1:1"]
[outbox]
path = "outbox.db"
reserve_mib = 1
[control]
port = 0
"""
CONFIG_MORE = (
    CONFIG
    + """\
[broker.tls]
ca_file = "ca.pem"
[log]
level = "info"
[devices.oximeter]
driver = "nonin"
port = "socket://127.0.0.1:1"
options = {}
[devices.cuff]
driver = "ble-blood-pressure"
address = "C0:26:DA:01:02:03"
"""
)
SETBACK = b'[{"at": "2026-11-21T10:00:00+00:00", "why": "stalled", "drivers": ["cuff"], "place": null}]'


@contextmanager
def _config() -> Iterator[Once]:
    """A config file is taken, or refused in sentences."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "room.toml")

        def once(data: bytes) -> None:
            path.write_bytes(data)
            try:
                read(path)
            except ConfigError as error:
                assert error.problems
                assert all(p.where and p.what and p.remedy and str(p).isprintable() for p in error.problems)

        yield once


@contextmanager
def _files() -> Iterator[Once]:
    """The small files beside the outbox: whatever stands in them is read, or counts for nothing."""
    with tempfile.TemporaryDirectory() as folder:
        outbox = Path(folder, "outbox.db")
        setbacks = Setbacks(outbox, ManualClock())
        high, kept = outbox.with_name("outbox.db.high"), outbox.with_name("outbox.db.setbacks.json")

        def once(data: bytes) -> None:
            for file in (control_file(outbox), high, kept, setbacks.stack):
                file.write_bytes(data)
            with suppress(DaemonAbsent):
                read_control(control_file(outbox))
            HighWaterFile(high).read()
            setbacks.take_up({"cuff": outbox})
            assert len(json.loads(kept.read_text()) if data else []) <= KEPT

        yield once


# --- Over a socket -------------------------------------------------------------------------------------------------

BODIES = (
    b'{"seqs": [1, 2]}',
    b'{"since": "2026-11-21T08:00-06:00", "until": "2026-11-22T08:00-06:00"}',
    b"state=pending&limit=10",
    b"since=2026-11-21T08:00-06:00",
    b'{"device": "ekg", "seconds": 10}',
    b"",
    b"GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
)
ROUTES = (
    ("POST", "/v1/outbox/resend"),
    ("POST", "/v1/outbox/park"),
    ("GET", "/v1/outbox"),
    ("GET", "/v1/outbox/export"),
    ("POST", "/v1/ekg/record"),
    ("GET", "/v1/status"),
    ("GET", "/v1/devices"),
)


@contextmanager
def _control() -> Iterator[Once]:
    """No request makes the control endpoint fail, with the token or without; and it answers the next.

    The first byte chooses the route.
    """
    with tempfile.TemporaryDirectory() as folder, _daemon(Path(folder)) as (port, token):

        def once(data: bytes) -> None:
            chosen, rest = data[0] % (len(ROUTES) + 1) if data else 0, data[1:]
            if chosen < len(ROUTES):
                answer = _exchange(port, _request(*ROUTES[chosen], rest, token))
                assert answer[9:12] in (b"200", b"400", b"404"), answer
            else:  # a request of the fuzzer's own
                assert b" 500 " not in _exchange(port, rest, hang_up=True)[:16]
            assert _exchange(port, _request("GET", "/v1/status", b"", token)).startswith(b"HTTP/1.1 200 ")

        yield once


def _request(method: str, path: str, rest: bytes, token: str) -> bytes:
    if method == "GET":
        path, rest = f"{path}?{quote(rest, safe='=&+:')}", b""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Devicebridge-Token: {token}\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(rest)}\r\n\r\n".encode() + rest


def _exchange(port: int, request: bytes, *, hang_up: bool = False) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(request)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        with suppress(ConnectionResetError):  # of what was left unread of a bad request
            while data := connection.recv(65_536):
                answer += data
        return answer


@contextmanager
def _daemon(folder: Path) -> Iterator[tuple[int, str]]:
    """(port, token) of the control endpoint of a daemon without devices, in a thread."""
    config = parse(CONFIG, folder / "room.toml")
    (folder / "room.toml").write_text(CONFIG)
    started = threading.Event()
    held: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        held.append((asyncio.get_running_loop(), asyncio.Event()))
        log = configure(LogConfig(file=folder / "log"))
        clock = SystemClock()
        file = ConfigFile(folder / "room.toml", clock)
        daemon = Daemon(config, file=file, clock=clock, rng=random.Random(1), log=log)
        started.set()
        await daemon.run(held[0][1])

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert started.wait(PATIENCE_S)
        while not control_file(config.outbox.path).exists():
            threading.Event().wait(0.01)
        yield read_control(control_file(config.outbox.path))
    finally:
        loop, stop = held[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@contextmanager
def _broker() -> Iterator[Once]:
    """Whatever a broker says, the connection ends for a reason that has words, and its acks mean something.

    The first byte says whether it accepts us before the rest.
    """
    with asyncio.Runner() as runner:
        yield lambda data: runner.run(asyncio.wait_for(_talk(data), PATIENCE_S))


async def _talk(data: bytes) -> None:
    said = (ACCEPTED if data[:1] and data[0] & 1 else b"") + data[1:]
    woken = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(said)
        writer.write_eof()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        endpoint = ("127.0.0.1", server.sockets[0].getsockname()[1])
        link = Link(BrokerConfig(addresses=("127.0.0.1",)), endpoint, "fuzz", Will("t", b""), woken.set)
        await link.start()
        while link.ended is None:
            await woken.wait()
            woken.clear()
            if link.accepted is not None and link.ended is None:
                link.publish("t", b"{}", retain=False, properties=None)
        assert BROKER[link.ended.reason]
        assert all(PUBACK.get(ack.code, PUBACK[0x80]) for ack in link.acks())


# --- Messages ------------------------------------------------------------------------------------------------------

READING = json.dumps(
    {
        "schema": "devicebridge/reading/1",
        "room": "exam-1",
        "device": {"name": "cuff"},
        "measured_at": "2026-11-21T10:32:05-06:00",
        "values": [{"name": "systolic", "value": 128, "unit": "mm[Hg]"}],
        "status": [],
        "quality": "ok",
        "origin": "live",
        "clock": "corrected",
        "clock_offset_s": 5,
        "state": "preliminary",
    }
).encode()


def watched(data: bytes) -> None:
    """Whoever may publish: `watch` prints one line that cannot steer the terminal, or says that it is no reading."""
    shown = watch.line(data)
    assert isinstance(shown, str) and shown.isprintable()
    for as_json in (False, True):
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as told:
            watch.show(data, as_json=as_json)
        assert (out.getvalue() + told.getvalue()).count("\n") == 1
        assert not as_json or isinstance(json.loads(out.getvalue() or "{}"), dict)
