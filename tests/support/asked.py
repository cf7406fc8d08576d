"""For the tests of sessions that ask: a line whose device answers each request, and an outlet that keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import pytest

from devicebridge.sdk import Driver, Event, LinkLost, Loss, Observation, Wave


class Asked:
    """answer: what the device sends for a request: pieces, read one at a time. LinkLost when it gives None, or, after
    `requests` of them, at the next."""

    def __init__(self, answer: Callable[[bytes], Iterable[bytes | None]], requests: int = 1000) -> None:
        self.answer = answer
        self._requests = requests
        self._waiting: list[bytes | None] = []
        self._arrived = asyncio.Event()
        self.written: list[bytes] = []

    async def read(self) -> bytes:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        if self._waiting[0] is None:
            raise LinkLost(Loss.UNPLUGGED)
        return self._waiting.pop(0) or b""

    async def write(self, data: bytes, /) -> None:
        self.written.append(data)
        self.send(*(self.answer(data) if len(self.written) <= self._requests else (None,)))

    def send(self, *pieces: bytes | None) -> None:
        self._waiting.extend(pieces)
        self._arrived.set()


class Kept:
    """An Outlet."""

    def __init__(self, memory: dict[str, str] | None = None) -> None:
        self.groups: list[tuple[Observation, ...]] = []
        self.events: list[Event] = []
        self.memory = {} if memory is None else memory

    async def emit(self, *group: Observation) -> None:
        self.groups.append(group)

    async def recall(self, key: str, /) -> str | None:
        return self.memory.get(key)

    async def remember(self, key: str, value: str, /) -> None:
        assert len(key) <= 64 and len(value) <= 64 and (key + value).isprintable()
        self.memory[key] = value

    def wave(self, wave: Wave, /) -> None:
        raise AssertionError("this device has no wave")

    def local_time(self) -> datetime:
        raise AssertionError("this device's clock is not set")

    def note(self, event: Event, /) -> None:
        self.events.append(event)

    @property
    def numbers(self) -> list[list[str]]:
        """Of each group's observations the values as sent, or the reasons for their absence."""
        return [[str(v.absent or v.value) for o in group for v in o.values] for group in self.groups]


def run(driver: Driver[Any], line: Asked, kept: Kept, reason: Loss = Loss.UNPLUGGED, **options: object) -> Kept:
    """The session until its line is lost."""
    with pytest.raises(LinkLost) as lost:
        asyncio.run(asyncio.wait_for(driver.session(line, kept, driver.options.model_validate(options)), 10))
    assert lost.value.reason is reason
    return kept
