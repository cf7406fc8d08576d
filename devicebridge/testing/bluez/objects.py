"""D-Bus objects with properties, methods and an ObjectManager at the root, as BlueZ has them.

Interfaces here are data, not classes: most objects come and go with a device.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dbus_fast.aio import MessageBus
from dbus_fast.constants import MessageType
from dbus_fast.message import Message
from dbus_fast.signature import Variant

MANAGER = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
Reply = tuple[str, list[Any]]
"""A signature and a body."""
NOTHING: Reply = ("", [])
Method = Callable[[Message], Awaitable[Reply]]
Setter = Callable[[Any], Awaitable[None]]


class Refused(Exception):
    """What a method answers with in place of a reply. name: without a dot, one of org.bluez.Error."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(text or name)
        self.name = name if "." in name else f"org.bluez.Error.{name}"
        self.text = text or name


@dataclass
class Interface:
    """setters: of the properties that may be written."""

    name: str
    properties: dict[str, Variant] = field(default_factory=dict)
    methods: Mapping[str, Method] = field(default_factory=dict)
    setters: Mapping[str, Setter] = field(default_factory=dict)


class Objects:
    """All that one D-Bus connection exports.

    hung: members that are never answered, as by a Bluetooth service that has stalled, or never signalled.
    """

    def __init__(self, bus: MessageBus, hung: set[str]) -> None:
        self._bus = bus
        self._hung = hung
        self._objects: dict[str, dict[str, Interface]] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._own = {
            (MANAGER, "GetManagedObjects"): self._managed,
            (PROPERTIES, "Get"): self._get,
            (PROPERTIES, "GetAll"): self._get_all,
            (PROPERTIES, "Set"): self._set,
        }
        bus.add_message_handler(self._on_message)

    def signal(self, path: str, interface: str, member: str, signature: str, *body: Any) -> None:
        if member not in self._hung:
            self._send(Message.new_signal(path, interface, member, signature, list(body)))

    def add(self, path: str, *interfaces: Interface) -> None:
        self._objects[path] = {interface.name: interface for interface in interfaces}
        self.signal("/", MANAGER, "InterfacesAdded", "oa{sa{sv}}", path, _described(self._objects[path]))

    def remove(self, path: str) -> None:
        """The object and those below it, leaves first."""
        for below in sorted(self._objects, reverse=True):
            if below == path or below.startswith(f"{path}/"):
                names = list(self._objects.pop(below))
                self.signal("/", MANAGER, "InterfacesRemoved", "oas", below, names)

    def change(self, path: str, interface: str, *gone: str, **changed: Variant) -> None:
        """Property values that are new, and names of those that are no more."""
        properties = self._objects[path][interface].properties
        properties.update(changed)
        for name in gone:
            properties.pop(name, None)
        self.signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", interface, changed, list(gone))

    def value(self, path: str, interface: str, name: str) -> Any:
        return self._objects[path][interface].properties[name].value

    def close(self) -> None:
        for call in self._calls:
            call.cancel()
        self._bus.disconnect()

    def _send(self, message: Message) -> None:
        if self._bus.connected:
            self._bus.send(message)

    def _on_message(self, message: Message) -> bool:
        if message.message_type is not MessageType.METHOD_CALL:
            return False
        if message.member not in self._hung:
            call = asyncio.ensure_future(self._answer(message))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        return True

    async def _answer(self, message: Message) -> None:
        try:
            signature, body = await self._find(message)(message)
        except Refused as refused:
            self._send(Message.new_error(message, refused.name, refused.text))
        except Exception:
            self._send(Message.new_error(message, "org.freedesktop.DBus.Error.Failed", "the stand-in has a fault"))
            raise
        else:
            self._send(Message.new_method_return(message, signature, body))

    def _find(self, message: Message) -> Method:
        member = message.member or ""
        if (own := self._own.get((message.interface or "", member))) is not None:
            return own
        if (method := self._interface(message, message.interface).methods.get(member)) is None:
            raise Refused("org.freedesktop.DBus.Error.UnknownMethod")
        return method

    def _interface(self, message: Message, name: str | None) -> Interface:
        interfaces = self._objects.get(message.path or "")
        if interfaces is None:
            raise Refused("org.freedesktop.DBus.Error.UnknownObject")
        if name not in interfaces:
            raise Refused("org.freedesktop.DBus.Error.UnknownMethod")
        return interfaces[name]

    async def _managed(self, _: Message) -> Reply:
        return "a{oa{sa{sv}}}", [{path: _described(interfaces) for path, interfaces in self._objects.items()}]

    async def _get(self, message: Message) -> Reply:
        name, wanted = message.body
        properties = self._interface(message, name).properties
        if wanted not in properties:
            raise Refused("org.freedesktop.DBus.Error.InvalidArgs", f"No such property '{wanted}'")
        return "v", [properties[wanted]]

    async def _get_all(self, message: Message) -> Reply:
        return "a{sv}", [self._interface(message, message.body[0]).properties]

    async def _set(self, message: Message) -> Reply:
        name, wanted, variant = message.body
        setter = self._interface(message, name).setters.get(wanted)
        if setter is None:
            raise Refused("org.freedesktop.DBus.Error.PropertyReadOnly")
        await setter(variant.value)
        return NOTHING


def _described(interfaces: Mapping[str, Interface]) -> dict[str, dict[str, Variant]]:
    return {name: interface.properties for name, interface in interfaces.items()}
