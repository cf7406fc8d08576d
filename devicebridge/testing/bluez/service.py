"""The stand-in itself: Adapter1 over a Central, and the life of the service around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bumble.device import Advertisement
from bumble.hci import Address
from dbus_fast.aio import MessageBus
from dbus_fast.constants import MessageType
from dbus_fast.message import Message
from dbus_fast.signature import Variant

from ..radio.central import CENTRAL_ADDRESS, Central
from ..radio.ether import Ether
from ..radio.scanner import advertisement_data
from .agents import PATH, Agents
from .objects import NOTHING, Interface, Objects, Refused, Reply
from .remote import Remote

ADAPTER = "org.bluez.Adapter1"
ADAPTER_PATH = f"{PATH}/hci0"
_OWNER_CHANGES = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'"


class StandIn:
    """`bluetoothd` over a Bumble central. Bonds outlive `crash` and `unplug`, as they do on a real disk.

    hung: D-Bus members that are never answered or signalled.
    """

    def __init__(self, central: Central, bus_address: str) -> None:
        self.hung: set[str] = set()
        self._central = central
        self._bus_address = bus_address
        self._bus: MessageBus | None = None
        self._remotes: dict[Address, Remote] = {}
        self._scanning: set[str] = set()
        self._switching = asyncio.Lock()  # the scan on or off, one at a time
        self._powered = True

    @property
    def scanning(self) -> bool:
        return bool(self._scanning)

    async def start(self) -> None:
        self._bus = await MessageBus(self._bus_address).connect()
        self._objects = Objects(self._bus, self.hung)
        self._agents = Agents(self._bus)
        self._bus.add_message_handler(self._on_signal)
        await self._bus.call(
            Message(
                destination="org.freedesktop.DBus",
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="AddMatch",
                signature="s",
                body=[_OWNER_CHANGES],
            )
        )
        self._objects.add(PATH, self._agents.interface())
        await self._bus.request_name("org.bluez")
        self.plug()

    async def crash(self) -> None:
        """Gone without a word; its connections to devices go with it."""
        if self._bus is not None:
            self._objects.close()
            self._bus = None
        await self._quiet()
        for remote in self._remotes.values():
            await remote.hang_up()
        self._remotes.clear()

    def plug(self) -> None:
        """An adapter appears, and the devices it is bonded with."""
        properties = {
            "Address": Variant("s", CENTRAL_ADDRESS),
            "Name": Variant("s", "stand-in"),
            "Alias": Variant("s", "stand-in"),
            "Powered": Variant("b", self._powered),
            "Discovering": Variant("b", False),
            "Roles": Variant("as", ["central"]),
            "UUIDs": Variant("as", []),
        }
        methods = {
            "SetDiscoveryFilter": self._on_filter,
            "StartDiscovery": self._on_start,
            "StopDiscovery": self._on_stop,
            "RemoveDevice": self._on_remove,
        }
        self._objects.add(ADAPTER_PATH, Interface(ADAPTER, properties, methods, {"Powered": self.power}))
        for address in self._central.bonded:
            self._remote(Address(address))

    async def unplug(self) -> None:
        """The adapter disappears, and what hangs on it."""
        await self._quiet()
        for remote in self._remotes.values():
            await remote.hang_up()
        self._remotes.clear()
        self._objects.remove(ADAPTER_PATH)

    async def power(self, on: bool) -> None:
        """The adapter's switch."""
        self._powered = on
        if not on:
            await self._quiet()
            for remote in self._remotes.values():
                await remote.hang_up()
        await self._central.power(on)
        self._objects.change(ADAPTER_PATH, ADAPTER, Powered=Variant("b", on))

    async def _quiet(self) -> None:
        self._scanning.clear()
        async with self._switching:
            await self._central.stop_scan(self._hear)

    def _remote(self, address: Address) -> Remote:
        if (remote := self._remotes.get(address)) is None:
            remote = Remote(self._objects, self._agents, self._central, ADAPTER_PATH, address)
            self._remotes[address] = remote
        return remote

    def _hear(self, advertisement: Advertisement) -> None:
        data = advertisement_data(advertisement)
        flags = data.platform_data[1]["AdvertisingFlags"]
        self._remote(advertisement.address).hear(data.rssi, flags, data.local_name, data.service_uuids)

    async def _on_filter(self, _: Message) -> Reply:
        self._ready()
        return NOTHING

    async def _on_start(self, message: Message) -> Reply:
        self._ready()
        if message.sender in self._scanning:
            raise Refused("InProgress", "Operation already in progress")
        self._scanning.add(message.sender or "")
        async with self._switching:
            await self._central.scan(self._hear)
        self._objects.change(ADAPTER_PATH, ADAPTER, Discovering=Variant("b", True))
        return NOTHING

    async def _on_stop(self, message: Message) -> Reply:
        self._ready()
        if message.sender not in self._scanning:
            raise Refused("Failed", "No discovery started")
        await self._stop_scanning(message.sender)
        return NOTHING

    async def _on_remove(self, message: Message) -> Reply:
        path = message.body[0]
        remote = next((remote for remote in self._remotes.values() if remote.path == path), None)
        if remote is None:
            raise Refused("DoesNotExist", "Does Not Exist")
        await remote.forget()
        self._objects.remove(path)
        del self._remotes[remote.address]
        return NOTHING

    async def _stop_scanning(self, client: str) -> None:
        self._scanning.discard(client)
        if not self._scanning:
            await self._quiet()
            for remote in self._remotes.values():
                remote.unheard()
            self._objects.change(ADAPTER_PATH, ADAPTER, Discovering=Variant("b", False))

    def _ready(self) -> None:
        if not self._powered:
            raise Refused("NotReady", "Resource Not Ready")

    def _on_signal(self, message: Message) -> bool:
        """A D-Bus client that goes takes its scan, its agent and its subscriptions with it, but no connection."""
        if message.message_type is MessageType.SIGNAL and message.member == "NameOwnerChanged":
            name, _, owner = message.body
            if not owner:
                self._agents.drop(name)
                for remote in self._remotes.values():
                    remote.drop(name)
                if name in self._scanning:
                    asyncio.ensure_future(self._stop_scanning(name))  # noqa: RUF006  ends at once
        return False


@asynccontextmanager
async def stand_in(ether: Ether, bus_address: str) -> AsyncIterator[StandIn]:
    """An org.bluez whose one adapter hears the peripherals of `ether`."""
    async with ether.central() as central:
        service = StandIn(central, bus_address)
        await service.start()
        try:
            yield service
        finally:
            await service.crash()
