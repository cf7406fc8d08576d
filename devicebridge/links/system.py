"""The operating system's own Bluetooth, as a Backend."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .gatt import Backend


@asynccontextmanager
async def system_backend(adapter: str | None = None) -> AsyncIterator[Backend]:
    """adapter: its name on Linux, None for the first that is on. Waits for nothing, and never raises."""
    if sys.platform == "linux":
        async with _bluez_backend(adapter) as backend:
            yield backend
    elif sys.platform == "win32":
        from .bleak_bonds import BleakBonds

        yield Backend(bonds=BleakBonds())
    else:  # macOS pairs by itself, when a device asks for it
        yield Backend()


@asynccontextmanager
async def _bluez_backend(adapter: str | None) -> AsyncIterator[Backend]:
    from .bluez import BlueZ
    from .bluez_bonds import BlueZBonds

    bluez = BlueZ(adapter)
    following = asyncio.create_task(bluez.run(), name="bluez")
    try:
        yield Backend(bond=bluez.bond, bonds=BlueZBonds(adapter, bluez.bond), changed=bluez.changed)
    finally:
        following.cancel()
        await asyncio.wait((following,))
