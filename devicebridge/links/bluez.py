"""Linux: what BlueZ says of its adapters and bonds, followed by a D-Bus connection of our own beside bleak's.

bleak 3.1 watches neither bluetoothd nor the adapter: when one of them goes, its scans fall silent and its clients
stay "connected" for ever. So it is told here, in the one way it understands: that its D-Bus connection was lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bleak.backends.bluezdbus import manager as bleaks
from dbus_fast.aio import MessageBus
from dbus_fast.constants import BusType, ErrorType, MessageFlag, MessageType
from dbus_fast.errors import AuthError
from dbus_fast.message import Message
from dbus_fast.unpack import unpack_variants

from .gatt_link import Bond

SERVICE, ROOT = "org.bluez", "/org/bluez"
ADAPTER, DEVICE = "org.bluez.Adapter1", "org.bluez.Device1"
PROPERTIES, MANAGER = "org.freedesktop.DBus.Properties", "org.freedesktop.DBus.ObjectManager"
CONNECT_TIMEOUT_S = 10.0
"""For the D-Bus daemon to let us in."""
RETRY_S = 5.0
"""Between attempts to reach a D-Bus that is not there."""
FALLS_MAX = 3
"""A bonded device whose link comes up and falls so often in a row before its services are known has lost its half:
the kernel hangs up where it cannot encrypt. BlueZ before 5.82 says so in no other way."""
Objects = Mapping[str, Mapping[str, Mapping[str, Any]]]

_BUS = "org.freedesktop.DBus"
_MATCHES = (
    f"type='signal',sender='{_BUS}',member='NameOwnerChanged',arg0='{SERVICE}'",
    f"type='signal',sender='{SERVICE}',interface='{MANAGER}'",
    f"type='signal',sender='{SERVICE}',interface='{PROPERTIES}',arg0='{ADAPTER}'",
    f"type='signal',sender='{SERVICE}',interface='{PROPERTIES}',arg0='{DEVICE}'",
    f"type='signal',sender='{SERVICE}',interface='{DEVICE}',member='Disconnected'",
)


class Refused(Exception):
    """A D-Bus error reply. name: as in org.bluez.Error.Failed."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


BUS_ERRORS = (OSError, EOFError, AuthError)
"""What a D-Bus that is not there, denies us or goes away raises."""


@asynccontextmanager
async def system_bus() -> AsyncIterator[MessageBus]:
    """A connection to it. Raises one of BUS_ERRORS."""
    async with AsyncExitStack() as stack:
        bus = MessageBus(bus_type=BusType.SYSTEM)
        stack.callback(bus.disconnect)  # also where it never connected
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await bus.connect()
        yield bus


async def call(bus: MessageBus, path: str, interface: str, member: str, signature: str = "", *body: Any) -> Any:
    """What BlueZ returns, None where that is nothing. Raises Refused, or one of BUS_ERRORS."""
    service = _BUS if interface == _BUS else SERVICE
    reply = await bus.call(
        Message(
            destination=service,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
            flags=MessageFlag.NO_AUTOSTART,
        )
    )
    if reply.message_type is MessageType.ERROR:
        raise Refused(reply.error_name or "", str(reply.body[0]) if reply.body else "")
    return reply.body[0] if reply.body else None


async def objects(bus: MessageBus) -> Objects:
    """All that BlueZ has: path, interface, properties."""
    found: Objects = unpack_variants(await call(bus, "/", MANAGER, "GetManagedObjects"))
    return found


def is_bonded(device: Mapping[str, Any]) -> bool:
    """Bonded is there from BlueZ 5.65 on."""
    return bool(device.get("Bonded", device.get("Paired", False)))


