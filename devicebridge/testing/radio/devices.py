"""Bumble hosts with the security and attribute rules that Bumble 0.0.236 does not keep."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from bumble import att
from bumble.core import UUID
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR as CCCD
from bumble.gatt import Characteristic as BumbleCharacteristic
from bumble.gatt import Descriptor
from bumble.gatt import Service as BumbleService
from bumble.hci import Address
from bumble.host import Host
from bumble.keys import MemoryKeyStore, PairingKeys
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.smp import PairingMethod
from bumble.transport.common import TransportSink, TransportSource

from ...sdk.simulation import Access, AttError, Characteristic, Service

_Properties = BumbleCharacteristic.Properties
_Permissions = att.Attribute.Permissions

_PROPERTIES = {
    Access.READ: _Properties.READ,
    Access.WRITE: _Properties.WRITE,
    Access.WRITE_WITHOUT_RESPONSE: _Properties.WRITE_WITHOUT_RESPONSE,
    Access.NOTIFY: _Properties.NOTIFY,
    Access.INDICATE: _Properties.INDICATE,
}
_ENCRYPTED = _Permissions.READ_REQUIRES_ENCRYPTION | _Permissions.WRITE_REQUIRES_ENCRYPTION
_DISCOVERY = (
    att.Opcode.ATT_FIND_INFORMATION_REQUEST,
    att.Opcode.ATT_FIND_BY_TYPE_VALUE_REQUEST,
    att.Opcode.ATT_READ_BY_TYPE_REQUEST,
    att.Opcode.ATT_READ_BY_GROUP_TYPE_REQUEST,
)
_AUTHENTICATED = _Permissions.READ_REQUIRES_AUTHENTICATION | _Permissions.WRITE_REQUIRES_AUTHENTICATION


def short_uuid(uuid: str) -> UUID:
    """The 16-bit form where there is one: it is what devices advertise and list."""
    if uuid.startswith("0000") and uuid.endswith("-0000-1000-8000-00805f9b34fb"):
        return UUID.from_16_bits(int(uuid[4:8], 16))
    return UUID(uuid)


def full_uuid(uuid: UUID) -> str:
    """The lower-case 128-bit form that bleak uses everywhere."""
    text = uuid.to_bytes(force_128=True)[::-1].hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def just_works() -> PairingDelegate:
    """Pairs with whoever asks, without a passkey, and hands out no identity key: addresses here are static."""
    keys = PairingDelegate.KeyDistribution.DISTRIBUTE_ENCRYPTION_KEY
    return PairingDelegate(
        PairingDelegate.NO_OUTPUT_NO_INPUT,
        local_initiator_key_distribution=keys,
        local_responder_key_distribution=keys,
    )


class SimDevice(Device):
    """A host: `authenticated` only after a pairing that was, one pairing after a failed one, legacy bonds kept.

    private: goes by a resolvable address.
    """

    def __init__(
        self,
        name: str,
        address: str,
        source: TransportSource,
        sink: TransportSink,
        *,
        keys: MemoryKeyStore,
        delegate: PairingDelegate,
        private: bool = False,
        hides_services: bool = False,
    ) -> None:
        config = DeviceConfiguration(
            name=name,
            address=Address(address),
            irk=secrets.token_bytes(16),
            le_privacy_enabled=private,
            le_rpa_timeout=0,
        )
        super().__init__(config=config, host=Host(source, sink))
        self.keystore = keys
        self.heard_s = 0.0
        self._hides_services = hides_services
        self.pairing_config_factory = lambda _: PairingConfig(delegate=delegate)

    def on_gatt_pdu(self, connection_handle: int, pdu: bytes) -> None:
        self.heard_s = asyncio.get_running_loop().time()
        connection = self.lookup_connection(connection_handle)
        if self._hides_services and pdu[0] in _DISCOVERY and connection is not None and not connection.is_encrypted:
            first_handle = int.from_bytes(pdu[1:3], "little")
            nothing = att.ATT_Error_Response(
                request_opcode_in_error=pdu[0],
                attribute_handle_in_error=first_handle,
                error_code=att.ATT_ATTRIBUTE_NOT_FOUND_ERROR,
            )
            self.gatt_server.send_response(connection, nothing)
            return
        super().on_gatt_pdu(connection_handle, pdu)

    def bond(self, address: Address) -> PairingKeys | None:
        assert isinstance(self.keystore, MemoryKeyStore)
        return self.keystore.all_keys.get(str(address))

    def on_connection_encryption_change(
        self, connection_handle: int, encryption: int, encryption_key_size: int
    ) -> None:
        super().on_connection_encryption_change(connection_handle, encryption, encryption_key_size)
        if (connection := self.lookup_connection(connection_handle)) is not None:
            connection.authenticated = self._is_authenticated(connection)

    def _is_authenticated(self, connection: Connection) -> bool:
        if session := self.smp_manager.sessions.get(connection.handle):
            return session.pairing_method != PairingMethod.JUST_WORKS
        keys = self.bond(connection.peer_address)
        key = None if keys is None else keys.ltk or keys.ltk_central
        return key is not None and key.authenticated

    def on_pairing(self, connection: Connection, identity_address: Address | None, keys: PairingKeys, sc: bool) -> None:
        super().on_pairing(connection, identity_address, keys, sc)
        connection.authenticated = self._is_authenticated(connection)

    def on_pairing_failure(self, connection: Connection, reason: int) -> None:
        super().on_pairing_failure(connection, reason)
        if session := self.smp_manager.sessions.get(connection.handle):
            session.on_disconnection(0)  # all that ending a session takes

    async def get_long_term_key(self, connection_handle: int, rand: bytes, ediv: int) -> bytes | None:
        connection = self.lookup_connection(connection_handle)
        keys = None if connection is None else self.bond(connection.peer_address)
        session = self.smp_manager.sessions.get(connection_handle)
        if session is None and keys is not None and keys.ltk_central is not None:
            return keys.ltk_central.value  # where a responder stores its own key; Bumble looks in the other place
        return await super().get_long_term_key(connection_handle, rand, ediv)

    def serve(self, services: tuple[Service, ...]) -> dict[str, BumbleCharacteristic[bytes]]:
        """Puts a fresh attribute table in place of the present one; gives its characteristics by UUID."""
        server = self.gatt_server
        server.attributes, server.services, server.attributes_by_handle = [], [], {}
        self.add_default_services()
        served: dict[str, BumbleCharacteristic[bytes]] = {}
        for service in services:
            characteristics = [self._characteristic(c) for c in service.characteristics]
            self.add_service(BumbleService(short_uuid(service.uuid), characteristics))
            served |= dict(zip((c.uuid for c in service.characteristics), characteristics, strict=True))
        return served

    def _characteristic(self, wanted: Characteristic) -> BumbleCharacteristic[bytes]:
        properties = _Properties(0)
        for access, flag in _PROPERTIES.items():
            if access in wanted.access:
                properties |= flag
        permissions = _Permissions.READABLE | _Permissions.WRITEABLE
        if wanted.encrypted or wanted.authenticated:
            permissions |= _ENCRYPTED
        if wanted.authenticated:
            permissions |= _AUTHENTICATED
        served = _Served(short_uuid(wanted.uuid), properties, permissions, _value(wanted))
        if permissions & _ENCRYPTED:  # the descriptor Bumble makes by itself asks for no security
            # Anybody may read it, as the core specification demands.
            secured = permissions & ~(_Permissions.READ_REQUIRES_ENCRYPTION | _Permissions.READ_REQUIRES_AUTHENTICATION)
            value = self.gatt_server.make_descriptor_value(served)
            served.descriptors = [Descriptor(CCCD, secured, value)]
        return served


class _Served(BumbleCharacteristic[bytes]):
    """A characteristic that can be read and written only where its properties say so."""

    async def read_value(self, bearer: att.Bearer) -> bytes:
        if not self.properties & _Properties.READ:
            raise att.ATT_Error(att.ATT_READ_NOT_PERMITTED_ERROR, self.handle)
        return await super().read_value(bearer)

    async def write_value(self, bearer: att.Bearer, value: bytes) -> None:
        if not self.properties & (_Properties.WRITE | _Properties.WRITE_WITHOUT_RESPONSE):
            raise att.ATT_Error(att.ATT_WRITE_NOT_PERMITTED_ERROR, self.handle)
        await super().write_value(bearer, value)


def _value(wanted: Characteristic) -> att.AttributeValue[bytes]:
    kept = [wanted.value]

    def read(_: Connection) -> bytes:
        value = kept[0]
        return _att(value) if callable(value) else value

    async def write(_: Connection, value: bytes) -> None:
        if wanted.written is None:
            kept[0] = value
            return
        try:
            await wanted.written(value)
        except AttError as refusal:
            raise att.ATT_Error(refusal.code) from refusal

    return att.AttributeValue(read, write)


def _att(read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except AttError as refusal:
        raise att.ATT_Error(refusal.code) from refusal
