"""F17, F18: a hostile peripheral beside an honest cuff, through the daemon as a process.

Whatever it does, the daemon's memory stays where it is, its status says why it is not read, nothing of it becomes a
reading, and the cuff's next measurement arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.simulation import Access, Characteristic, GattPort, GattScenario, GattSimulator, Service
from devicebridge.testing.broker import Broker
from support.ble_room import CUFF, BleRoom, ble_room, cuff, measured
from support.daemon import Inbox

pytest.importorskip("bumble", reason="the simulated radio needs bumble")
from devicebridge.testing.radio import Ether, Peripheral
from support import rogue

MEASUREMENT = uuid16(0x2A35)
GROWTH_MAX_MIB = 24
"""Of the daemon, for 1,024 waiting values of 512 bytes and one table of services; what is not bounded goes beyond."""
SERVED_WITHIN_S = 25.0
"""A cuff advertises for 30 s."""
HONEST = 127


class Attack:
    """The room under attack. `served` proves that it did no harm."""

    def __init__(self, room: BleRoom, honest: Peripheral) -> None:
        self.room = room
        self._honest = honest
        self._before_mib = room.memory_mib()

    async def served(self) -> None:
        self._honest.wake(measured(HONEST))
        await self.room.until(lambda: self.room.systolic("honest") == [HONEST], SERVED_WITHIN_S)
        assert self.room.readings("rogue") == []
        assert self.room.memory_mib() - self._before_mib < GROWTH_MAX_MIB


@asynccontextmanager
async def under_attack(
    ether: Ether, address: str, folder: Path, broker: Broker, received: Inbox
) -> AsyncIterator[Attack]:
    honest = await ether.add(cuff(), "normal", awake=False)
    devices = {"honest": (CUFF, honest.address), "rogue": (CUFF, address)}
    async with ble_room(folder, broker, received, await ether.serve_tcp(), devices) as room:
        await room.until_said("honest", "waiting")
        yield Attack(room, honest)


def hostile(
    run: Callable[[GattPort], Awaitable[None]], *, access: Access = Access.INDICATE, text: bytes = b"x"
) -> GattSimulator:
    """Has the cuff's service, and the Device Information strings given."""
    own = Characteristic(uuid=MEASUREMENT, access=access)
    about = tuple(Characteristic(uuid=uuid16(n), access=Access.READ, value=text) for n in range(0x2A24, 0x2A2A))
    table = (Service(uuid16(0x1810), (own,)), Service(uuid16(0x180A), about))
    scenario = GattScenario(title="hostile", services=lambda: table, run=run, faulty=True)
    return replace(cuff(), id="rogue", name="Simulated BP", scenarios={"only": scenario})


def run(main: Awaitable[None]) -> None:
    asyncio.run(asyncio.wait_for(main, 100))


def test_f18_values_of_any_length_and_content_are_noise(broker: Broker, received: Inbox, tmp_path: Path) -> None:
    seen = asyncio.Event()

    async def garbage(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        for size in (0, 1, 6, 8, 21, 100, 255, 512):
            for byte in (0x00, 0x5A, 0xFF):
                await port.indicate(MEASUREMENT, bytes([byte]) * size)
        await seen.wait()

    async def main() -> None:
        async with Ether(pace=0) as ether:
            device = await ether.add(hostile(garbage), "only", period_s=0)
            async with under_attack(ether, device.address, tmp_path, broker, received) as attack:
                await attack.room.until_said("rogue", "lost", "unexpected-data")
                seen.set()
                await device.played(2)
                await attack.served()
                assert attack.room.status("rogue")["counts"]["noise_bytes"] > 1000

    run(main())


@pytest.mark.long
def test_f18_a_flood_is_cut_off_refused_and_tried_ever_more_seldom(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    async def flood(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        while True:
            await port.notify(MEASUREMENT, bytes(200))

    async def main() -> None:
        async with Ether(pace=0) as ether:
            device = await ether.add(hostile(flood, access=Access.NOTIFY), "only", period_s=0)
            async with under_attack(ether, device.address, tmp_path, broker, received) as attack:
                await attack.room.until_said("rogue", "refused", "flooded")
                await device.played(3)
                await attack.served()
                assert attack.room.status("rogue")["counts"]["sessions"] <= 5

    run(main())


@pytest.mark.long
@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        pytest.param(rogue.never, "lost", "timeout", id="never-answers"),
        pytest.param(rogue.services(0xFFFE, 1), "lost", "timeout", id="endless-discovery"),
        pytest.param(rogue.services(1000), "refused", "unexpected-device", id="a-thousand-services"),
        pytest.param(
            rogue.shouting(rogue.services(10), 300), "refused", "unexpected-device", id="unknown-characteristics"
        ),
    ],
)
def test_f18_a_peripheral_that_does_not_keep_to_the_protocol(
    answer: rogue.Answer, state: str, reason: str, broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    async def main() -> None:
        async with (
            Ether(pace=0) as ether,
            rogue.rogue(ether, answer) as device,
            under_attack(ether, device.place, tmp_path, broker, received) as attack,
        ):
            await attack.room.until_said("rogue", state, reason)
            assert device.requests > 0
            await attack.served()

    run(main())


def test_f18_names_of_248_bytes_and_control_characters_are_cut_and_cleaned(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    evil = (b"\x1b[2J\x00\r\n\xff\xe2\x80\xae" + b"A" * 248)[:248]  # terminal escapes, and text turned round

    async def measure(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        await port.indicate(MEASUREMENT, bytes.fromhex("007c0056006100"))

    async def main() -> None:
        async with Ether(pace=0) as ether:
            device = await ether.add(hostile(measure, text=evil), "only")
            devices = {"rogue": (CUFF, device.address)}
            async with ble_room(tmp_path, broker, received, await ether.serve_tcp(), devices) as room:
                ether.crowd(10, name=evil[:200])  # more does not fit the HCI event
                await room.until(lambda: room.readings("rogue"))
                (reading,) = room.readings("rogue")
                await room.until(lambda: room.status("rogue")["identity"])
            for word in (*room.status("rogue")["identity"].values(), reading["device"]["model"]):
                assert word.isprintable() and len(word) <= 64
            assert "A" * 20 not in room.daemon.log.read_text()

    run(main())


def test_f17_a_copy_of_name_and_service_is_not_even_connected_to(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether:
            impostors = [await ether.add(cuff(), "normal", address=f"C0:00:00:00:00:{n:02X}") for n in range(1, 5)]
            honest = await ether.add(cuff(), "normal", awake=False)
            devices = {"honest": (CUFF, honest.address)}
            async with ble_room(tmp_path, broker, received, await ether.serve_tcp(), devices) as room:
                await room.until_said("honest", "waiting")
                honest.wake(measured(HONEST))
                await room.until(lambda: room.systolic("honest") == [HONEST])
                assert [impostor.plays for impostor in impostors] == [0] * 4
                assert len(room.received.readings) == 1

    run(main())
