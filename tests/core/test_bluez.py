"""bleak and the radio over BlueZ, when BlueZ, its adapter or a D-Bus call goes wrong."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from devicebridge.links.system import system_backend
from devicebridge.sdk import GattLink, GattSpec, LinkLost, Loss
from devicebridge.sdk.simulation import GattPort
from support.bluez import SECRET, SERVICE, TEXT, VALUES, Room, room, system_bus, thing
from support.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="BlueZ is Linux's")
SPEC = GattSpec(services=(SERVICE,))
BONDED = GattSpec(services=(SERVICE,), bond_required=True)
SOON_S = 5.0
"""Well below the radio's own 30 s of silence, and the 30 s of its longest pause."""
Act = Callable[[Any], Awaitable[None]]


@pytest.fixture(scope="module")
def bus() -> Iterator[str]:
    with system_bus() as address:
        yield address


def run(story: Callable[[Room], Awaitable[None]], bus: str, **limits: Any) -> None:
    async def main() -> None:
        async with room(bus, **limits) as here:
            await story(here)

    asyncio.run(asyncio.wait_for(main(), 40))


async def lost(link: GattLink) -> Loss:
    """Why the link ended, at the latest `SOON_S` from now."""
    with pytest.raises(LinkLost) as ended:
        async with asyncio.timeout(SOON_S):
            async for _ in await link.subscribe(VALUES):
                pass
    return ended.value.reason


async def crash(bluez: Any) -> None:
    await bluez.crash()


async def switch_off(bluez: Any) -> None:
    await bluez.power(False)


async def unplug(bluez: Any) -> None:
    await bluez.unplug()


async def restart(bluez: Any) -> None:
    await bluez.start()


async def switch_on(bluez: Any) -> None:
    await bluez.power(True)


async def plug(bluez: Any) -> None:
    bluez.plug()


TROUBLES = pytest.mark.parametrize(
    ("goes", "returns", "reason"),
    [
        (crash, restart, Loss.ADAPTER_ABSENT),
        (switch_off, switch_on, Loss.ADAPTER_OFF),
        (unplug, plug, Loss.ADAPTER_ABSENT),
    ],
    ids=["bluetoothd", "switch", "adapter"],
)


def test_contract_what_of_bleak_is_used_though_it_is_not_promised(bus: str) -> None:
    """bleak has no way to be told that BlueZ was restarted; this fails when a release has moved what we use instead."""
    from bleak.backends.bluezdbus import manager

    async def main() -> None:
        found = await manager.get_global_bluez_manager()
        assert manager._global_instances[asyncio.get_running_loop()] is found
        assert found._bus is not None
        found._bus.disconnect()

    async def story(_: Room) -> None:
        await main()

    run(story, bus)


@TROUBLES
def test_f12_f13_scanning_resumes_when_it_is_back(goes: Act, returns: Act, reason: Loss, bus: str) -> None:
    async def story(here: Room) -> None:
        await here.radio.scanning()
        await goes(here.bluez)
        await until(lambda: here.radio.state.reason is reason, SOON_S)
        with pytest.raises(LinkLost) as refused:
            async with here.radio.opener("C0:00:00:00:00:01", SPEC).open():
                pass
        assert refused.value.reason is reason
        await returns(here.bluez)
        thing_there = await here.ether.add(thing(), "only")
        await until(lambda: here.radio.state.reason is None, SOON_S)
        async with asyncio.timeout(SOON_S), here.radio.opener(thing_there.address, SPEC).open() as link:
            assert await link.read(TEXT) == b"text"

    run(story, bus)


