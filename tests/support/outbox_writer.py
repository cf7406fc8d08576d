"""Processes that fill an outbox and say what it has promised to keep; to be killed, or to lose power."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import random
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from devicebridge.clock import SystemClock
from devicebridge.outbox import Entry, Fault, Outbox, OutboxFailed

from . import disk

KEPT_FOR_EVER_S = 1e9
LANES = 4
GROUP = 3
T = TypeVar("T")

REPEAT = 20
"""Of its id, in a row's payload."""


class Told(NamedTuple):
    """what: "stored" or "settled", of ids; "remembered", of one number; "opened", of (salvaged, missing) counts."""

    what: str
    of: tuple[Any, ...]


Tell = Callable[[Told], None]


def outbox_at(path: Path) -> Outbox:
    return Outbox(path, max_bytes=64 << 20, reserve_bytes=1 << 20, keep_s=KEPT_FOR_EVER_S, clock=SystemClock())


async def fill(outbox: Outbox, tell: Tell, prefix: str, rounds: int) -> None:
    """Groups in several lanes at once, some of what is pending settled, and a device's memory written."""
    for number in range(rounds):
        puts = (_put(outbox, tell, f"{prefix}-{lane}", number) for lane in range(LANES))
        await asyncio.gather(*puts, _settle(outbox, tell), _remember(outbox, tell, prefix, number))


async def _put(outbox: Outbox, tell: Tell, lane: str, number: int) -> None:
    ids = tuple(f"{lane}-{number}-{n}" for n in range(GROUP))
    await _persist(lambda: outbox.put([Entry(id_, 1, lane, "topic", id_.encode() * REPEAT) for id_ in ids]))
    tell(Told("stored", ids))


async def _settle(outbox: Outbox, tell: Tell) -> None:
    rows = await _persist(lambda: outbox.pending(limit=2))
    for row in rows:
        outbox.settle(row.seq)
    await _persist(outbox.flush)
    tell(Told("settled", tuple(row.id for row in rows)))


async def _remember(outbox: Outbox, tell: Tell, prefix: str, number: int) -> None:
    await _persist(lambda: outbox.remember(prefix, "last", str(number)))
    tell(Told("remembered", (prefix, number)))


async def _persist(ask: Callable[[], Awaitable[T]]) -> T:
    """Again, as long as the disk fails."""
    while True:
        try:
            return await ask()
        except OutboxFailed as failed:
            assert failed.fault is Fault.IO


# --- A writer to be killed -----------------------------------------------------------------------------------------


@contextmanager
def killable(path: Path, prefix: str) -> Iterator[tuple[BaseProcess, Connection]]:
    """(process, what it tells). Begun quickly: on POSIX forked from a server that has everything imported."""
    context = _context()
    ours, its = context.Pipe(duplex=False)
    process = context.Process(target=_write_until_killed, args=(path, prefix, its), daemon=True)
    process.start()
    its.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()


def _context() -> Any:
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _write_until_killed(path: Path, prefix: str, pipe: Connection) -> None:
    async def main() -> None:
        outbox = outbox_at(path)
        report = await outbox.open()
        pipe.send(Told("opened", (report.salvaged, report.missing)))
        await fill(outbox, pipe.send, prefix, 1_000_000)

    asyncio.run(main())


# --- A writer whose disk is recorded -------------------------------------------------------------------------------


Record = list[disk.Event | Told | bytes]
"""In order. Bytes are the content of the .high file, which is not written through SQLite, and is looked at now and
then."""


def record(path: Path, prefix: str, rounds: int, out: Path, *, fails_one_in: int = 0) -> None:
    """In a process of its own: fills the outbox and leaves what happened on its disk, and what it told, in `out`.

    fails_one_in: once the outbox is open, one of so many writes and flushes fails; 0 for none.
    """
    events: Record = []
    rng, is_open = random.Random(prefix), False

    def watch(event: disk.Event) -> int:
        if is_open and fails_one_in and event.kind in disk.FAILURES and not rng.randrange(fails_one_in):
            return disk.FAILURES[event.kind]
        events.append(event)
        return disk.OK

    def tell(told: Told) -> None:
        events.append(told)
        events.append(path.with_name(path.name + ".high").read_bytes())

    async def main() -> None:
        nonlocal is_open
        outbox = outbox_at(path)
        await outbox.open()
        is_open = True
        await fill(outbox, tell, prefix, rounds)
        await outbox.close()

    layer = disk.lay(watch)
    asyncio.run(main())
    out.write_bytes(pickle.dumps(events))
    del layer
