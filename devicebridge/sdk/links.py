"""The two kinds of link a session may be given, and how they fail.

The core opens a link, watches it, and closes it; a session only reads and writes. Every call may raise LinkLost,
which a session lets pass: the core knows what to do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Protocol, runtime_checkable


class Loss(StrEnum):
    """Why a link is not there. `devicebridge.health` has a sentence and a remedy for each."""

    UNPLUGGED = "unplugged"
    NOT_FOUND = "not-found"
    AMBIGUOUS = "ambiguous"
    BUSY = "busy"
    DENIED = "denied"
    SILENT = "silent"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    OUT_OF_REACH = "out-of-reach"
    ADAPTER_ABSENT = "adapter-absent"
    ADAPTER_OFF = "adapter-off"
    BOND_LOST = "bond-lost"
    BOND_REQUIRED = "bond-required"
    UNEXPECTED_DEVICE = "unexpected-device"
    UNEXPECTED_DATA = "unexpected-data"
    FLOODED = "flooded"
    FAILED = "failed"


class LinkLost(Exception):
    """The link is gone, or never came up; `reason` says how."""

    def __init__(self, reason: Loss) -> None:
        super().__init__(str(reason))
        self.reason = reason


class UnexpectedDevice(LinkLost):
    """A session raises this when what answers is not the device it was written for."""

    def __init__(self) -> None:
        super().__init__(Loss.UNEXPECTED_DEVICE)


class ByteLink(Protocol):
    """A serial line."""

    async def read(self) -> bytes:
        """What has arrived, at least one byte; waits for it."""
        ...

    async def write(self, data: bytes, /) -> None: ...


@runtime_checkable
class GattLink(Protocol):
    """A connected Bluetooth LE peripheral. Characteristics are named by their full lower-case UUID.

    A session that may be given a serial line as well tells by `isinstance`.
    """

    @property
    def name(self) -> str:
        """The advertised name, stripped and capped. A hint for choosing quirks, never an identity."""
        ...

    def has(self, characteristic: str, /) -> bool: ...

    async def read(self, characteristic: str, /) -> bytes: ...

    async def write(self, characteristic: str, data: bytes, /) -> None: ...

    async def subscribe(self, *characteristics: str) -> AsyncIterator[tuple[str, bytes]]:
        """Enables notifications or indications on all of them, then gives (characteristic, value) as they come.

        Values come in the order of their arrival across the characteristics. The iterator ends with LinkLost.
        """
        ...