@TROUBLES
def test_f12_f13_an_open_link_ends_and_a_new_one_is_good(goes: Act, returns: Act, reason: Loss, bus: str) -> None:
    async def give(port: GattPort) -> None:
        await port.subscribed(VALUES)
        await port.indicate(VALUES, b"1")
        await asyncio.Event().wait()

    async def story(here: Room) -> None:
        there = await here.ether.add(thing(give), "only", period_s=0)
        opener = here.radio.opener(there.address, SPEC)
        async with opener.open() as link:
            assert await anext(aiter(await link.subscribe(VALUES))) == (VALUES, b"1")
            await goes(here.bluez)
            assert await lost(link) is Loss.DISCONNECTED
            with pytest.raises(LinkLost):
                await link.read(TEXT)
        await until(lambda: here.radio.state.reason is reason, SOON_S)
        await returns(here.bluez)
        await until(lambda: here.radio.state.reason is None, SOON_S)
        async with asyncio.timeout(SOON_S), opener.open() as link:
            assert await anext(aiter(await link.subscribe(VALUES))) == (VALUES, b"1")
            assert await link.read(TEXT) == b"text"

    run(story, bus)


def test_f13_restarts_again_and_again(bus: str) -> None:
    async def story(here: Room) -> None:
        there = await here.ether.add(thing(), "only", period_s=0)
        for _ in range(5):
            await here.bluez.crash()
            await here.bluez.start()
            async with asyncio.timeout(SOON_S):
                while True:
                    try:
                        async with here.radio.opener(there.address, SPEC).open() as link:
                            assert await link.read(TEXT) == b"text"
                            break
                    except LinkLost:
                        await asyncio.sleep(0.01)

    run(story, bus)


@pytest.mark.parametrize("member", ["Connect", "ReadValue", "StartNotify"])
def test_a_call_that_bluez_never_answers_ends(member: str, bus: str) -> None:
    async def story(here: Room) -> None:
        there = await here.ether.add(thing(), "only", period_s=0)
        here.bluez.hung.add(member)
        with pytest.raises(LinkLost) as hung:
            async with asyncio.timeout(SOON_S), here.radio.opener(there.address, SPEC).open() as link:
                await link.read(TEXT)
                await link.subscribe(VALUES)
        assert hung.value.reason is Loss.TIMEOUT
        here.bluez.hung.clear()
        async with asyncio.timeout(SOON_S), here.radio.opener(there.address, SPEC).open() as link:
            assert await link.read(TEXT) == b"text"

    run(story, bus, connect_timeout_s=1.0, call_timeout_s=0.5, disconnect_timeout_s=0.5)


def test_a_scan_that_bluez_never_answers_ends(bus: str) -> None:
    async def story(here: Room) -> None:
        await here.radio.scanning()
        here.bluez.hung.add("StartDiscovery")
        await here.bluez.power(False)
        await here.bluez.power(True)
        await until(lambda: here.radio.state.reason is Loss.TIMEOUT, SOON_S)
        here.bluez.hung.clear()
        await until(lambda: here.radio.state.reason is None, 10)

    run(story, bus, scan_timeout_s=0.5)


def test_a_device_that_demands_a_bond_is_not_read_without_and_none_is_made(bus: str) -> None:
    async def story(here: Room) -> None:
        there = await here.ether.add(thing(), "only", period_s=0)
        with pytest.raises(LinkLost) as refused:
            async with asyncio.timeout(SOON_S), here.radio.opener(there.address, BONDED).open():
                raise AssertionError("opened")
        assert refused.value.reason is Loss.BOND_REQUIRED
        async with asyncio.timeout(SOON_S), here.radio.opener(there.address, SPEC).open() as link:
            with pytest.raises(LinkLost) as asked:
                await link.read(SECRET)
        assert asked.value.reason is Loss.BOND_REQUIRED
        assert not there.bonded

    run(story, bus)


def test_without_any_d_bus_the_adapter_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/dbus")

    async def main() -> None:
        from devicebridge.clock import SystemClock
        from devicebridge.links.bonding import BondFailed, BondFailure
        from devicebridge.links.gatt import Radio

        async with system_backend() as backend:
            radio = Radio(backend, clock=SystemClock())
            await radio.start()
            await until(lambda: radio.state.reason is Loss.ADAPTER_ABSENT, SOON_S)
            assert backend.bonds is not None
            with pytest.raises(BondFailed) as failed:
                await backend.bonds.list()
            assert failed.value.reason is BondFailure.ADAPTER
            await radio.stop()

    asyncio.run(asyncio.wait_for(main(), 20))
