"""A channel of an EKG with a signal, and where its recordings go."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

from devicebridge.config import EkgConfig
from devicebridge.ekg.channel import Channel, Recorded
from devicebridge.ekg.recording import Recording, Unrecorded
from devicebridge.sdk import Lead, Strip, Unit, Wave, WaveFormat

from .clock import ManualClock

TWO = WaveFormat(
    leads=(Lead.I, Lead.II),
    rate_hz=Decimal(100),
    unit=Unit.MICROVOLT,
    scale=Decimal("0.5"),
    lowest=-32768,
    highest=32767,
)


def wave(first: int, count: int, **changes: Any) -> Wave:
    """Each sample is its own index, and a thousand more in the second lead."""
    rows = tuple((index, 1000 + index) for index in range(first, first + count))
    given: dict[str, Any] = {"format": TWO, "first_index": first, "rows": rows}
    return Wave(**(given | changes))


class Kept:
    """Where recordings go, as an outlet would take them."""

    def __init__(self) -> None:
        self.strips: list[tuple[Strip, Recorded]] = []
        self.marks: list[uuid.UUID | None] = []
        self.marked: dict[int, uuid.UUID | None] = {}
        self.disk = asyncio.Event()
        self.disk.set()

    async def record(self, recording: Recording, recorded: Recorded, /) -> None:
        await self.disk.wait()
        self.strips.append((recording.strip(), recorded))

    async def mark_recording(self, place: int, id_: uuid.UUID | None, /) -> None:
        self.marks.append(id_)
        self.marked[place] = id_


class Bench:
    """A channel with a signal of 100 Hz that the test sends on, a quarter second a wave."""

    def __init__(self, **rule: Any) -> None:
        self.clock = ManualClock()
        self.kept = Kept()
        self.shown: list[dict[str, Any]] = []
        self.is_online = True
        self.counts: Counter[str] = Counter()
        self.broken: list[Unrecorded] = []
        self.channel = Channel(
            "leads", EkgConfig(**rule), self._show, self.clock, self.counts, self.broken.append, simulated=True
        )
        self.index = 0

    def _show(self, payload: bytes) -> bool:
        if self.is_online:
            self.shown.append(json.loads(payload))
        return self.is_online

    async def run(self, seconds: float, **changes: Any) -> None:
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)
            self.channel.take(wave(self.index, 25, **changes), self.kept)
            self.index += 25
            await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def played(scene: Callable[[Bench], Coroutine[Any, Any, None]], **rule: Any) -> Bench:
    async def play() -> Bench:
        bench = Bench(**rule)
        await scene(bench)
        await settle()
        return bench

    return asyncio.run(play())


def indices(strip: Strip) -> list[int | None]:
    return [row[0] for row in strip.rows]
