"""A cable in memory, under virtual time: simulated meters put onto it one after the other, or a device that talks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import pytest

from devicebridge.sdk import Driver, Event, LinkLost, Loss, Observation, Wave
from devicebridge.sdk.simulation import SerialPort

from .virtual_time import run

Play = Callable[[SerialPort], Awaitable[None]]
Piece = bytes | float | None
H = TypeVar("H", bound="Heard")
AWAY_S = 60.0  # between two meters nothing answers for so long
TOO_LONG_S = 7200.0  # a meter that is still waiting for a question
LAST_S = 600.0  # and at the end, before the cable is pulled


@dataclass
class Kept:
    """An outlet that keeps what it is given. memory: what `remember` was told, to be given to the next session."""

    memory: dict[str, str] = field(default_factory=dict)
    groups: list[tuple[Observation, ...]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    writes: list[bytes] = field(default_factory=list)
    lost: Loss | None = None

    async def emit(self, *group: Observation) -> None:
        await asyncio.sleep(0)
        self.groups.append(group)

    async def recall(self, key: str, /) -> str | None:
        return self.memory.get(key)

    async def remember(self, key: str, value: str, /) -> None:
        assert len(key) <= 64 and len(value) <= 64 and (key + value).isprintable() and value
        self.memory[key] = value

    def wave(self, wave: Wave, /) -> None:
        raise AssertionError("this device has no wave")

    def local_time(self) -> datetime:
        raise AssertionError("this device's clock is not set")

    def note(self, event: Event, /) -> None:
        self.events.append(event)

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    @property
    def sent(self) -> list[tuple[str, ...]]:
        """The numbers of each reading, in order."""
        return [
            tuple(str(v.absent or f"{v.comparator or ''}{v.text or v.value}") for v in observation.values)
            for group in self.groups
            for observation in group
        ]


class Heard(Kept):
    """Of a device that talks: nothing of what it says is remembered."""

    async def recall(self, key: str, /) -> str | None:
        raise AssertionError("it has no memory that is read")

    async def remember(self, key: str, value: str, /) -> None:
        raise AssertionError("it has no memory that is read")

    @property
    def numbers(self) -> list[tuple[int, ...]]:
        """Of each group's first observation; -1 for none."""
        return [tuple(int(v.value or -1) for v in group[0].values) for group in self.groups]


class _Cable:
    """Both ends; `read` and `write` are the host's."""

    def __init__(self, writes: list[bytes]) -> None:
        self._to_host: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._to_meter: asyncio.Queue[bytes] = asyncio.Queue()
        self._writes = writes
        self._is_pulled = False

    async def read(self) -> bytes:
        data = await self._to_host.get() if not self._is_pulled else None
        if data is None:
            self._is_pulled = True
            raise LinkLost(Loss.UNPLUGGED)
        return data

    async def write(self, data: bytes, /) -> None:
        self._writes.append(data)
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


class _Talk:
    """The host's end, of a device that talks."""

    def __init__(self, pieces: Iterable[Piece], writes: list[bytes]) -> None:
        self._pieces = list(pieces)
        self._writes = writes
        self._asked = asyncio.Event()
        self._silent_until_s: float | None = None

    async def read(self) -> bytes:
        while self._pieces:
            piece = self._pieces[0]
            if isinstance(piece, bytes):
                del self._pieces[0]
                return piece
            if piece is None:
                self._asked.clear()
                await self._asked.wait()
            else:
                await self._silence(piece)
                del self._pieces[0]
        raise LinkLost(Loss.UNPLUGGED)

    async def _silence(self, seconds: float) -> None:
        """It goes on while nobody listens."""
        now_s = asyncio.get_running_loop().time()
        if self._silent_until_s is None:
            self._silent_until_s = now_s + seconds
        await asyncio.sleep(self._silent_until_s - now_s)
        self._silent_until_s = None

    async def write(self, data: bytes, /) -> None:
        self._writes.append(data)
        if self._pieces and self._pieces[0] is None:
            del self._pieces[0]
            self._asked.set()


def hear(driver: Driver[Any], pieces: Iterable[Piece], kept: H, **options: object) -> H:
    """One session with a device that sends these, one a read; a number is a silence of so many seconds, None one until
    the host next writes. Then the line is lost."""
    line = _Talk(pieces, kept.writes)
    with pytest.raises(LinkLost) as lost:
        run(asyncio.wait_for(driver.session(line, kept, driver.options.model_validate(options)), TOO_LONG_S))
    assert lost.value.reason is Loss.UNPLUGGED
    return kept


def faulty(play: Play, number: int, fault: Callable[[bytes], bytes]) -> Play:
    """The device's write of this number comes otherwise."""

    async def run_faulty(port: SerialPort) -> None:
        await play(_Faulty(port, number, fault))

    return run_faulty


class _Faulty:
    def __init__(self, port: SerialPort, number: int, fault: Callable[[bytes], bytes]) -> None:
        self._port = port
        self._left = number
        self._fault = fault

    async def read(self) -> bytes:
        return await self._port.read()

    async def write(self, data: bytes, /) -> None:
        self._left -= 1
        await self._port.write(self._fault(data) if self._left == -1 else data)

    async def pause(self, seconds: float, /) -> None:
        await self._port.pause(seconds)


def plug(
    driver: Driver[Any], *plays: Play, options: Mapping[str, object] | None = None, memory: dict[str, str] | None = None
) -> Kept:
    """One session, in which these meters come and go; what came of it."""
    return run(_session(driver, plays, options or {}, memory or {}))


async def _session(
    driver: Driver[Any], plays: tuple[Play, ...], options: Mapping[str, object], memory: dict[str, str]
) -> Kept:
    kept = Kept(dict(memory))
    cable = _Cable(kept.writes)
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
