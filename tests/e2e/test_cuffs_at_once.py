"""Eight cuffs finish at the same moment: the daemon, the broker and the connection interval are real, the radio is not.

Each cuff advertises for a short time, indicates when it is subscribed to, and hangs up. Its reading must be at a
subscriber of the broker before that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.simulation import GattPort, GattScenario
from devicebridge.testing.broker import Broker
from support.ble_room import CUFF, BleRoom, ble_room, cuff, measured
from support.daemon import Inbox

pytest.importorskip("bumble", reason="the simulated radio needs bumble")
from devicebridge.testing.radio import Ether, Peripheral

MEASUREMENT = uuid16(0x2A35)
CUFFS = 8
INTERVAL_S = 0.03
ADVERTISES_S = 30.0  # the least that cuffs do after a measurement
STAYS_S = 2.0  # after its last value was confirmed
PATIENCE_S = 60.0


@dataclass
class Cuff:
    """One patient's result. times: in seconds, from the moment at which all wake."""

    name: str
    systolic: int
    times: dict[str, float] = field(default_factory=dict)
    woke_s: float = 0.0
    peripheral: Peripheral | None = None

    def note(self, what: str) -> None:
        self.times.setdefault(what, time.monotonic() - self.woke_s)

    def scenario(self) -> GattScenario:
        result = measured(self.systolic)

        async def run(port: GattPort) -> None:
            self.note("connected")
            await port.subscribed(MEASUREMENT)
            self.note("subscribed")
            await result.run(port)
            self.note("indicated")
            await port.pause(STAYS_S)
            self.note("hung up")
            await port.disconnect()

        return replace(result, run=run)

    async def wake(self) -> None:
        """Gives up when nobody has come."""
        assert self.peripheral is not None
        self.woke_s = time.monotonic()
        self.peripheral.wake()
        await asyncio.sleep(ADVERTISES_S)
        if "connected" not in self.times:
            self.peripheral.sleep()


@pytest.mark.long
def test_every_reading_arrives_before_its_cuff_hangs_up(
    broker: Broker, received: Inbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cuffs = [Cuff(f"cuff-{n}", 110 + n) for n in range(CUFFS)]
    asyncio.run(asyncio.wait_for(_measure(cuffs, broker, received, tmp_path), 100))
    with capsys.disabled():
        print("\n" + "\n".join(_table(cuffs)))
    for one in cuffs:
        assert one.times["received"] < one.times["hung up"], one


async def _measure(cuffs: list[Cuff], broker: Broker, received: Inbox, folder: Path) -> None:
    async with Ether(interval_s=INTERVAL_S) as ether:
        for one in cuffs:
            one.peripheral = await ether.add(cuff(), one.scenario(), awake=False)
        devices = {one.name: (CUFF, one.peripheral.address) for one in cuffs if one.peripheral}
        async with ble_room(folder, broker, received, await ether.serve_tcp(), devices) as room:
            for one in cuffs:
                await room.until_said(one.name, "waiting")
            waking = [asyncio.create_task(one.wake()) for one in cuffs]
            await room.until(lambda: _are_here(room, cuffs), PATIENCE_S)
            await room.until(lambda: all("hung up" in one.times for one in cuffs), PATIENCE_S)
            for task in waking:
                task.cancel()


def _are_here(room: BleRoom, cuffs: list[Cuff]) -> bool:
    for one in cuffs:
        if room.systolic(one.name):
            assert room.systolic(one.name) == [one.systolic]
            one.note("received")
    return all("received" in one.times for one in cuffs)


def _table(cuffs: list[Cuff]) -> Iterator[str]:
    steps = ("connected", "subscribed", "indicated", "received", "hung up")
    yield f"{len(cuffs)} cuffs at {1000 * INTERVAL_S:g} ms, seconds after waking:"
    for one in sorted(cuffs, key=lambda c: c.times["received"]):
        yield "  ".join(f"{step} {one.times[step]:5.2f}" for step in steps)
