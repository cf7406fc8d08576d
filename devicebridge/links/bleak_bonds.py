"""Bonds through bleak's `pair` and `unpair`, where a platform has no more to offer: Windows.

bleak there confirms Just Works only, so a device that wants a passkey refuses.
"""

from __future__ import annotations

from contextlib import suppress

from bleak import BleakClient
from bleak.exc import BleakDeviceNotFoundError, BleakError

from ..sdk.links import Loss
from .bonding import BondedDevice, BondFailed, BondFailure, Person
from .gatt_link import loss_of, within

CONNECT_S = 20.0
PAIR_S = 60.0
UNPAIR_S = 10.0
_FAILURES = {
    Loss.ADAPTER_ABSENT: BondFailure.ADAPTER,
    Loss.ADAPTER_OFF: BondFailure.ADAPTER,
    Loss.DENIED: BondFailure.ADAPTER,
    Loss.OUT_OF_REACH: BondFailure.NOT_IN_REACH,
    Loss.DISCONNECTED: BondFailure.VANISHED,
    Loss.TIMEOUT: BondFailure.TIMEOUT,
}


class BleakBonds:
    """`bonding.Bonds` of the default adapter."""

    async def bond(self, address: str, _: Person, /) -> None:
        client = BleakClient(address, timeout=CONNECT_S)
        try:
            await within(client.connect(), CONNECT_S)
            await within(client.pair(), PAIR_S)
        except Exception as error:
            raise BondFailed(_FAILURES.get(loss_of(error), BondFailure.REFUSED)) from error
        finally:
            with suppress(Exception):  # the link is thrown away, and the bond, if there is one, stands
                await within(client.disconnect(), UNPAIR_S)

    async def unbond(self, address: str, /) -> bool:
        try:
            await within(BleakClient(address).unpair(), UNPAIR_S)
        except BleakDeviceNotFoundError:
            return False
        except (BleakError, OSError) as error:
            raise BondFailed(_FAILURES.get(loss_of(error), BondFailure.REFUSED)) from error
        return True

    async def list(self) -> tuple[BondedDevice, ...]:
        """bleak tells nothing of them."""
        raise BondFailed(BondFailure.UNSUPPORTED)
