"""F34: the daemon asks the broker for nothing, and what a hostile broker sends it all the same does nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from devicebridge.testing.broker import Broker as Address
from support.broker import SUBSCRIBE, Broker
from support.daemon import Daemon, wait_for
from support.serial_device import nonin_on_tcp
from support.waiting import until

HOSTILE = (
    ("devicebridge/v1/clinic/exam-1/oximeter/reading/pulse-oximetry", b"{}"),
    ("devicebridge/v1/clinic/exam-1/command", b'{"command": "stop"}'),
    ("$SYS/broker", b"\x00\xff" * 500),
    ("x" * 1000, b"{" * 100_000),
    ("", b""),
)
TIMES = 100
GROWTH_MAX_MIB = 16


@pytest.mark.parametrize("qos", [0, 1])
def test_f34_nothing_is_subscribed_to_and_what_comes_unasked_does_nothing(qos: int, tmp_path: Path) -> None:
    async def main() -> None:
        broker = Broker()
        with nonin_on_tcp("spot") as port:
            device = f'[devices.oximeter]\ndriver = "nonin"\nport = "{port}"\n'
            async with broker.listening():
                with Daemon(tmp_path, Address("scripted", broker.port, "5"), device) as daemon:
                    await asyncio.to_thread(daemon.wait_ready)
                    await until(lambda: broker.readings)
                    assert daemon.process is not None
                    process = psutil.Process(daemon.process.pid)
                    before_mib = process.memory_info().rss / 2**20
                    for _ in range(TIMES):
                        for topic, payload in HOSTILE:
                            broker.push(topic, payload, qos=qos)
                    count = len(broker.readings)
                    await until(lambda: len(broker.readings) > count + 1)
                    assert process.memory_info().rss / 2**20 - before_mib < GROWTH_MAX_MIB
                    assert SUBSCRIBE not in broker.kinds
                    assert await asyncio.to_thread(daemon.stop) < 3
        wait_for(lambda: daemon.events("stopped") == 1, "an end in order")
        assert daemon.events("publisher-fault") == daemon.events("unhandled") == 0

    asyncio.run(asyncio.wait_for(main(), 60))
