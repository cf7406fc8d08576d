"""Bonds with Bluetooth LE devices: made only when a person asks for it, listed, and undone.

One interface over what each platform offers; `Backend.bonds` has it, None where the platform leaves us none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class BondFailure(StrEnum):
    """Why there is no bond. `devicebridge.words` has a sentence and a remedy for each."""

    NOT_IN_REACH = "not-in-reach"
    NOT_IN_PAIRING_MODE = "not-in-pairing-mode"
    REFUSED = "refused"
    WRONG_PASSKEY = "wrong-passkey"
    CANCELLED = "cancelled"
    VANISHED = "vanished"
    TIMEOUT = "timeout"
    BONDED_ELSEWHERE = "bonded-elsewhere"
    ADAPTER = "adapter"
    UNSUPPORTED = "unsupported"


class BondFailed(Exception):
    def __init__(self, reason: BondFailure) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Person(Protocol):
    """Who sits before the device and this PC. Each call may be cancelled when the device gives up."""

    async def passkey(self) -> int | None:
        """The six digits that the device shows; None to cancel."""
        ...

    async def is_same(self, number: int, /) -> bool:
        """Whether the device shows this number, of six digits with leading zeros."""
        ...

    async def show(self, number: int, /) -> None:
        """Six digits to be typed on the device. Returns at once."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BondedDevice:
    """What the system holds. name: stripped and capped; never an identity."""

    address: str
    name: str


class Bonds(Protocol):
    """The bonds of one adapter."""

    async def bond(self, address: str, person: Person, /) -> None:
        """Pairs and keeps the keys. The device must be advertising. Raises BondFailed. Does nothing if it is bonded
        and the device still has its half."""
        ...

    async def unbond(self, address: str, /) -> bool:
        """Forgets our half. False if there was none."""
        ...

    async def list(self) -> tuple[BondedDevice, ...]: ...
