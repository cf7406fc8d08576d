"""The bleak client backend: one connection of a Central."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from bleak.args import SizedBuffer
from bleak.assigned_numbers import CharacteristicPropertyName
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError, BleakGATTProtocolError
from bumble import att, hci
from bumble.core import BaseBumbleError
from bumble.device import Connection, Peer
from bumble.gatt import Characteristic as BumbleCharacteristic
from bumble.gatt_client import CharacteristicProxy

from .central import Central
from .devices import SimDevice, full_uuid

T = TypeVar("T")

_Properties = BumbleCharacteristic.Properties
_PROPERTIES: dict[BumbleCharacteristic.Properties, CharacteristicPropertyName] = {
    _Properties.READ: "read",
    _Properties.WRITE: "write",
    _Properties.WRITE_WITHOUT_RESPONSE: "write-without-response",
    _Properties.NOTIFY: "notify",
    _Properties.INDICATE: "indicate",
}
MTU = 517


class Client(BaseBleakClient):
    """What bleak asks of a platform. Bumble's exceptions come out as bleak's."""

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        *,
        central: Central,
        disconnected_callback: Callable[[], None] | None,
        timeout: float,
        **_: Any,
    ) -> None:
        super().__init__(address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout)
        self._central = central
        self._connection: Connection | None = None
        self.hung_up: int | None = None
        """The HCI reason for which the connection ended."""

    @property
    def name(self) -> str:
        return self.address

    @property
    def mtu_size(self) -> int:
        return self._live().att_mtu

    @property
    def is_connected(self) -> bool:
        return self._connection is not None and self._central.is_open(self._connection)

    async def connect(self, pair: bool, **_: Any) -> None:
        if self.is_connected:
            raise BleakError("already connected")
        async with asyncio.timeout(self._timeout):
            device = await self._central.device()
            async with self._central.connecting:
                self._connection = await self._create(device)
            self._connection.once(Connection.EVENT_DISCONNECTION, self._on_disconnection)
            try:
                await self._set_up(self._connection, pair)
            except BaseException:
                await self.disconnect()
                raise

    async def disconnect(self) -> None:
        if self._connection is not None and self.is_connected:
            with suppress(hci.HCI_Error, BaseBumbleError):  # the peer was quicker
                await self._connection.disconnect()

    async def pair(self, *_: Any, **__: Any) -> None:
        connection = self._live()
        if not connection.is_encrypted:
            await self._request(connection.pair())

    async def unpair(self) -> None:
        await self._central.unbond(self.address)
        await self.disconnect()

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **_: Any
    ) -> bytearray:
        return bytearray(await self._request(characteristic.obj.read_value()))

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **_: Any
    ) -> bytearray:
        return bytearray(await self._request(descriptor.obj.read_value()))

    async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool) -> None:
        await self._request(characteristic.obj.write_value(bytes(data), with_response=response))

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        await self._request(descriptor.obj.write_value(bytes(data), with_response=True))

    async def start_notify(self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **_: Any) -> None:
        proxy: CharacteristicProxy[bytes] = characteristic.obj
        if not {"notify", "indicate"} & set(characteristic.properties):
            raise BleakError("the characteristic neither notifies nor indicates")

        def on_value(value: bytes) -> None:
            callback(bytearray(value))

        await self._request(proxy.subscribe(on_value))

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        await self._request(characteristic.obj.unsubscribe())

    def _live(self) -> Connection:
        if self._connection is None or not self.is_connected:
            raise BleakError("not connected")
        return self._connection

    async def _create(self, device: SimDevice) -> Connection:
        address = self._central.on_air(self.address)
        try:
            return await device.connect_le(address, timeout=None)
        except asyncio.CancelledError:
            with suppress(hci.HCI_Error, BaseBumbleError):  # Bumble would leave the request with the controller
                await device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
            for connection in tuple(device.connections.values()):
                if connection.peer_address == address:
                    await connection.disconnect()
            raise
        except (hci.HCI_Error, BaseBumbleError) as error:
            raise BleakError("could not connect") from error

    async def _set_up(self, connection: Connection, pair: bool) -> None:
        peer = Peer(connection)
        await self._request(peer.request_mtu(MTU))
        if self._central.has_keys(connection.peer_address):
            try:
                await self._request(connection.encrypt())
            except BleakError:  # the peer forgot: the link stays, and secured reads say so
                self._live()
        elif pair:
            await self.pair()
        self.services = await self._discover(peer)

    async def _discover(self, peer: Peer) -> BleakGATTServiceCollection:
        found = BleakGATTServiceCollection()
        for service in await self._request(peer.discover_services()):
            listed = BleakGATTService(service, service.handle, full_uuid(service.uuid))
            found.add_service(listed)
            for characteristic in await self._request(peer.discover_characteristics(service=service)):
                await self._list(found, listed, characteristic, peer)
        return found

    async def _list(
        self,
        found: BleakGATTServiceCollection,
        service: BleakGATTService,
        characteristic: CharacteristicProxy[bytes],
        peer: Peer,
    ) -> None:
        listed = BleakGATTCharacteristic(
            characteristic,
            characteristic.handle,
            full_uuid(characteristic.uuid),
            [name for flag, name in _PROPERTIES.items() if characteristic.properties & flag],
            lambda: self.mtu_size - 3,
            service,
        )
        found.add_characteristic(listed)
        for descriptor in await self._request(peer.discover_descriptors(characteristic)):
            found.add_descriptor(BleakGATTDescriptor(descriptor, descriptor.handle, full_uuid(descriptor.type), listed))

    async def _request(self, operation: Coroutine[Any, Any, T]) -> T:
        """Awaits Bumble. It cancels what a disconnection cuts short, which is no cancellation of the caller."""
        try:
            connection = self._live()
        except BleakError:
            operation.close()
            raise
        try:
            return await connection.cancel_on_disconnection(operation)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._central.is_open(connection) or (task is not None and task.cancelling()):
                raise
            raise BleakError("disconnected") from None
        except att.ATT_Error as error:
            raise BleakGATTProtocolError(error.error_code) from error
        except BaseBumbleError as error:
            raise BleakError("the request failed") from error

    def _on_disconnection(self, reason: int) -> None:
        self.hung_up = reason
        if self._disconnected_callback is not None:
            self._disconnected_callback()
