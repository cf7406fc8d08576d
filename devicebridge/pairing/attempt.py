"""One attempt to add a device. Unless it is kept, a bond that it made is undone: it ends whole or leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from types import TracebackType

from ..assemble import Assembly
from ..clock import Clock
from ..config import Config, DeviceConfig
from ..links.bonding import BondFailed, BondFailure, Person
from ..links.gatt import Radio
from ..links.gatt_link import within
from ..sdk.links import LinkLost, Loss
from ..supervise import Device
from .discover import bonded
from .identity import CHANGES, Unidentifiable
from .trial import Step, Trial, take

BOND_S = 90.0
"""For a device to be heard, and for a person to type six digits: half a minute and a whole one."""
UNDO_S = 5.0
"""For the system to forget a bond."""
PROVISIONAL = "test"
"""The device's name until it has one."""


class Attempt:
    """An async context. device: the config's table, with the address that it goes by after a bond.

    radio: None for a serial device.
    """

    def __init__(
        self,
        device: DeviceConfig,
        config: Config,
        radio: Radio | None,
        *,
        person: Person,
        clock: Clock,
        tell: Callable[[Step], None],
    ) -> None:
        self.device = device
        self.has_bonded = False
        self._config = config
        self._radio = radio
        self._person = person
        self._clock = clock
        self._tell = tell
        self._made: frozenset[str] = frozenset()
        self._pair_at_open = False
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Attempt:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._stack.aclose()
        finally:
            await self._undo()

    def keep(self) -> None:
        """The table is written: the bond stays."""
        self._made = frozenset()

    async def bond(self, *, identity: bool = False) -> None:
        """Raises BondFailed; LinkLost where there is no radio.

        identity: the device must be recognised by this bond; raises Unidentifiable where it is not.
        """
        assert self._radio is not None
        assert self.device.address is not None
        if self._radio.bonds is None:  # the system itself asks the person, when the link is opened
            if identity:
                raise Unidentifiable(CHANGES)
            self._pair_at_open = self.has_bonded = True
            return
        before = await bonded(self._radio)
        try:
            await within(self._radio.bond(self.device.address, self._person), BOND_S)
        except TimeoutError:
            raise BondFailed(BondFailure.TIMEOUT) from None
        finally:
            if before is not None and (after := await bonded(self._radio)) is not None:
                self._made |= _ours(after - before, self.device.address.upper(), identity=identity)
        self.has_bonded = True
        if identity:
            self._identify()

    async def reading(self) -> Trial:
        """The first reading; where the device asks for a bond, that first. Raises LinkLost, BondFailed."""
        while True:
            try:
                return await take(await self._assembled(), self._clock, self._tell)
            except LinkLost as lost:
                wants_bond = lost.reason in (Loss.BOND_REQUIRED, Loss.BOND_LOST) and self._radio is not None
                if not wants_bond or self.has_bonded:
                    raise
            await self.bond()

    async def _assembled(self) -> Device:
        config = self._config.model_copy(update={"devices": {PROVISIONAL: self.device}})
        (device,) = await Assembly(self._clock, self._stack, self._radio).devices(config, [PROVISIONAL])
        spec, address = device.driver.manifest.gatt, self.device.address
        if not self._pair_at_open or self._radio is None or spec is None or address is None:
            return device
        return replace(device, opener=self._radio.opener(address, spec, pair=True))

    def _identify(self) -> None:
        """A bond with a changing address is held under the address behind it."""
        assert self.device.address is not None
        if len(self._made) != 1 or self.device.address.upper() in self._made:
            raise Unidentifiable(CHANGES)
        self.device = self.device.model_copy(update={"address": next(iter(self._made))})

    async def _undo(self) -> None:
        bonds = None if self._radio is None else self._radio.bonds
        if bonds is None:
            return
        for address in self._made:
            with suppress(BondFailed, TimeoutError):  # `devicebridge bonds` shows what is left
                async with asyncio.timeout(UNDO_S):
                    await bonds.unbond(address)


def _ours(new: frozenset[str], address: str, *, identity: bool) -> frozenset[str]:
    """Others may bond at the same time: theirs is not ours to undo."""
    if identity and address not in new and len(new) == 1:
        return new
    return new & {address}