class BlueZ:
    """The present state of the system's Bluetooth; `run` keeps it so. adapter: None for any."""

    def __init__(self, adapter: str | None) -> None:
        self._root = f"{ROOT}/{adapter or 'hci'}"
        self._bonds: dict[str, _Held] = {}
        self._powered: dict[str, bool] = {}
        self._change = asyncio.Event()
        self._restarted = asyncio.Event()

    async def run(self) -> None:
        """Never returns, whatever becomes of D-Bus."""
        while True:
            try:
                async with system_bus() as bus:
                    await self._follow(bus)
            except (*BUS_ERRORS, Refused):
                self._forget()
                await asyncio.sleep(RETRY_S)

    async def changed(self) -> None:
        """Returns when an adapter, or BlueZ with all of them, goes, comes back, or is switched."""
        await self._change.wait()

    def bond(self, address: str) -> Bond:
        """Of the link to this address that is open, or that could not be opened.

        BlueZ opens no link to a bonded device without encrypting it.
        """
        held = self._bonds.get(address.upper())
        if held is None:
            return Bond.NONE
        return Bond.LOST if held.refused or held.falls >= FALLS_MAX else Bond.KEPT

    async def _follow(self, bus: MessageBus) -> None:
        bus.add_message_handler(self._on_message)
        for match in _MATCHES:
            await call(bus, "/org/freedesktop/DBus", _BUS, "AddMatch", "s", match)
        ended = asyncio.ensure_future(_disconnected(bus))
        try:
            while not ended.done():
                self._restarted.clear()
                await self._read(bus)
                restarted = asyncio.ensure_future(self._restarted.wait())
                await asyncio.wait((ended, restarted), return_when=asyncio.FIRST_COMPLETED)
                restarted.cancel()
        finally:
            ended.cancel()
        raise EOFError

    async def _read(self, bus: MessageBus) -> None:
        try:
            found = await objects(bus)
        except Refused as refused:
            if refused.name not in (ErrorType.SERVICE_UNKNOWN.value, ErrorType.NAME_HAS_NO_OWNER.value):
                raise
            return
        for path, interfaces in found.items():
            self._on_added(path, interfaces)

    def _on_message(self, message: Message) -> bool:
        if message.message_type is MessageType.SIGNAL and message.path is not None:
            match message.member:
                case "NameOwnerChanged":
                    self._on_owner(*message.body)
                case "InterfacesAdded":
                    self._on_added(message.body[0], unpack_variants(message.body[1]))
                    if ADAPTER in message.body[1]:
                        self._changed(lost=False)
                case "InterfacesRemoved":
                    self._on_removed(*message.body)
                case "PropertiesChanged":
                    self._on_changed(message.path, message.body[0], unpack_variants(message.body[1]))
                case "Disconnected":
                    self._on_disconnected(message.path, message.body)
        return False  # signals are for everybody

    def _on_owner(self, name: str, _: str, owner: str) -> None:
        if name == SERVICE:
            self._forget()
            if owner:
                self._restarted.set()

    def _on_added(self, path: str, interfaces: Mapping[str, Mapping[str, Any]]) -> None:
        for interface, properties in interfaces.items():
            self._on_changed(path, interface, properties)

    def _on_removed(self, path: str, interfaces: list[str]) -> None:
        if ADAPTER in interfaces and self._powered.pop(path, None) is not None:
            self._changed(lost=True)
        if DEVICE in interfaces:
            self._bonds.pop(_address(path), None)

    def _on_changed(self, path: str, interface: str, properties: Mapping[str, Any]) -> None:
        if not path.startswith(self._root):
            return
        if interface == ADAPTER and "Powered" in properties:
            was, self._powered[path] = self._powered.get(path), bool(properties["Powered"])
            if was not in (None, self._powered[path]):
                self._changed(lost=False)
        elif interface == DEVICE:
            self._on_device(_address(path), properties)

    def _on_device(self, address: str, properties: Mapping[str, Any]) -> None:
        if "Bonded" in properties or "Paired" in properties:
            if not is_bonded(properties):
                self._bonds.pop(address, None)
            else:
                self._bonds.setdefault(address, _Held())
        if (held := self._bonds.get(address)) is not None:
            if properties.get("ServicesResolved"):
                held.falls, held.refused, held.up = 0, False, False
            if "Connected" in properties:
                held.falls += held.up and not properties["Connected"]
                held.up = bool(properties["Connected"])

    def _on_disconnected(self, path: str, body: list[Any]) -> None:
        held = self._bonds.get(_address(path))
        if held is not None and body and body[0] == "org.bluez.Reason.Authentication":
            held.refused = True

    def _forget(self) -> None:
        self._powered.clear()
        self._bonds.clear()
        self._changed(lost=True)

    def _changed(self, *, lost: bool) -> None:
        if lost:
            _end_bleaks_connection()
        self._change.set()
        self._change = asyncio.Event()


@dataclass(slots=True)
class _Held:
    """A bond of ours. refused: BlueZ said the other half is gone. up: connected, and its services not yet known.

    falls: how often in a row it went from there.
    """

    refused: bool = False
    up: bool = False
    falls: int = 0


def _address(path: str) -> str:
    """Of a device, or below it: /org/bluez/hci0/dev_AA_BB_CC_DD_EE_FF/..."""
    return path.partition("/dev_")[2][:17].replace("_", ":")


def _end_bleaks_connection() -> None:
    """bleak then forgets all it was told, tells its clients that they are disconnected, and makes a new one.

    It is taken from bleak as well: dbus-fast 5.2, when asked to send over a connection that has ended, stops the event
    loop from reading the file descriptor of that number, whose it may be by then.
    """
    manager = bleaks._global_instances.get(asyncio.get_running_loop())
    if manager is not None and manager._bus is not None:
        bus, manager._bus = manager._bus, None
        bus.disconnect()


async def _disconnected(bus: MessageBus) -> None:
    try:
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
    except BUS_ERRORS:
        return
