"""Clocks for tests."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)


class ManualClock:
    """Stands still until told to advance."""

    def __init__(self) -> None:
        self._elapsed_s = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self.slept: list[float] = []
        """Every sleep asked for, in order."""

    def now(self) -> datetime:
        return START + timedelta(seconds=self._elapsed_s)

    def monotonic_s(self) -> float:
        return self._elapsed_s

    async def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._elapsed_s + seconds, woken))
        await woken

    def advance(self, seconds: float) -> None:
        self._elapsed_s += seconds
        waiting = []
        for at, woken in self._sleepers:
            if at <= self._elapsed_s and not woken.done():
                woken.set_result(None)
            elif not woken.done():
                waiting.append((at, woken))
        self._sleepers = waiting


class QuickClock:
    """The real clock, run faster."""

    def __init__(self, speed: float) -> None:
        self._speed = speed

    def now(self) -> datetime:
        return START + timedelta(seconds=self.monotonic_s())

    def monotonic_s(self) -> float:
        return time.monotonic() * self._speed

    async def sleep(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds / self._speed)


class Longest(random.Random):
    """Jitter that always takes the longest wait, so that a test can name it."""

    def uniform(self, a: float, b: float) -> float:
        return b
