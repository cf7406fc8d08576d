"""F35: kill -9 at any instant. A device that forgets a reading when it is acknowledged must never be the last to
have known it."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devicebridge.sdk.simulation import SerialPort, SerialScenario
from devicebridge.testing.broker import Broker
from devicebridge.testing.serial_host import End, serve_tcp
from support.daemon import Daemon, Inbox, wait_for

ROUNDS = 50
LATEST_KILL_S = 0.25
"""After the first acknowledgement of a round; some twenty readings at the scale's pace."""


class Scale:
    """Sends its oldest weighing again and again until it is acknowledged; then it has forgotten it."""

    def __init__(self) -> None:
        self.port = ""
        self.acknowledged = 0
        self.stopping = False

    async def run(self, port: SerialPort) -> None:
        while not self.stopping:
            record = self.acknowledged % 10_000
            await port.write(f"#{record:04d};{50 + record / 100:06.2f};kg\r\n".encode())
            await self._acknowledgement(port, record)
            self.acknowledged += 1
            await port.pause(0.01)

    async def _acknowledgement(self, port: SerialPort, record: int) -> None:
        heard = b""
        while f"ACK {record:04d}\r\n".encode() not in heard:
            heard += await port.read()


@contextmanager
def scale() -> Iterator[Scale]:
    """On a TCP port, in a thread of its own: it outlives every daemon."""
    simulated, started, stop = Scale(), threading.Event(), threading.Event()

    async def serve() -> None:
        async def pause(seconds: float) -> None:
            await asyncio.sleep(seconds)

        scenario = SerialScenario(title="weighings without end", run=simulated.run)
        async with serve_tcp(scenario, pause=pause, end=End.STAY) as host:
            simulated.port = host.port
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(10)
        yield simulated
    finally:
        stop.set()
        thread.join()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_f35_fifty_kills_lose_nothing_that_was_acknowledged(
    acme: Path, broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    rng = random.Random(35)
    with scale() as device:
        place = f'[devices.scale]\ndriver = "acme-scale"\nport = "{device.port}"\n'
        daemon = Daemon(tmp_path, broker, place, python_path=str(acme))
        for _ in range(ROUNDS):
            before = device.acknowledged
            with daemon:
                wait_for(lambda before=before: device.acknowledged > before, "an acknowledgement")
                threading.Event().wait(rng.uniform(0, LATEST_KILL_S))  # the moment of the kill is the experiment
                daemon.kill()
        device.stopping = True
        with daemon:
            daemon.wait_ready()
            wait_for(lambda: len({r["id"] for r in received.readings}) >= device.acknowledged, "every reading")
            daemon.stop()
        acknowledged = device.acknowledged
    ids_by_value: dict[float, set[str]] = {}
    for reading in received.readings:
        ids_by_value.setdefault(reading["values"][0]["value"], set()).add(reading["id"])
    assert set(ids_by_value) >= {round(50 + n / 100, 2) for n in range(acknowledged)}
    assert all(len(ids) == 1 for ids in ids_by_value.values()), "a repeat carries the same id"
    copies = Counter(r["id"] for r in received.readings)
    print(f"{acknowledged} acknowledged in {ROUNDS} kills, {copies.total() - len(copies)} raw duplicates, 0 lost")
