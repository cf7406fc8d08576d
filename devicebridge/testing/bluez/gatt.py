"""One connection's attributes as D-Bus objects: GattService1, GattCharacteristic1, GattDescriptor1.

Errors are named as BlueZ names them (src/gatt-client.c, create_gatt_dbus_error).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from bumble import att
from bumble.core import BaseBumbleError
from bumble.device import Connection, Peer
from bumble.gatt import Characteristic as BumbleCharacteristic
from bumble.gatt_client import CharacteristicProxy, DescriptorProxy, ServiceProxy
from dbus_fast.message import Message
from dbus_fast.signature import Variant

from ..radio.devices import full_uuid
from .objects import NOTHING, Interface, Method, Objects, Refused, Reply

T = TypeVar("T")

SERVICE = "org.bluez.GattService1"
CHARACTERISTIC = "org.bluez.GattCharacteristic1"
DESCRIPTOR = "org.bluez.GattDescriptor1"
_Properties = BumbleCharacteristic.Properties
_FLAGS = {
    _Properties.READ: "read",
    _Properties.WRITE: "write",
    _Properties.WRITE_WITHOUT_RESPONSE: "write-without-response",
    _Properties.NOTIFY: "notify",
    _Properties.INDICATE: "indicate",
}
_ERRORS: dict[int, tuple[str, str]] = {
    att.ATT_READ_NOT_PERMITTED_ERROR: ("NotPermitted", "Read not permitted"),
    att.ATT_WRITE_NOT_PERMITTED_ERROR: ("NotPermitted", "Write not permitted"),
    att.ATT_INSUFFICIENT_AUTHENTICATION_ERROR: ("NotPermitted", "Not paired"),
    att.ATT_INSUFFICIENT_ENCRYPTION_ERROR: ("NotPermitted", "Not paired"),
    att.ATT_INSUFFICIENT_ENCRYPTION_KEY_SIZE_ERROR: ("NotPermitted", "Not paired"),
    att.ATT_INVALID_OFFSET_ERROR: ("InvalidArguments", "Invalid offset"),
    att.ATT_INVALID_ATTRIBUTE_LENGTH_ERROR: ("InvalidArguments", "Invalid Length"),
    att.ATT_INSUFFICIENT_AUTHORIZATION_ERROR: ("NotAuthorized", "Not Authorized"),
    att.ATT_REQUEST_NOT_SUPPORTED_ERROR: ("NotSupported", "Operation is not supported"),
}
_UNLIKELY = 0x0E
"""What BlueZ makes of a request that a disconnection cut short."""


class Table:
    """The attributes of one connection. `path`: the device's object, theirs are below it."""

    def __init__(self, objects: Objects, path: str, connection: Connection) -> None:
        self._objects = objects
        self._path = path
        self._connection = connection
        self._roots: list[str] = []
        self._notified: dict[str, set[str]] = {}
        self.uuids: list[str] = []

    async def discover(self) -> None:
        peer = Peer(self._connection)
        await self._request(peer.request_mtu(517))
        for service in await self._request(peer.discover_services()):
            await self._add_service(peer, service)

    def remove(self) -> None:
        for path in self._roots:
            self._objects.remove(path)
        self._roots.clear()

    def drop(self, client: str) -> None:
        """A D-Bus client went away, and what it had subscribed to."""
        for clients in self._notified.values():
            clients.discard(client)

    async def _add_service(self, peer: Peer, service: ServiceProxy) -> None:
        path = f"{self._path}/service{service.handle:04x}"
        uuid = full_uuid(service.uuid)
        self.uuids.append(uuid)
        self._roots.append(path)
        properties = {"UUID": Variant("s", uuid), "Primary": Variant("b", True), "Device": Variant("o", self._path)}
        self._objects.add(path, Interface(SERVICE, {**properties, "Includes": Variant("ao", [])}))
        for characteristic in await self._request(peer.discover_characteristics(service=service)):
            await self._add_characteristic(peer, path, characteristic)

    async def _add_characteristic(self, peer: Peer, service: str, proxy: CharacteristicProxy[bytes]) -> None:
        path = f"{service}/char{proxy.handle - 1:04x}"  # BlueZ names it by its declaration
        properties = {
            "UUID": Variant("s", full_uuid(proxy.uuid)),
            "Service": Variant("o", service),
            "Value": Variant("ay", b""),
            "Notifying": Variant("b", False),
            "Flags": Variant("as", [name for flag, name in _FLAGS.items() if proxy.properties & flag]),
            "MTU": Variant("q", self._connection.att_mtu),
        }
        methods: dict[str, Method] = {
            "ReadValue": lambda _: self._read(proxy.read_value(), lambda value: self._show(path, value)),
            "WriteValue": lambda message: self._write(proxy, message),
            "StartNotify": lambda message: self._start_notify(path, proxy, message.sender),
            "StopNotify": lambda message: self._stop_notify(path, proxy, message.sender),
        }
        self._objects.add(path, Interface(CHARACTERISTIC, properties, methods))
        for descriptor in await self._request(peer.discover_descriptors(proxy)):
            self._add_descriptor(path, descriptor)

    def _add_descriptor(self, characteristic: str, proxy: DescriptorProxy) -> None:
        properties = {
            "UUID": Variant("s", full_uuid(proxy.type)),
            "Characteristic": Variant("o", characteristic),
            "Value": Variant("ay", b""),
        }
        methods: dict[str, Method] = {
            "ReadValue": lambda _: self._read(proxy.read_value(), lambda value: None),
            "WriteValue": lambda message: self._write(proxy, message),
        }
        self._objects.add(f"{characteristic}/desc{proxy.handle:04x}", Interface(DESCRIPTOR, properties, methods))

    async def _read(self, reading: Coroutine[Any, Any, bytes], show: Callable[[bytes], None]) -> Reply:
        value = bytes(await self._request(reading))
        show(value)
        return "ay", [value]

    async def _write(self, proxy: CharacteristicProxy[bytes] | DescriptorProxy, message: Message) -> Reply:
        value, options = message.body
        kind = options.get("type", Variant("s", "request")).value
        await self._request(proxy.write_value(bytes(value), with_response=kind == "request"))
        return NOTHING

    async def _start_notify(self, path: str, proxy: CharacteristicProxy[bytes], client: str | None) -> Reply:
        if not proxy.properties & (_Properties.NOTIFY | _Properties.INDICATE):
            raise Refused("NotSupported", "Operation is not supported")
        clients = self._notified.setdefault(path, set())
        first = not clients
        clients.add(client or "")  # before it subscribes: values come at once
        if first:
            try:
                await self._request(proxy.subscribe(lambda value: self._on_value(path, value)))
            except Refused:
                clients.clear()
                raise
        self._objects.change(path, CHARACTERISTIC, Notifying=Variant("b", True))
        return NOTHING

    async def _stop_notify(self, path: str, proxy: CharacteristicProxy[bytes], client: str | None) -> Reply:
        clients = self._notified.get(path, set())
        if client not in clients:
            raise Refused("Failed", "No notify session started")
        clients.discard(client)
        if not clients:
            await self._request(proxy.unsubscribe())
            self._objects.change(path, CHARACTERISTIC, Notifying=Variant("b", False))
        return NOTHING

    def _on_value(self, path: str, value: bytes) -> None:
        if self._notified.get(path):
            self._show(path, value)

    def _show(self, path: str, value: bytes) -> None:
        """BlueZ announces what was read just as what was notified."""
        self._objects.change(path, CHARACTERISTIC, Value=Variant("ay", value))

    async def _request(self, operation: Coroutine[Any, Any, T]) -> T:
        try:
            return await self._connection.cancel_on_disconnection(operation)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise Refused("Failed", f"Operation failed with ATT error: 0x{_UNLIKELY:02x}") from None
        except att.ATT_Error as error:
            default = ("Failed", f"Operation failed with ATT error: 0x{error.error_code:02x}")
            raise Refused(*_ERRORS.get(error.error_code, default)) from error
        except BaseBumbleError as error:
            raise Refused("Failed", f"Operation failed with ATT error: 0x{_UNLIKELY:02x}") from error
