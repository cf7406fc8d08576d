"""F12, F13: the radio goes and comes back under a running daemon. What serves it goes away as a whole: adapter, host
and every connection, as at a pulled stick or a Bluetooth service that dies."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.simulation import GattPort
from devicebridge.testing.broker import Broker
from support.ble_room import CUFF, ble_room, cuff, measured
from support.daemon import Inbox

pytest.importorskip("bumble", reason="the simulated radio needs bumble")
from devicebridge.testing.radio import Ether

NOTICED_S = 45.0
"""A scan that hears nobody for 30 s is started anew, and cannot be: nothing else tells of an adapter that has gone."""


@pytest.mark.long
@pytest.mark.parametrize("connected", [False, True], ids=["f12-while-waiting", "f13-while-connected"])
def test_f12_f13_a_radio_that_went_is_named_and_used_again_without_a_restart(
    connected: bool, broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    async def main() -> None:
        is_held = asyncio.Event()

        async def hold(port: GattPort) -> None:
            await port.subscribed(uuid16(0x2A35))
            is_held.set()
            await asyncio.Event().wait()

        async with AsyncExitStack() as stack:
            async with Ether(pace=0) as first:
                device = await first.add(cuff(), replace(measured(111), run=hold), awake=connected)
                place = await first.serve_tcp()
                devices = {"cuff": (CUFF, device.address)}
                room = await stack.enter_async_context(ble_room(tmp_path, broker, received, place, devices))
                if connected:
                    await is_held.wait()
                else:
                    await room.until_said("cuff", "waiting")
            await room.until_said("cuff", "lost", "adapter-absent", patience_s=NOTICED_S)
            async with Ether(pace=0) as second:
                device = await second.add(cuff(), measured(117), awake=False)
                await second.serve_tcp(port=int(place.rpartition(":")[2]))
                await room.until_said("cuff", "waiting")
                device.wake()
                await room.until(lambda: room.systolic("cuff") == [117])

    asyncio.run(asyncio.wait_for(main(), 90))


def test_f11_a_battery_pulled_before_the_result_leaves_nothing_behind(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    async def main() -> None:
        is_held = asyncio.Event()

        async def hold(port: GattPort) -> None:
            await port.subscribed(uuid16(0x2A35))
            is_held.set()
            await asyncio.Event().wait()

        async with Ether(pace=0) as ether:
            device = await ether.add(cuff(), replace(measured(111), run=hold))
            devices = {"cuff": (CUFF, device.address)}
            async with ble_room(tmp_path, broker, received, await ether.serve_tcp(), devices) as room:
                await is_held.wait()
                device.vanish()
                await room.until_said("cuff", "waiting")
                device.wake(measured(117))
                await room.until(lambda: room.systolic("cuff") == [117])

    asyncio.run(asyncio.wait_for(main(), 90))
