"""Bonds of the simulated adapter: real SMP, with a person at this end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bleak.exc import BleakBluetoothNotAvailableError, BleakError
from bumble import hci
from bumble.core import ProtocolError
from bumble.pairing import PairingDelegate
from bumble.smp import ErrorCode

from ...links.bonding import BondedDevice, BondFailed, BondFailure, Person
from ...links.gatt import Bond
from .central import Central
from .client import Client

CONNECT_TIMEOUT_S = 10.0
BOND_TIMEOUT_S = 60.0
"""For a person to read six digits and type them."""

_SMP: Mapping[int, BondFailure] = {
    ErrorCode.PAIRING_NOT_SUPPORTED: BondFailure.NOT_IN_PAIRING_MODE,
    ErrorCode.CONFIRM_VALUE_FAILED: BondFailure.WRONG_PASSKEY,
    ErrorCode.DHKEY_CHECK_FAILED: BondFailure.WRONG_PASSKEY,
}
"""Bluetooth Core 5.4, vol 3 part H, 3.5.5; whatever else a device says is a refusal."""


class SimBonds:
    """`links.bonding.Bonds` of one Central."""

    def __init__(self, central: Central) -> None:
        self._central = central

    async def bond(self, address: str, person: Person, /) -> None:
        asked = _Asked(person)
        client = Client(address, central=self._central, disconnected_callback=None, timeout=CONNECT_TIMEOUT_S)
        try:
            await client.connect(pair=False)
            if self._central.bond(address) is not Bond.KEPT:
                await self._central.unbond(address)
                with self._answered_by(asked):
                    async with asyncio.timeout(BOND_TIMEOUT_S):
                        await client.pair()
        except (BleakError, TimeoutError) as error:
            raise BondFailed(_failure(error, client, asked)) from error
        finally:
            await client.disconnect()

    async def unbond(self, address: str, /) -> bool:
        if not self._central.has_keys(hci.Address(address)):
            return False
        await self._central.unbond(address)
        return True

    async def list(self) -> tuple[BondedDevice, ...]:
        return tuple(BondedDevice(address=address, name="") for address in self._central.bonded)

    @contextmanager
    def _answered_by(self, asked: _Asked) -> Iterator[None]:
        former, self._central.delegate = self._central.delegate, asked
        try:
            yield
        finally:
            self._central.delegate = former


class _Asked(PairingDelegate):
    """Bumble's questions, put to a person."""

    def __init__(self, person: Person) -> None:
        super().__init__(PairingDelegate.DISPLAY_OUTPUT_AND_KEYBOARD_INPUT)
        self._person = person
        self.cancelled = False

    async def get_number(self) -> int | None:
        number = await self._person.passkey()
        self.cancelled = number is None
        return number

    async def compare_numbers(self, number: int, digits: int) -> bool:
        same = await self._person.is_same(number)
        self.cancelled = not same
        return same

    async def display_number(self, number: int, digits: int) -> None:
        await self._person.show(number)


def _failure(error: Exception, client: Client, asked: _Asked) -> BondFailure:
    if isinstance(error, BleakBluetoothNotAvailableError):
        return BondFailure.ADAPTER
    if asked.cancelled:
        return BondFailure.CANCELLED
    if isinstance(cause := error.__cause__, ProtocolError) and cause.error_code is not None:
        return _SMP.get(cause.error_code, BondFailure.REFUSED)
    if client.hung_up == hci.HCI_ErrorCode.AUTHENTICATION_FAILURE_ERROR:
        return BondFailure.BONDED_ELSEWHERE
    if client.hung_up is not None:
        return BondFailure.VANISHED
    if isinstance(error, TimeoutError):
        return BondFailure.TIMEOUT if client.is_connected else BondFailure.NOT_IN_REACH
    return BondFailure.REFUSED
