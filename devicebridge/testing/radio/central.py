"""The host's side: an adapter with the operating system's stack above it.

A Central attaches to its controller when it is first
needed and again after that was lost, so that a radio that is not there is an absent adapter, as on a real PC.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason
from bumble import hci
from bumble.core import BaseBumbleError
from bumble.device import Advertisement, Connection
from bumble.hci import Address
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import Transport

from ...links.gatt import Bond
from .devices import SimDevice, just_works
from .keys import KeptKeys

ATTACH_TIMEOUT_S = 5.0
"""For a controller to answer its reset; on loopback it takes milliseconds."""
CENTRAL_ADDRESS = "C0:DE:B1:D6:E0:01"
Attach = Callable[[], Awaitable[Transport]]
Heard = Callable[[Advertisement], None]


class Central:
    """One adapter with its host stack. `attach` opens the way to the controller; it raises OSError if there is none.

    delegate: who answers while a bond is being made.
    """

    def __init__(
        self, attach: Attach, *, delegate: PairingDelegate | None = None, keys: KeptKeys | None = None
    ) -> None:
        self.connecting = asyncio.Lock()  # Bumble makes one connection at a time
        self._attach = attach
        self.delegate = delegate or just_works()
        self._keys = keys or KeptKeys()
        self._powered = True
        self._attaching = asyncio.Lock()
        self._transport: Transport | None = None
        self._device: SimDevice | None = None
        self._scanners: set[Heard] = set()
        self._on_air: dict[str, Address] = {}

    async def power(self, on: bool) -> None:
        """The adapter's switch. Off ends every connection and scan."""
        self._powered = on
        if not on:
            await self.close()

    async def close(self) -> None:
        device, transport, self._device, self._transport = self._device, self._transport, None, None
        self._scanners.clear()
        if device is not None:
            with suppress(BaseBumbleError, TimeoutError):
                async with asyncio.timeout(ATTACH_TIMEOUT_S):
                    await device.send_sync_command(hci.HCI_Reset_Command())  # ends the connections
                    await device.power_off()
        if transport is not None:
            await transport.close()

    async def device(self) -> SimDevice:
        """The host, ready to use. Raises BleakBluetoothNotAvailableError with the reason if it cannot be."""
        async with self._attaching:
            if not self._powered:
                raise BleakBluetoothNotAvailableError(
                    "The simulated adapter is off", BleakBluetoothNotAvailableReason.POWERED_OFF
                )
            if self._device is None:
                try:
                    async with asyncio.timeout(ATTACH_TIMEOUT_S):
                        self._device = await self._power_on()
                except (OSError, BaseBumbleError) as error:
                    raise BleakBluetoothNotAvailableError(
                        "No simulated radio answers", BleakBluetoothNotAvailableReason.NO_BLUETOOTH
                    ) from error
            return self._device

    async def scan(self, heard: Heard) -> None:
        """Any number of listeners share one scan."""
        device = await self.device()
        if not self._scanners:
            await device.start_scanning()
        self._scanners.add(heard)

    async def stop_scan(self, heard: Heard) -> None:
        self._scanners.discard(heard)
        if not self._scanners and self._device is not None:
            await self._device.stop_scanning()

    @property
    def bonded(self) -> tuple[str, ...]:
        """The addresses that keys are held for."""
        self._keys.refresh()
        return tuple(sorted(self._keys.all_keys))

    def identity(self, address: Address) -> Address:
        """Who goes by this resolvable address; itself where that is not known."""
        resolver = None if self._device is None else self._device.address_resolver
        found = resolver.resolve(address) if resolver is not None and address.is_resolvable else None
        if found is None:
            return address
        self._on_air[found.to_string(with_type_qualifier=False)] = address
        return found

    def on_air(self, address: str) -> Address:
        """The address that this device was last heard with."""
        return self._on_air.get(address, Address(address))

    def has_keys(self, address: Address) -> bool:
        return str(address) in self.bonded

    def bond(self, address: str) -> Bond:
        peer = Address(address)
        if not self.has_keys(peer):
            return Bond.NONE
        connections = () if self._device is None else self._device.connections.values()
        lost = any(c.peer_address == peer and not c.is_encrypted for c in connections)
        return Bond.LOST if lost else Bond.KEPT

    async def unbond(self, address: str) -> None:
        await self._keys.delete(str(Address(address)))

    def is_open(self, connection: Connection) -> bool:
        return self._device is not None and self._device.lookup_connection(connection.handle) is connection

    async def _power_on(self) -> SimDevice:
        self._transport = await self._attach()
        source, sink = self._transport
        device = SimDevice("central", CENTRAL_ADDRESS, source, sink, keys=self._keys, delegate=self.delegate)
        device.pairing_config_factory = lambda _: PairingConfig(delegate=self.delegate)
        device.on(device.EVENT_ADVERTISEMENT, self._on_advertisement)
        await device.power_on()
        source.terminated.add_done_callback(lambda _: self._on_unplugged(device))
        return device

    def _on_unplugged(self, device: SimDevice) -> None:
        if self._device is device:
            self._device = self._transport = None
            self._scanners.clear()

    def _on_advertisement(self, advertisement: Advertisement) -> None:
        for heard in tuple(self._scanners):
            heard(advertisement)
