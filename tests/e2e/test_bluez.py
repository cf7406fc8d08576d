"""The daemon as a process, on this system's own Bluetooth: bleak, D-Bus, a stand-in for BlueZ, a cuff, a broker."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devicebridge import registry
from devicebridge.sdk.simulation import GattSimulator
from devicebridge.testing.broker import Broker
from support.bluez import system_bus
from support.daemon import Daemon, Inbox
from support.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="BlueZ is Linux's")
PATIENCE_S = 20.0
Story = Callable[[Any, Any], Awaitable[None]]
"""Given the stand-in for BlueZ and the cuff."""


@pytest.fixture
def bus() -> Iterator[str]:
    with system_bus() as address:
        yield address


def play(story: Story, bus: str) -> None:
    from devicebridge.testing.bluez import stand_in
    from devicebridge.testing.radio import Ether

    async def main() -> None:
        simulator = registry.simulator("ble-blood-pressure")
        assert isinstance(simulator, GattSimulator)
        async with Ether(pace=0) as ether, stand_in(ether, bus) as bluez:
            await story(bluez, await ether.add(simulator, "normal", address=ADDRESS, awake=False))

    asyncio.run(asyncio.wait_for(main(), 90))


ADDRESS = "C1:05:E7:00:00:01"
CUFF = f'[bluetooth]\nradio = "system"\n[devices.cuff]\ndriver = "ble-blood-pressure"\naddress = "{ADDRESS}"\n'


def test_a_cuffs_reading_arrives(bus: str, broker: Broker, received: Inbox, tmp_path: Path) -> None:
    async def story(_: Any, cuff: Any) -> None:
        cuff.wake()
        await until(lambda: received.readings, PATIENCE_S)

    with Daemon(tmp_path, broker, CUFF) as daemon:
        daemon.wait_ready()
        play(story, bus)
        [reading] = received.readings
        assert (reading["kind"], reading["device"]["name"]) == ("blood-pressure", "cuff")
        assert {value["name"]: value.get("value") for value in reading["values"]}["systolic"] == 124
        daemon.stop()


def test_f13_a_reading_arrives_after_bluetoothd_was_killed(
    bus: str, broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    def status(topic_end: str, **wanted: Any) -> bool:
        latest = received.latest(topic_end)
        return latest is not None and latest | wanted == latest

    async def story(bluez: Any, cuff: Any) -> None:
        await until(lambda: bluez.scanning, PATIENCE_S)
        await bluez.crash()
        await until(lambda: status("/cuff/status", reason="adapter-absent"), PATIENCE_S)
        await bluez.start()
        cuff.wake()
        await until(lambda: received.readings, PATIENCE_S)

    with Daemon(tmp_path, broker, CUFF) as daemon:
        daemon.wait_ready()
        play(story, bus)
        daemon.stop()
    assert len(received.readings) == 1
