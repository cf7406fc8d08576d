"""The outbox as the rest of the daemon sees it: asynchronous in front, one writer thread behind.

Callers queue their groups; the thread takes whatever has queued up, commits it in one transaction and then answers all
of them, so that a flush of the disk is shared by everybody who waits for one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from ..clock import Clock
from .files import FileLock
from .model import Entry, Fault, OpenReport, OutboxFailed, Row, State, Stats
from .rows import Mark, Prepared, chosen, faults, prepare, time_range
from .salvage import beside
from .store import PRUNE_ROWS, Store

MARK_DELAY_S = 0.1
"""Marks wait so long for a commit to go along with. A lost mark costs a duplicate, which carries the same id."""

MARKS_AT_ONCE = 2000
"""With so many marks waiting, no more delay."""

GROUPS_AT_ONCE = 1000
"""In one transaction. It bounds the time that the first of them waits for the last."""

PRUNE_EVERY_S = 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Put:
    rows: list[Prepared]
    done: asyncio.Future[int]


@dataclass(frozen=True, slots=True)
class _Call:
    """Anything else to do with the store."""

    function: Callable[[Store], Any]
    done: asyncio.Future[Any]
    first: bool = False
    """Before what is to be stored at the same time, instead of waiting for its flush."""
    last: bool = False


_Job = _Put | _Call
_Answer = tuple[asyncio.Future[Any], Any]


class Outbox:
    def __init__(self, path: Path, *, max_bytes: int, reserve_bytes: int, keep_s: float, clock: Clock) -> None:
        self._path = path
        self._keep = timedelta(seconds=keep_s)
        self._clock = clock
        self._store = Store(path, limit_bytes=max_bytes, reserve_bytes=reserve_bytes, clock=clock)
        self._lock = FileLock(beside(path, ".lock"))
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._marks: deque[Mark] = deque()
        self._flush_timer: asyncio.TimerHandle | None = None
        self._watchers: list[Callable[[], None]] = []
        self._open = False
        self.report: OpenReport | None = None
        """Of the last `open`, or of the last time a damaged database was replaced while in use."""
        self.parkings = 0
        """Grows when an operator parks rows; what a reader has fetched before is then out of date."""

    @property
    def instance_id(self) -> str:
        """A UUID, made once with the database and kept through every repair."""
        return self._store.instance_id

    async def open(self) -> OpenReport:
        """Raises OutboxFailed: LOCKED, NEWER_VERSION, NOT_OURS, DENIED, DISK_FULL, IO. Damage is repaired, and told."""
        self._loop = asyncio.get_running_loop()
        with faults():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        opened: asyncio.Future[OpenReport] = self._loop.create_future()
        Thread(target=self._write, args=(opened,), name="outbox", daemon=True).start()
        try:
            self.report = await opened
        except asyncio.CancelledError:
            self._jobs.put(_Call(self._shut, self._loop.create_future(), last=True))
            raise
        self._open = True
        self._housekeeper = asyncio.create_task(self._keep_house(), name="outbox-housekeeper")
        return self.report

    async def close(self) -> None:
        """Writes what is waiting and lets go of the file."""
        if self._open:
            self._housekeeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._housekeeper
            shut = self._call(self._shut, last=True)
            self._open = False
            await shut

    async def put(self, entries: Sequence[Entry]) -> int:
        """Stores one group, whole or not at all; returns once it is flushed to the disk.

        The number of new rows: an (id, revision) that is already known counts 0. Raises OutboxFull, OutboxFailed.
        """
        if not entries:
            return 0
        done: asyncio.Future[int] = self._future()
        self._jobs.put(_Put(prepare(entries), done))
        return await done

    async def pending(
        self, *, limit: int, after: Mapping[str, int] | None = None, lanes_excluded: Collection[str] = ()
    ) -> list[Row]:
        """Of each lane its oldest pending rows, those after `after[lane]` where given: at most `limit`, and no further
        one once they have LANE_BYTES.

        Rows whose checksum fails are parked as "corrupt" instead. Marks of the last moment may not show yet: go on
        from the last row seen.
        """
        return await self._call(lambda store: store.pending(after or {}, limit, lanes_excluded), first=True)

    def settle(self, seq: int) -> None:
        """The broker took it."""
        self._mark(seq, State.SENT, None)

    def set_aside(self, seq: int, reason: str) -> None:
        """The broker will never take it."""
        self._mark(seq, State.PARKED, reason)

    def attempt(self, seq: int, reason: str) -> None:
        """It was tried in vain and stays pending."""
        self._mark(seq, State.PENDING, reason)

    async def park(self, seqs: Sequence[int], reason: str) -> int:
        """For an operator: no longer to be sent. How many were still pending."""
        count = await self._after_marks(lambda store: store.park(seqs, reason))
        self.parkings += 1
        self._notify()
        return count

    async def resend(
        self,
        *,
        seqs: Sequence[int] = (),
        ids: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """Rows sent or parked go out again: those chosen by number, by id, or by the time they were stored.

        The time is [since, until). Rows keep their ids and get new numbers. Returns how many.
        """
        choices: list[tuple[str, Sequence[object]]] = [("seq = ?", [seq]) for seq in seqs]
        choices += [("id = ?", [id_]) for id_ in ids]
        if since is not None or until is not None:
            choices.append(time_range(since, until))
        count = 0
        for where, values in choices:
            count += await self._after_marks(partial(Store.resend, where=where, values=values))
        self._notify()
        return count

    async def stats(self) -> Stats:
        return await self._after_marks(Store.stats)

    async def rows(
        self,
        *,
        limit: int,
        state: State | None = None,
        after_seq: int = 0,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Row]:
        """In order of their numbers, with the device's raw bytes."""
        where, values = chosen(state, after_seq, since, until)
        return await self._after_marks(lambda store: store.rows(where, values, limit))

    async def remember(self, lane: str, key: str, value: str) -> None:
        """How far a device's memory has been read; on the disk when it returns. Raises as `put` does."""
        await self._call(lambda store: store.remember(lane, key, value))

    async def recall(self, lane: str, key: str) -> str | None:
        """What was last remembered."""
        return await self._call(lambda store: store.recall(lane, key))

    async def holds(self, id_: str) -> bool:
        """Whether any revision of this is here."""
        return await self._call(lambda store: store.holds(id_))

    async def flush(self) -> None:
        """Returns once every mark made so far is on the disk."""
        await self._call(self._write_marks)

    def watch(self, callback: Callable[[], None]) -> None:
        """Called on the event loop whenever there may be something new for `pending`."""
        self._watchers.append(callback)

    def _mark(self, seq: int, state: State, reason: str | None) -> None:
        self._marks.append(Mark(seq, state, reason, self._clock.now()))
        if len(self._marks) == MARKS_AT_ONCE:
            self._flush_soon()
        elif self._flush_timer is None:
            self._flush_timer = self._loop.call_later(MARK_DELAY_S, self._flush_soon)

    def _flush_soon(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        if self._open and self._marks:
            self._call(self._write_marks).add_done_callback(_swallow)

    async def _keep_house(self) -> None:
        while True:
            with suppress(OutboxFailed):  # whatever it is, the next `put` or `pending` meets it and says so
                while await self._call(lambda store: store.prune(self._clock.now() - self._keep)) == PRUNE_ROWS:
                    pass
            await self._clock.sleep(PRUNE_EVERY_S)

    def _after_marks(self, function: Callable[[Store], T]) -> asyncio.Future[T]:
        """For what must see the latest marks; if they cannot be written, it sees the disk as it is."""

        def both(store: Store) -> T:
            with suppress(OutboxFailed):
                self._write_marks(store)
            return function(store)

        return self._call(both)

    def _call(self, function: Callable[[Store], T], *, first: bool = False, last: bool = False) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self._future()
        self._jobs.put(_Call(function, done, first, last))
        return done

    def _future(self) -> asyncio.Future[Any]:
        if not self._open:
            raise OutboxFailed(Fault.CLOSED)
        return self._loop.create_future()

    def _notify(self) -> None:
        for watcher in self._watchers:
            watcher()

    def _resolve(self, answers: Sequence[_Answer], stored: bool) -> None:
        for done, outcome in answers:
            if done.done():
                continue
            if isinstance(outcome, Exception):
                done.set_exception(outcome)
            else:
                done.set_result(outcome)
        if stored:
            self._notify()

    # All below runs in the writer thread.

    def _write(self, opened: asyncio.Future[OpenReport]) -> None:
        report = self._outcome(Store.open)
        if isinstance(report, Exception):
            self._lock.release()
        self._answer([(opened, report)])
        last = isinstance(report, Exception)
        while not last:
            batch = self._take()
            calls = [job for job in batch if isinstance(job, _Call)]
            self._serve(call for call in calls if call.first)
            self._commit([job for job in batch if isinstance(job, _Put)])
            self._serve(call for call in calls if not call.first)
            last = any(call.last for call in calls)

    def _take(self) -> list[_Job]:
        batch = [self._jobs.get()]
        with suppress(Empty):
            while len(batch) < GROUPS_AT_ONCE:
                batch.append(self._jobs.get_nowait())
        return batch

    def _serve(self, calls: Iterable[_Call]) -> None:
        for call in calls:
            self._answer([(call.done, self._outcome(call.function))])

    def _commit(self, puts: Sequence[_Put]) -> None:
        if not puts:
            return
        outcome = self._outcome(partial(self._write_marks, groups=[put.rows for put in puts]))
        results = [outcome] * len(puts) if isinstance(outcome, Exception) else outcome
        stored = any(isinstance(result, int) and result for result in results)
        self._answer([(put.done, result) for put, result in zip(puts, results, strict=True)], stored=stored)

    def _write_marks(self, store: Store, groups: Sequence[Sequence[Prepared]] = ()) -> list[int | OutboxFailed]:
        """With the groups they go along with."""
        marks = [self._marks.popleft() for _ in range(len(self._marks))]
        if not marks and not groups:
            return []
        try:
            return store.commit(marks, groups)
        except OutboxFailed:
            self._marks.extendleft(reversed(marks))
            raise

    def _outcome(self, function: Callable[[Store], Any]) -> Any:
        """What it returns, or what it raises. A database found damaged is replaced at once."""
        try:
            return function(self._store)
        except OutboxFailed as error:
            if error.fault is Fault.CORRUPT and self._open:
                self._repair()
            return error
        except Exception as error:  # noqa: BLE001  a bug is for the caller that met it; the thread serves the others
            return error

    def _repair(self) -> None:
        with suppress(OutboxFailed):  # the next call meets the same fault
            self.report = self._store.reopen()

    def _shut(self, store: Store) -> None:
        with suppress(OutboxFailed):
            self._write_marks(store)
        store.close()
        self._lock.release()

    def _answer(self, answers: Sequence[_Answer], *, stored: bool = False) -> None:
        with suppress(RuntimeError):  # the loop is gone, and with it all who wait
            self._loop.call_soon_threadsafe(self._resolve, answers, stored)


def _swallow(done: asyncio.Future[Any]) -> None:
    """Marks that could not be written wait for the next commit."""
    if not done.cancelled():
        done.exception()
