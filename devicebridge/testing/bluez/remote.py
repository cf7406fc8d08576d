"""Device1: a peripheral as BlueZ shows it, over one Bumble connection at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from bumble import hci
from bumble.core import BaseBumbleError
from bumble.device import Connection
from bumble.hci import Address
from dbus_fast.message import Message
from dbus_fast.signature import Variant

from ..radio.central import Central
from .agents import Agents
from .gatt import Table
from .objects import NOTHING, Interface, Objects, Refused, Reply

DEVICE = "org.bluez.Device1"
CONNECT_TIMEOUT_S = 20.0
"""The kernel's, for an LE connection."""
_NO = Variant("b", False)
_YES = Variant("b", True)


class Remote:
    """Gone from D-Bus after `forget` or when its adapter goes; its bond may stay with the central."""

    def __init__(self, objects: Objects, agents: Agents, central: Central, adapter: str, address: Address) -> None:
        self.path = f"{adapter}/dev_{_text(address).replace(':', '_')}"
        self.address = address
        self._objects = objects
        self._agents = agents
        self._central = central
        self._connection: Connection | None = None
        self._table: Table | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._pairing: asyncio.Task[None] | None = None
        self._resolving: asyncio.Task[None] | None = None
        bonded = Variant("b", central.has_keys(address))
        properties = {
            "Address": Variant("s", _text(address)),
            "AddressType": Variant("s", "random"),
            "Alias": Variant("s", _text(address).replace(":", "-")),
            "Adapter": Variant("o", adapter),
            "UUIDs": Variant("as", []),
            "Paired": bonded,
            "Bonded": bonded,
            "Trusted": _NO,
            "Blocked": _NO,
            "LegacyPairing": _NO,
            "Connected": _NO,
            "ServicesResolved": _NO,
        }
        methods = {
            "Connect": self._on_connect,
            "Disconnect": self._on_disconnect,
            "Pair": self._on_pair,
            "CancelPairing": self._on_cancel_pairing,
        }
        objects.add(self.path, Interface(DEVICE, properties, methods, {"Trusted": self._trust}))

    def hear(self, rssi_dbm: int, flags: bytes, name: str | None, services: list[str]) -> None:
        changed = {"RSSI": Variant("n", rssi_dbm), "AdvertisingFlags": Variant("ay", flags)}
        if name is not None:
            changed |= {key: Variant("s", name) for key in ("Name", "Alias")}
        self._objects.change(self.path, DEVICE, **changed, **self._with_uuids(services))

    def unheard(self) -> None:
        """Nobody scans any more."""
        self._objects.change(self.path, DEVICE, "RSSI")

    async def hang_up(self) -> None:
        for task in (self._connecting, self._pairing, self._resolving):
            if task is not None:
                task.cancel()
        if self._connection is not None:
            await _ended(self._connection.disconnect())

    async def forget(self) -> None:
        await self.hang_up()
        await self._central.unbond(str(self.address))

    def drop(self, client: str) -> None:
        if self._table is not None:
            self._table.drop(client)

    def _with_uuids(self, uuids: list[str]) -> dict[str, Variant]:
        """BlueZ lists what was advertised and what was discovered in one property."""
        known = self._objects.value(self.path, DEVICE, "UUIDs")
        new = [uuid for uuid in uuids if uuid not in known]
        return {"UUIDs": Variant("as", [*known, *new])} if new else {}

    async def _trust(self, value: bool) -> None:
        self._objects.change(self.path, DEVICE, Trusted=Variant("b", value))

    async def _on_connect(self, _: Message) -> Reply:
        if self._connection is None:
            if self._connecting is not None:
                raise Refused("InProgress", "Operation already in progress")
            self._connecting = asyncio.ensure_future(self._connect())
            await self._outcome(self._connecting, "Failed", "le-connection-abort-by-local")
        return NOTHING

    async def _on_disconnect(self, _: Message) -> Reply:
        await self.hang_up()
        return NOTHING

    async def _on_pair(self, message: Message) -> Reply:
        if self._central.has_keys(self.address):
            raise Refused("AlreadyExists", "Already Exists")
        if self._pairing is not None:
            raise Refused("InProgress", "Operation already in progress")
        self._pairing = asyncio.ensure_future(self._pair(message.sender or ""))
        await self._outcome(self._pairing, "AuthenticationCanceled", "Authentication Canceled")
        return NOTHING

    async def _on_cancel_pairing(self, _: Message) -> Reply:
        if self._pairing is None:
            raise Refused("DoesNotExist", "Does Not Exist")
        self._pairing.cancel()
        return NOTHING

    async def _outcome(self, task: asyncio.Task[None], name: str, text: str) -> None:
        """Of a call that another may cancel."""
        try:
            await asyncio.wait((task,))
        finally:
            self._connecting = None if task is self._connecting else self._connecting
            self._pairing = None if task is self._pairing else self._pairing
        if task.cancelled():
            raise Refused(name, text)
        task.result()

    async def _connect(self) -> None:
        device = await self._central.device()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S), self._central.connecting:
                connection = await device.connect_le(self.address, timeout=None)
        except asyncio.CancelledError:
            await _ended(device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command()))
            raise
        except (TimeoutError, hci.HCI_Error, BaseBumbleError) as error:
            raise Refused("Failed", "le-connection-abort-by-local") from error
        self._connection = connection
        connection.once(Connection.EVENT_DISCONNECTION, self._on_disconnection)
        self._objects.change(self.path, DEVICE, Connected=_YES)
        if self._central.has_keys(self.address):
            await self._encrypt(connection)
        self._resolving = asyncio.ensure_future(self._resolve(connection))

    async def _encrypt(self, connection: Connection) -> None:
        """The kernel hangs up on a bonded device that cannot be encrypted with."""
        try:
            await connection.cancel_on_disconnection(connection.encrypt())
        except (asyncio.CancelledError, hci.HCI_Error, BaseBumbleError) as error:
            text = "Connection terminated due to authentication failure"
            self._objects.signal(self.path, DEVICE, "Disconnected", "ss", "org.bluez.Reason.Authentication", text)
            await _ended(connection.disconnect())
            raise Refused("Failed", "le-connection-abort-by-local") from error

    async def _resolve(self, connection: Connection) -> None:
        table = self._table = Table(self._objects, self.path, connection)
        with suppress(Refused):
            await table.discover()
            self._objects.change(self.path, DEVICE, ServicesResolved=_YES, **self._with_uuids(table.uuids))

    async def _pair(self, client: str) -> None:
        agent = self._agents.of(client, self.path)
        if self._connection is None:
            try:
                await self._connect()
            except Refused as refused:
                raise Refused("ConnectionAttemptFailed", "Page Timeout") from refused
        connection = self._connection
        if connection is None:
            raise Refused("ConnectionAttemptFailed", "Page Timeout")
        self._central.delegate = agent
        try:
            with agent.asked():
                await connection.cancel_on_disconnection(connection.pair())
        except asyncio.CancelledError:  # by CancelPairing, or by a disconnection
            await _ended(connection.disconnect())
            raise
        except BaseBumbleError as error:
            await _ended(connection.disconnect())
            raise Refused("AuthenticationFailed", "Authentication Failed") from error
        self._objects.change(self.path, DEVICE, Paired=_YES, Bonded=_YES)

    def _on_disconnection(self, _: int) -> None:
        self._connection = None
        if self._resolving is not None:
            self._resolving.cancel()
        self._objects.change(self.path, DEVICE, ServicesResolved=_NO, Connected=_NO)
        if self._table is not None:
            self._table.remove()
            self._table = None


def _text(address: Address) -> str:
    return str(address.to_string(with_type_qualifier=False))


async def _ended(operation: Coroutine[Any, Any, Any]) -> None:
    """Whether it was we who ended it or the other side makes no difference."""
    with suppress(hci.HCI_Error, BaseBumbleError):
        await operation
