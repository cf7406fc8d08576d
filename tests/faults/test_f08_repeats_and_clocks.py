"""F08, F16, F20, F21: a cuff that repeats itself, that two PCs hear, or whose clock is wrong; at a subscriber."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from devicebridge.testing.broker import Broker
from support.ble_room import CUFF, ble_room, cuff, measured
from support.daemon import Inbox

pytest.importorskip("bumble", reason="the simulated radio needs bumble")
from devicebridge.testing.radio import Ether


def test_f08_f20_a_value_sent_again_at_the_next_connection_is_no_new_reading(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether:
            device = await ether.add(cuff(), same := measured(117), awake=False)
            devices = {"cuff": (CUFF, device.address)}
            async with ble_room(tmp_path, broker, received, await ether.serve_tcp(), devices) as room:
                for plays in range(1, 4):
                    device.wake(same)
                    await device.played(plays)
                device.wake(measured(119))
                await room.until(lambda: 119 in room.systolic("cuff"))
                assert room.systolic("cuff") == [117, 119]
                await room.until(lambda: room.status("cuff")["counts"].get("repeats") == 2)

    asyncio.run(asyncio.wait_for(main(), 90))


def test_f16_two_pcs_that_read_the_same_measurement_give_it_the_same_id(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether:
            device = await ether.add(cuff(), same := measured(117), awake=False)
            devices = {"cuff": (CUFF, device.address)}
            for number, pc in enumerate(("one", "other"), 1):
                (tmp_path / pc).mkdir()
                async with ble_room(tmp_path / pc, broker, received, await ether.serve_tcp(), devices) as room:
                    device.wake(same)
                    await room.until(lambda: len(room.readings("cuff")) == number)  # noqa: B023 - awaited at once
            first, second = room.readings("cuff")
            assert first["id"] == second["id"]
            assert (tmp_path / "one" / "outbox.db").exists() and (tmp_path / "other" / "outbox.db").exists()

    asyncio.run(asyncio.wait_for(main(), 90))


def test_f21_a_clock_two_hours_late_is_kept_as_given_and_the_corrected_time_is_marked(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether:
            device = await ether.add(cuff(), measured(117, clock_late=timedelta(hours=2)))
            devices = {"cuff": (CUFF, device.address)}
            async with ble_room(tmp_path, broker, received, await ether.serve_tcp(), devices) as room:
                await room.until(lambda: room.readings("cuff"))
                (reading,) = room.readings("cuff")
                assert reading["clock"] == "corrected"
                assert reading["measured_at"][:15] == reading["received_at"][:15]
                assert reading["device_time"][:15] != reading["measured_at"][:15]
                assert reading["clock_offset_s"] is not None and reading["origin"] == "live"

    asyncio.run(asyncio.wait_for(main(), 90))
