"""F57: a scale prints thousands of lines as fast as the line takes them. It is held back; nothing of it is lost,
doubled or out of order, and the daemon's memory stays where it is."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import psutil
import pytest

from devicebridge.sdk.simulation import SerialPort, SerialScenario
from devicebridge.testing.broker import Broker
from devicebridge_simulators.scale_text import rice_lake
from support.daemon import Daemon, Inbox, wait_for
from support.serial_device import on_tcp

WEIGHINGS = [f"{50 + Decimal(n) / 20:.2f}" for n in range(6000)]
GROWTH_MAX_MIB = 32
ARRIVES_S = 120.0


async def burst(port: SerialPort) -> None:
    """Then it says no more."""
    for pounds in WEIGHINGS:
        await port.write(rice_lake(pounds))
    await port.read()


@pytest.mark.long
def test_f57_a_burst_is_held_back_and_all_of_it_arrives_in_order(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    scenario = SerialScenario(title="a burst", run=burst)
    with on_tcp(scenario, speed=1) as port:
        device = f'[devices.scale]\ndriver = "scale-text"\nport = "{port}"\n'
        with Daemon(tmp_path, broker, device) as daemon:
            daemon.wait_ready()
            assert daemon.process is not None
            process, before_mib, most_mib = psutil.Process(daemon.process.pid), 0.0, 0.0

            def all_there() -> bool:
                nonlocal before_mib, most_mib
                mib = process.memory_info().rss / 2**20
                before_mib, most_mib = before_mib or mib, max(most_mib, mib)
                return sum("/reading/" in m.topic for m in received.drain()) >= len(WEIGHINGS)

            wait_for(all_there, "all of it", ARRIVES_S)
            assert daemon.stop() < 3
    print(f"{before_mib:.1f} MiB at the beginning, {most_mib:.1f} MiB at the most")
    assert [Decimal(str(r["values"][0]["value"])) for r in received.readings] == list(map(Decimal, WEIGHINGS))
    assert most_mib - before_mib < GROWTH_MAX_MIB
