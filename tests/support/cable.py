"""A cable in memory, onto which simulated meters are put one after the other, under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devicebridge.sdk import Driver, Event, LinkLost, Loss, Observation
from devicebridge.sdk.simulation import SerialPort

from .virtual_time import run

Play = Callable[[SerialPort], Awaitable[None]]
AWAY_S = 60.0  # between two meters nothing answers for so long
TOO_LONG_S = 7200.0  # a meter that is still waiting for a question
LAST_S = 600.0  # and at the end, before the cable is pulled


@dataclass
class Kept:
    """An outlet that keeps what it is given. memory: what `remember` was told, to be given to the next session."""

    memory: dict[str, str] = field(default_factory=dict)
    groups: list[tuple[Observation, ...]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    written: bytearray = field(default_factory=bytearray)
    lost: Loss | None = None

    async def emit(self, *group: Observation) -> None:
        await asyncio.sleep(0)
        self.groups.append(group)

    async def recall(self, key: str, /) -> str | None:
        return self.memory.get(key)

    async def remember(self, key: str, value: str, /) -> None:
        assert len(key) <= 64 and len(value) <= 64 and (key + value).isprintable() and value
        self.memory[key] = value

    def note(self, event: Event, /) -> None:
        self.events.append(event)

    @property
    def sent(self) -> list[tuple[str, ...]]:
        """The numbers of each reading, in order."""
        return [
            tuple(str(v.absent or f"{v.comparator or ''}{v.text or v.value}") for v in observation.values)
            for group in self.groups
            for observation in group
        ]


class _Cable:
    """Both ends; `read` and `write` are the host's."""

    def __init__(self, written: bytearray) -> None:
        self._to_host: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._to_meter: asyncio.Queue[bytes] = asyncio.Queue()
        self._written = written
        self._is_pulled = False

    async def read(self) -> bytes:
        data = await self._to_host.get() if not self._is_pulled else None
        if data is None:
            self._is_pulled = True
            raise LinkLost(Loss.UNPLUGGED)
        return data

    async def write(self, data: bytes, /) -> None:
        self._written += data
        await self._to_meter.put(data)

    async def play(self, plays: tuple[Play, ...]) -> None:
        for play in plays:
            while not self._to_meter.empty():
                self._to_meter.get_nowait()
            await play(_Meter(self._to_host, self._to_meter))
            await asyncio.sleep(AWAY_S)
        await asyncio.sleep(LAST_S)
        await self._to_host.put(None)


class _Meter:
    def __init__(self, to_host: asyncio.Queue[bytes | None], to_meter: asyncio.Queue[bytes]) -> None:
        self._to_host = to_host
        self._to_meter = to_meter

    async def read(self) -> bytes:
        return await self._to_meter.get()

    async def write(self, data: bytes, /) -> None:
        if data:
            await self._to_host.put(data)

    async def pause(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds)


def plug(
    driver: Driver[Any], *plays: Play, options: Mapping[str, object] | None = None, memory: dict[str, str] | None = None
) -> Kept:
    """One session, in which these meters come and go; what came of it."""
    return run(_session(driver, plays, options or {}, memory or {}))


async def _session(
    driver: Driver[Any], plays: tuple[Play, ...], options: Mapping[str, object], memory: dict[str, str]
) -> Kept:
    kept = Kept(dict(memory))
    cable = _Cable(kept.written)
    meters = asyncio.ensure_future(cable.play(plays))
    try:
        async with asyncio.timeout(TOO_LONG_S):
            await driver.session(cable, kept, driver.options.model_validate(dict(options)))
    except LinkLost as lost:
        kept.lost = lost.reason
    finally:
        meters.cancel()
        for result in await asyncio.gather(meters, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
    return kept
