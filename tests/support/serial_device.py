"""A simulated serial device in a thread, so that a test may block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from devicebridge import registry
from devicebridge.sdk.simulation import SerialScenario, SerialSimulator
from devicebridge.testing.serial_host import End, real_time, serve_tcp


@contextmanager
def on_tcp(scenario: SerialScenario, *, speed: float) -> Iterator[str]:
    """The port to configure. The scenario repeats, `speed` times as fast as the device."""
    ports: list[str] = []
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serve_tcp(scenario, pause=real_time(speed), end=End.REPEAT) as host:
            ports.append(host.port)
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(10)
        yield ports[0]
    finally:
        stop.set()
        thread.join()


def nonin_on_tcp(scenario: str) -> AbstractContextManager[str]:
    simulator = registry.simulator("nonin")
    assert isinstance(simulator, SerialSimulator)
    return on_tcp(simulator.scenarios[scenario], speed=50)
