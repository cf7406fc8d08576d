"""Bluetooth of one PC, as a scenario sees it, and tiers A and B of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from devicebridge.links.bonding import BondFailed
from devicebridge.links.gatt import Backend
from devicebridge.links.system import system_backend
from devicebridge.testing.bluez import stand_in
from devicebridge.testing.radio import Ether, radio
from devicebridge.testing.radio.serving import serve

SYSTEM = '[bluetooth]\nradio = "system"\n'


@dataclass(frozen=True)
class Bluetooth:
    """config: the daemon's table for it. go, come_back: it dies, and is started again."""

    backend: Backend
    config: str
    go: Callable[[], Awaitable[None]]
    come_back: Callable[[], Awaitable[None]]


Tier = Callable[[Ether], AbstractAsyncContextManager[Bluetooth]]


@asynccontextmanager
async def bumble(ether: Ether) -> AsyncIterator[Bluetooth]:
    """Tier A: Bumble's host below bleak, its controller served over TCP. Without the server there is no adapter."""
    async with AsyncExitStack() as serving:
        port = await serving.enter_async_context(serve(ether.air, "127.0.0.1", 0))
        address = f"tcp:127.0.0.1:{port}"

        async def come_back() -> None:
            await serving.enter_async_context(serve(ether.air, "127.0.0.1", port))

        config = f'[bluetooth]\nradio = "simulated"\nradio_address = "{address}"\n'
        async with radio(address) as backend:
            yield Bluetooth(backend, config, serving.aclose, come_back)


def stood_in(bus: str) -> Tier:
    """Tier B: bleak's own backend for BlueZ, on a stand-in for BlueZ."""

    @asynccontextmanager
    async def tier(ether: Ether) -> AsyncIterator[Bluetooth]:
        async with stand_in(ether, bus) as bluez, system_backend() as backend:
            yield Bluetooth(backend, SYSTEM, bluez.crash, bluez.start)

    return tier


async def adapter_is_on(backend: Backend) -> None:
    """Returns as soon as the adapter can be asked for its bonds."""
    assert backend.bonds is not None
    while True:
        try:
            await backend.bonds.list()
        except BondFailed:
            await asyncio.sleep(0.01)
        else:
            return
