"""Links to devices. The only place that imports pyserial and bleak."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from ..sdk.links import ByteLink, GattLink


class StuckPorts(RuntimeError):
    """Too many ports are stuck in the operating system: only a new process can open them again."""


class Opener(Protocol):
    """Opens the link to one configured device, as often as it is asked."""

    async def ready(self) -> None:
        """Returns when all is in order for waiting for the device; raises LinkLost with the reason why it is not."""
        ...

    def open(self) -> AbstractAsyncContextManager[ByteLink | GattLink]:
        """Waits until the device is there; raises LinkLost with the reason why it cannot be."""
        ...
