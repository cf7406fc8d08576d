"""A cuff that demands a bond, in a thread, on a radio that other processes reach."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from devicebridge.testing.radio import Ether, Peripheral, Security
from devicebridge_simulators.ble_blood_pressure import SIMULATOR
from support.daemon import wait_for
from support.pairing import BLUETOOTH

PERIOD_S = 0.3
"""Between two measurements: time enough for a host to go on with something else."""


@dataclass(frozen=True)
class CuffRoom:
    cuff: Peripheral
    loop: asyncio.AbstractEventLoop
    bluetooth: str
    """The config's table."""

    @property
    def address(self) -> str:
        return self.cuff.address

    def displayed(self) -> str:
        """The six digits, as soon as the cuff shows them."""
        wait_for(lambda: self.cuff.display is not None, "digits on the display")
        return f"{self.cuff.display:06}"

    def vanish(self) -> None:
        self.loop.call_soon_threadsafe(self.cuff.vanish)

    def pairing_mode(self, on: bool) -> None:
        self.loop.call_soon_threadsafe(lambda: self.cuff.wake(pairing_mode=on))


@contextmanager
def cuff_room(
    folder: Path, security: Security, *, pace: float = 0, interval_s: float | None = None, bus: str | None = None
) -> Iterator[CuffRoom]:
    """bus: the D-Bus on which a stand-in for BlueZ has the radio; None for the simulated radio over TCP."""
    made: list[CuffRoom] = []
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            ether = await stack.enter_async_context(Ether(pace=pace, interval_s=interval_s))
            cuff = await ether.add(SIMULATOR, "normal", awake=False, security=security)
            if bus is None:
                table = BLUETOOTH.format(address=await ether.serve_tcp(), keys=folder / "keys.json")
            else:
                await stack.enter_async_context(_bluez(ether, bus))
                table = '[bluetooth]\nradio = "system"\n'
            made.append(CuffRoom(cuff, asyncio.get_running_loop(), table))
            measuring = asyncio.create_task(_measure(cuff))
            started.set()
            await asyncio.to_thread(stop.wait)
            measuring.cancel()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(20)
        yield made[0]
    finally:
        stop.set()
        thread.join()


def _bluez(ether: Ether, bus: str) -> AbstractAsyncContextManager[object]:
    from devicebridge.testing.bluez import stand_in

    return stand_in(ether, bus)


async def _measure(cuff: Peripheral) -> None:
    while True:
        plays = cuff.plays
        cuff.wake()
        await cuff.played(plays + 1)
        await asyncio.sleep(PERIOD_S)
