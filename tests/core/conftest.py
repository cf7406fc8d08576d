from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from devicebridge.config import BrokerConfig
from devicebridge.outbox import Entry, Outbox, State
from devicebridge.publisher import BrokerState, Phase, Publisher, client_id
from support.clock import Longest, ManualClock
from support.waiting import until

OpenOutbox = Callable[..., AbstractAsyncContextManager[Outbox]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def outbox_path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def open_outbox(outbox_path: Path, clock: ManualClock) -> OpenOutbox:
    @asynccontextmanager
    async def open_(path: Path = outbox_path, **changed: Any) -> AsyncIterator[Outbox]:
        settings: dict[str, Any] = {"max_bytes": 8 << 20, "reserve_bytes": 1 << 20, "keep_s": 3600, "clock": clock}
        outbox = Outbox(path, **(settings | changed))
        await outbox.open()
        try:
            yield outbox
        finally:
            await outbox.close()

    return open_


@pytest.fixture
def entry() -> Callable[..., Entry]:
    def make(number: int, lane: str = "cuff", payload: bytes | None = None, topic: str | None = None) -> Entry:
        return Entry(
            id=f"00000000-0000-5000-8000-{number:012d}",
            revision=1,
            lane=lane,
            topic=topic or f"devicebridge/v1/main-street/exam-3/{lane}/reading/weight",
            payload=payload or b'{"n": %d}' % number,
            raw=b"\x01\x02",
        )

    return make


class Rig:
    """A publisher between a real outbox and a broker, with its clock in the test's hand."""

    def __init__(self, outbox: Outbox, publisher: Publisher, task: asyncio.Task[None], clock: ManualClock) -> None:
        self.outbox = outbox
        self.publisher = publisher
        self.task = task
        self.clock = clock
        self.changes: list[BrokerState] = []

    @property
    def state(self) -> BrokerState:
        return self.publisher.state

    async def connected(self) -> None:
        await until(lambda: self.state.phase is Phase.CONNECTED)

    async def resting(self) -> BrokerState:
        """Waits for the pause between two attempts."""
        await until(lambda: self.state.phase in (Phase.WAITING, Phase.REFUSED))
        return self.state

    async def retry(self) -> None:
        """Lets the present pause go by."""
        pause_s = (await self.resting()).retry_s
        before = len(self.changes)
        self.clock.advance(pause_s or 0)
        await until(lambda: len(self.changes) > before)

    async def states(self) -> dict[int, State]:
        """Of every row, by the number in its id."""
        return {int(row.id[-12:]): row.state for row in await self.outbox.rows(limit=10_000)}

    async def reason(self, number: int) -> str | None:
        [reason] = [row.reason for row in await self.outbox.rows(limit=10_000) if int(row.id[-12:]) == number]
        return reason

    async def stop(self) -> None:
        """Lets the time go by that a publisher takes to wind up."""
        self.task.cancel()
        while not self.task.done():
            await asyncio.wait({self.task}, timeout=0.01)
            if isinstance(self.clock, ManualClock):
                self.clock.advance(0.5)


@pytest.fixture
def rig(open_outbox: OpenOutbox, clock: ManualClock) -> Callable[..., AbstractAsyncContextManager[Rig]]:
    @asynccontextmanager
    async def running(*ports: int, with_clock: Any = clock, **settings: Any) -> AsyncIterator[Rig]:
        addresses = tuple(f"{settings.pop('host', '127.0.0.1')}:{port}" for port in ports)
        config = BrokerConfig(addresses=addresses, **settings)
        async with open_outbox(clock=with_clock) as outbox:
            publisher = Publisher(
                config,
                outbox,
                client_id=client_id(outbox.instance_id),
                will_topic="devicebridge/v1/main-street/exam-3/status",
                will_payload=b'{"state":"offline"}',
                clock=with_clock,
                rng=Longest(),
                on_change=lambda: made.changes.append(publisher.state) if made else None,
            )
            made: Rig | None = None
            made = Rig(outbox, publisher, asyncio.create_task(publisher.run()), with_clock)
            try:
                yield made
                if made.task.done() and not made.task.cancelled():
                    made.task.result()
            finally:
                await made.stop()

    return running
