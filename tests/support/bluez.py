"""BlueZ on a private D-Bus, and the radio of this PC on top of it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devicebridge.clock import SystemClock
from devicebridge.links.gatt import Backend, Limits, Radio
from devicebridge.links.system import system_backend
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.simulation import Access, Characteristic, GattPort, GattScenario, GattSimulator, Service


@contextmanager
def system_bus() -> Iterator[str]:
    """For as long, this is what this process and its children take for the system's D-Bus."""
    pytest.importorskip("bumble", reason="the simulated radio needs bumble")
    pytest.importorskip("dbus_fast", reason="BlueZ is Linux's")
    from devicebridge.testing.bluez import find_dbus_daemon, private_bus

    if find_dbus_daemon() is None:
        pytest.skip("dbus-daemon is not installed; on Debian and Ubuntu: apt install dbus")
    with (
        tempfile.TemporaryDirectory(prefix="bus") as folder,  # pytest's own are too long for a socket
        private_bus(Path(folder)) as address,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        yield address


@asynccontextmanager
async def over_bluez(ether: Any, bus: str) -> AsyncIterator[Backend]:
    """The system's backend, on a stand-in for BlueZ that hears what is in `ether`."""
    from devicebridge.testing.bluez import stand_in

    async with stand_in(ether, bus), system_backend() as backend:
        yield backend


@dataclass(frozen=True)
class Room:
    """What a test of BlueZ has to hand."""

    ether: Any
    bluez: Any
    backend: Backend
    radio: Radio


@asynccontextmanager
async def room(bus: str, **limits: Any) -> AsyncIterator[Room]:
    from devicebridge.testing.bluez import stand_in
    from devicebridge.testing.radio import Ether

    async with Ether(pace=0) as ether, stand_in(ether, bus) as bluez, system_backend() as backend:
        radio = Radio(backend, clock=SystemClock(), limits=Limits(**limits))
        await radio.start()
        try:
            yield Room(ether, bluez, backend, radio)
        finally:
            await radio.stop()


SERVICE, VALUES, TEXT, SECRET = (uuid16(0xFF00 + n) for n in range(4))


def thing(run: Callable[[GattPort], Awaitable[None]] | None = None) -> GattSimulator:
    """A peripheral that stays until it is left, with something to read, something secret, and values."""

    async def stay(_: GattPort) -> None:
        await asyncio.Event().wait()

    def services() -> tuple[Service, ...]:
        return (
            Service(
                SERVICE,
                (
                    Characteristic(uuid=VALUES, access=Access.INDICATE),
                    Characteristic(uuid=TEXT, access=Access.READ, value=b"text"),
                    Characteristic(uuid=SECRET, access=Access.READ, value=b"secret", encrypted=True),
                ),
            ),
        )

    scenario = GattScenario(title="t", services=services, run=run or stay)
    return GattSimulator(id="thing", name="Thing", advertised=(SERVICE,), scenarios={"only": scenario})
