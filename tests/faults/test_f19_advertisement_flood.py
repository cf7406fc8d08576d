"""F19: a thousand new addresses a second for ten seconds, through the daemon as a process: its memory stays where it
is, and the cuff that is known is read in the midst of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from devicebridge.testing.broker import Broker
from support.ble_room import CUFF, ble_room, cuff, measured
from support.daemon import Inbox

pytest.importorskip("bumble", reason="the simulated radio needs bumble")
from devicebridge.testing.radio import Ether

PER_S, SECONDS, BURST = 1000, 10, 50
GROWTH_MAX_MIB = 32
"""5,000 addresses are remembered before the scan is begun anew; bleak keeps some 3 KiB of each."""


@pytest.mark.long
def test_f19_a_flood_of_addresses_is_bounded_and_the_known_device_is_read(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether:
            device = await ether.add(cuff(), measured(117), awake=False)
            devices = {"cuff": (CUFF, device.address)}
            async with ble_room(tmp_path, broker, received, await ether.serve_tcp(), devices) as room:
                await room.until_said("cuff", "waiting")
                before_mib, loop = room.memory_mib(), asyncio.get_running_loop()
                for n in range(PER_S * SECONDS // BURST):
                    ether.crowd(BURST)
                    if n == PER_S * SECONDS // BURST // 2:
                        device.wake()
                    due_s = loop.time() + BURST / PER_S
                    await room.until(lambda: loop.time() >= due_s)  # noqa: B023 - awaited at once
                await room.until(lambda: room.systolic("cuff") == [117])
                assert room.memory_mib() - before_mib < GROWTH_MAX_MIB
                print(f"daemon: {before_mib:.1f} MiB before, {room.memory_mib():.1f} MiB after the flood")

    asyncio.run(asyncio.wait_for(main(), 90))
