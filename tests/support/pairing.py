"""A simulated cuff that demands a bond, an adapter, and a person with answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from devicebridge.clock import SystemClock
from devicebridge.config import Config
from devicebridge.links.gatt import Radio
from devicebridge.testing.radio import Ether, Peripheral, Security
from devicebridge_simulators.ble_blood_pressure import SIMULATOR
from support.waiting import until

CONFIG = """\
# The room at the end of the corridor.
simulated = true
[site]
id = "clinic"                   # main street
room = "exam-1"
timezone = "America/Chicago"
[broker]
addresses = ["127.0.0.1:1"]
[outbox]
path = "outbox.db"
[control]
port = 0
"""
BLUETOOTH = '[bluetooth]\nradio = "simulated"\nradio_address = "{address},keys={keys}"\n'


@dataclass
class Answers:
    """A person. `digits` and `same` are asked when the question comes; without digits the question is cancelled."""

    digits: Callable[[], Awaitable[int]] | None = None
    same: Callable[[int], bool] = lambda _: False
    asked: list[str] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)

    async def passkey(self) -> int | None:
        self.asked.append("passkey")
        return None if self.digits is None else await self.digits()

    async def is_same(self, number: int, /) -> bool:
        self.asked.append("same")
        return self.same(number)

    async def show(self, number: int, /) -> None:
        self.shown.append(number)


@dataclass
class Scene:
    ether: Ether
    cuff: Peripheral
    radio: Radio

    async def displayed(self) -> int:
        """What the cuff shows, as soon as it does."""
        await until(lambda: self.cuff.display is not None)
        assert self.cuff.display is not None
        return self.cuff.display


@asynccontextmanager
async def scene(security: Security | None, *, address: str | None = None, asleep: bool = False) -> AsyncIterator[Scene]:
    """A cuff in pairing mode that measures again and again."""
    async with asyncio.timeout(30), Ether(pace=0) as ether, ether.radio() as backend:
        cuff = await ether.add(SIMULATOR, "normal", period_s=0, security=security, address=address, awake=not asleep)
        radio = Radio(backend, clock=SystemClock())
        await radio.start()
        try:
            yield Scene(ether, cuff, radio)
        finally:
            await radio.stop()


def config(folder: Path, more: str = "") -> Config:
    from devicebridge.config import parse

    return parse(CONFIG + more, folder / "room.toml")
