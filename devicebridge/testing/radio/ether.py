"""The air of one room: simulated peripherals, and the adapters that hear them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from types import TracebackType

from bumble.core import AdvertisingData
from bumble.hci import Address
from bumble.pairing import PairingDelegate
from bumble.transport.common import AsyncPipeSink, Transport

from ...links.gatt import Backend
from ...sdk.simulation import GattScenario, GattSimulator
from .backends import backend
from .central import Central
from .controllers import Air, SimController
from .peripheral import Peripheral
from .security import Security
from .serving import serve


class Ether:
    """Hosts any number of peripherals. Everything in it runs in this process's event loop.

    interval_s: the connection interval that packets wait for, None for no wait at all.
    pace: how long a simulated second lasts, 0 for tests.
    """

    def __init__(self, *, interval_s: float | None = None, pace: float = 1.0) -> None:
        self._air = Air(interval_s)
        self._pace = pace
        self._stack = AsyncExitStack()
        self._places: dict[str, int] = {}
        self._strangers = 0

    @property
    def air(self) -> Air:
        """For controllers that behave as no Peripheral does."""
        return self._air

    async def __aenter__(self) -> Ether:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raises what a scenario raised."""
        await self._stack.aclose()

    async def add(
        self,
        simulator: GattSimulator,
        scenario: str | GattScenario,
        *,
        address: str | None = None,
        period_s: float | None = None,
        awake: bool = True,
        delegate: PairingDelegate | None = None,
        security: Security | None = None,
    ) -> Peripheral:
        """A peripheral with a random static address, the same for the same simulator and place in the ether.

        period_s: wakes again so long after it hung up; None: only when told to `wake`.
        security: sends values only to hosts that it bonded with in its pairing mode, in which it begins.
        """
        place = self._places[simulator.id] = self._places.get(simulator.id, -1) + 1
        peripheral = Peripheral(
            self._air,
            simulator,
            simulator.scenarios[scenario] if isinstance(scenario, str) else scenario,
            address or static_address(simulator.id, place),
            period_s=period_s,
            pace=self._pace,
            delegate=delegate,
            security=security,
        )
        await peripheral.start()
        self._stack.push_async_callback(peripheral.stop)
        if awake:
            peripheral.wake()
        return peripheral

    def crowd(self, addresses: int, *, name: bytes = b"") -> None:
        """An advertisement flood: one from each of so many addresses that nobody has heard before.

        name: any bytes for their local name, well-formed or not.
        """
        data = AdvertisingData([(AdvertisingData.Type.COMPLETE_LOCAL_NAME, name)]) if name else AdvertisingData()
        for _ in range(addresses):
            self._strangers += 1
            self._air.advertise(Address(static_address("crowd", self._strangers)), bytes(data))

    @asynccontextmanager
    async def central(self, *, delegate: PairingDelegate | None = None) -> AsyncIterator[Central]:
        """An adapter in this process, with its switch."""
        controller = SimController("central", link=self._air)

        async def attach() -> Transport:
            controller.terminated = asyncio.get_running_loop().create_future()
            return Transport(controller, AsyncPipeSink(controller))

        central = Central(attach, delegate=delegate)
        try:
            yield central
        finally:
            await central.close()
            self._air.remove_controller(controller)

    @asynccontextmanager
    async def radio(self) -> AsyncIterator[Backend]:
        """An adapter in this process."""
        async with self.central() as central:
            yield backend(central)

    async def serve_tcp(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """An adapter served as HCI over TCP, which programs share; gives the address for `radio`."""
        port = await self._stack.enter_async_context(serve(self._air, host, port))
        return f"tcp:{host}:{port}"


def static_address(simulator: str, place: int) -> str:
    """A random static address: the two highest bits are set (Bluetooth Core 5.4, vol 6 part B, 1.3.2.1)."""
    digest = bytearray(sha256(f"{simulator}/{place}".encode()).digest()[:6])
    digest[0] |= 0xC0
    return ":".join(f"{byte:02X}" for byte in digest)
