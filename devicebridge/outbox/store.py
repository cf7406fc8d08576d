"""The writer's side of the outbox. Synchronous, and confined to the one writer thread: SQLite before 3.51.3 can corrupt
a WAL database that two connections write at the same instant (https://www.sqlite.org/wal.html, "The WAL-Reset Bug")."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ..clock import Clock
from . import salvage, schema
from .files import HighWater, HighWaterFile, Reserve
from .model import LANE_BYTES, Fault, OpenReport, OutboxFailed, OutboxFull, Row, State, Stats, checksum
from .rows import (
    INSERT,
    LANES,
    MARK,
    OLDEST,
    PENDING,
    Mark,
    Prepared,
    chosen,
    fault_of,
    faults,
    is_full,
    select,
    to_ms,
    to_row,
    to_time,
)

PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",  # NORMAL loses acknowledged commits at a power cut
    "fullfsync = 1",  # macOS: its fsync does not reach the platter otherwise
    "busy_timeout = 5000",
    f"journal_size_limit = {16 << 20}",
    "foreign_keys = ON",
)

WAL_PAGES = 1000
"""SQLite's own default for the length of the log."""

ROWS_WHEN_FULL = 20
"""Marked or deleted in one transaction: the pages they touch must fit into the reserve."""

PRUNE_ROWS = 500
"""Deleted in one transaction: short enough that no waiting `put` notices."""

_BAD_ENTRY = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
)


class Store:
    """Every method raises OutboxFailed and nothing else."""

    def __init__(self, path: Path, *, limit_bytes: int, reserve_bytes: int, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._limit_pages = limit_bytes // schema.PAGE_BYTES
        self._slack_pages = max(1, reserve_bytes // schema.PAGE_BYTES)
        self._reserve = Reserve(salvage.beside(path, ".reserve"), reserve_bytes)
        self._high_file = HighWaterFile(salvage.beside(path, ".high"))
        self._high_seq = 0
        self._refusing: Fault | None = None
        self.instance_id = ""

    def open(self) -> OpenReport:
        """A damaged database is moved aside and its rows carried over, which the report tells."""
        try:
            with faults():
                return self._open()
        except OutboxFailed as error:
            if error.fault not in (Fault.DISK_FULL, Fault.IO):
                raise
        self._reserve.release()  # a WAL database needs room even to open
        with faults():
            return self._open()

    def close(self) -> None:
        self._db.close()
        with suppress(OSError):
            self._high_file.close()

    def reopen(self) -> OpenReport:
        """After CORRUPT was raised in use."""
        self.close()
        return self.open()

    def commit(self, marks: Sequence[Mark], groups: Sequence[Sequence[Prepared]]) -> list[int | OutboxFailed]:
        """One transaction, flushed to the disk. For each group its new rows, or why it was not stored."""
        with faults():
            if self._reserve.whole if not groups else self._short_of() is None:
                try:
                    self._refusing = None if groups else self._refusing
                    return self._write(marks, groups)
                except sqlite3.OperationalError as error:
                    if not is_full(error):
                        raise
                    self._release_reserve()
            self._write_sparingly(marks)
            return [self._squeeze(group) for group in groups]

    def pending(self, after: Mapping[str, int], limit: int, lanes_excluded: Collection[str]) -> list[Row]:
        sound: list[Row] = []
        damaged: list[int] = []
        with faults():
            for (lane,) in self._db.execute(LANES).fetchall():
                if lane in lanes_excluded:
                    continue
                fetched_bytes = 0
                for *found, crc in self._db.execute(PENDING, (lane, after.get(lane, 0), limit)):
                    row = to_row(*found)
                    if checksum(row.id, row.revision, row.topic, row.payload) == crc:
                        sound.append(row)
                        fetched_bytes += len(row.payload)
                    else:
                        damaged.append(row.seq)
                    if fetched_bytes >= LANE_BYTES:
                        break
        if damaged:
            self.park(damaged, Fault.CORRUPT)
        return sound

    def park(self, seqs: Sequence[int], reason: str) -> int:
        now_ms = to_ms(self._clock.now())
        with faults(), schema.transaction(self._db):
            return self._db.executemany(
                f"UPDATE outbox SET state = {State.PARKED:d}, reason = ?, settled_ms = ? WHERE seq = ? AND state = 0",
                [(reason, now_ms, seq) for seq in seqs],
            ).rowcount

    def resend(self, where: str, values: Sequence[object]) -> int:
        """Rows that are not pending become so again, at the end of their lanes, under new sequence numbers."""
        columns = "id, revision, lane, topic, payload, raw, crc, created_ms, attempts"
        chosen = f"SELECT {columns} FROM outbox WHERE state != 0 AND {where} ORDER BY seq"
        with faults(), schema.transaction(self._db):
            count = self._db.execute(f"INSERT OR REPLACE INTO outbox ({columns}) {chosen}", values).rowcount
        self._note_high()
        return count

    def rows(self, where: str, values: Sequence[object], limit: int) -> list[Row]:
        with faults():
            return select(self._db, where, values, limit)

    def remember(self, lane: str, key: str, value: str) -> None:
        with faults(), schema.transaction(self._db):
            self._db.execute("INSERT OR REPLACE INTO memory VALUES (?, ?, ?)", (lane, key, value))

    def recall(self, lane: str, key: str) -> str | None:
        with faults():
            found = self._db.execute("SELECT value FROM memory WHERE lane = ? AND key = ?", (lane, key)).fetchone()
            return found[0] if found else None

    def holds(self, id_: str) -> bool:
        with faults():
            return self._db.execute("SELECT 1 FROM outbox WHERE id = ?", (id_,)).fetchone() is not None

    def stats(self) -> Stats:
        with faults():
            pending, sent, parked = (
                self._one(f"SELECT count(*) FROM outbox WHERE state = {state:d}") for state in State
            )
            self._refusing = self._refusing and self._short_of()
            oldest_ms = self._one(OLDEST)
            return Stats(
                pending,
                sent,
                parked,
                damaged=self._one(f"SELECT count(*) FROM outbox WHERE state = 2 AND reason = '{Fault.CORRUPT}'"),
                oldest_pending_at=None if oldest_ms is None else to_time(oldest_ms),
                used_bytes=self._used_pages() * schema.PAGE_BYTES,
                limit_bytes=self._limit_pages * schema.PAGE_BYTES,
                refusing=self._refusing,
            )

    def prune(self, before: datetime) -> int:
        """Deletes settled rows older than that, at most PRUNE_ROWS; how many."""
        with faults():
            return self._prune(f"AND settled_ms < {to_ms(before)}")

    def _open(self) -> OpenReport:
        high = self._high_file.read()
        aside = salvage.unfinished(self._path)
        created, migrated_from, rescued = False, None, salvage.Salvaged(0, 0)
        if aside is None:
            try:
                created, migrated_from = self._open_sound(high)
            except (OutboxFailed, sqlite3.DatabaseError) as error:
                if not _is_damage(error):
                    raise
                aside = salvage.move_aside(self._path, self._clock.now())
        if aside is not None:
            rescued = salvage.rebuild(aside, self._path, high)
            self._open_sound(high)
        self._reserve.restore()
        missing = self._missing(high)
        return OpenReport(created, sqlite3.sqlite_version, migrated_from, aside, rescued.rows, rescued.damaged, missing)

    def _open_sound(self, high: HighWater | None) -> tuple[bool, int | None]:
        """(created, migrated from). Raises what is wrong, with the file closed and as it was."""
        self._db = schema.connect(self._path)
        try:
            created = schema.is_empty(self._db)
            if created:
                schema.create(self._db, high.instance_id if high else None)
            migrated_from = self._check()
            limits = (
                f"max_page_count = {self._limit_pages + self._slack_pages}",
                f"wal_autocheckpoint = {min(WAL_PAGES, self._slack_pages // 2)}",  # the reserve holds its growth
            )
            for setting in (*PRAGMAS, *limits):
                self._db.execute(f"PRAGMA {setting}").fetchall()
        except BaseException:
            self._db.close()
            raise
        return created, migrated_from

    def _check(self) -> int | None:
        version = schema.identify(self._db)
        if self._one("PRAGMA quick_check(1)") != "ok":
            raise OutboxFailed(Fault.CORRUPT)
        self.instance_id = self._one("SELECT instance_id FROM meta")
        if self.instance_id is None:
            raise OutboxFailed(Fault.CORRUPT)
        if version == len(schema.MIGRATIONS):
            return None
        schema.migrate(self._db, salvage.beside(self._path, f".version-{version}"))
        return version

    def _missing(self, high: HighWater | None) -> int:
        """How far the database lies behind the side file. Its numbers go on from there, so that none is used twice."""
        self._high_seq = self._highest()
        if high is None or high.instance_id != self.instance_id or high.seq <= self._high_seq:
            return 0
        missing = high.seq - self._high_seq
        with schema.transaction(self._db):
            self._db.execute("DELETE FROM sqlite_sequence WHERE name = 'outbox'")
            self._db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)", (high.seq,))
        self._high_seq = high.seq
        return missing

    def _write(self, marks: Sequence[Mark], groups: Sequence[Sequence[Prepared]]) -> list[int | OutboxFailed]:
        now_ms = to_ms(self._clock.now())
        with schema.transaction(self._db):
            settled = [(m.state, m.reason, to_ms(m.at) if m.state else None, m.seq) for m in marks]
            self._db.executemany(MARK, settled)
            outcomes = [self._insert(group, now_ms) for group in groups]
        if groups:
            self._note_high()
        return outcomes

    def _write_sparingly(self, marks: Sequence[Mark]) -> None:
        """Where there is hardly any room: a few at a time, with the log emptied in between."""
        for first in range(0, len(marks), ROWS_WHEN_FULL):
            self._write(marks[first : first + ROWS_WHEN_FULL], ())
            self._empty_log()

    def _insert(self, group: Sequence[Prepared], now_ms: int) -> int | OutboxFailed:
        before = self._db.total_changes
        self._db.execute("SAVEPOINT one_group")
        try:
            self._db.executemany(INSERT, [(*values, now_ms) for values in group])
        except _BAD_ENTRY:
            self._db.execute("ROLLBACK TO one_group")
            return OutboxFailed(Fault.BAD_ENTRY)
        finally:
            if self._db.in_transaction:
                self._db.execute("RELEASE one_group")
        return self._db.total_changes - before

    def _squeeze(self, group: Sequence[Prepared]) -> int | OutboxFailed:
        """One group alone, with the oldest settled rows making room for it as long as there are any."""
        while (fault := self._make_room()) is None:
            try:
                outcome = self._write((), [group])[0]
            except sqlite3.OperationalError as error:
                if not is_full(error):
                    raise
                fault = self._release_reserve()
                if not self._prune():
                    break
            else:
                self._refusing = None
                return outcome
        self._refusing = fault
        return OutboxFull(fault)

    def _make_room(self) -> Fault | None:
        """Why nothing new can be stored, when even the settled rows did not make room."""
        while (fault := self._short_of()) is not None:
            if fault is Fault.DISK_FULL and schema.pragma(self._db, "page_count") < self._slack_pages:
                break  # it is not the outbox that fills this disk
            if not self._prune():
                break
            if fault is Fault.DISK_FULL:
                self._db.execute("PRAGMA incremental_vacuum").fetchall()
                self._empty_log()
        return fault

    def _short_of(self) -> Fault | None:
        if not self._reserve.restore():
            return Fault.DISK_FULL
        return Fault.SIZE_LIMIT if self._used_pages() >= self._limit_pages else None

    def _release_reserve(self) -> Fault:
        """Which of the two limits was hit; if it was the disk's, marks and deletes now have room again."""
        if not self._reserve.is_needed():
            return Fault.SIZE_LIMIT
        self._reserve.release()
        self._empty_log()  # what failed to be written still takes room at its end
        return Fault.DISK_FULL

    def _prune(self, condition: str = "") -> int:
        limit = PRUNE_ROWS if self._reserve.whole else ROWS_WHEN_FULL
        oldest = f"SELECT seq FROM outbox WHERE state = 1 {condition} ORDER BY settled_ms LIMIT {limit}"
        with schema.transaction(self._db):
            return self._db.execute(f"DELETE FROM outbox WHERE seq IN ({oldest})").rowcount

    def _empty_log(self) -> None:
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _used_pages(self) -> int:
        return schema.pragma(self._db, "page_count") - schema.pragma(self._db, "freelist_count")

    def _note_high(self) -> None:
        highest = self._highest()
        if highest > self._high_seq:
            self._high_seq = highest
            with suppress(OSError):  # the rows are safe; only a later loss of them would go unseen
                self._high_file.write(HighWater(self.instance_id, highest))

    def _highest(self) -> int:
        return self._one("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'") or 0

    def _one(self, query: str) -> Any:
        """The first column of the first row, or None."""
        found = self._db.execute(query).fetchone()
        return found[0] if found else None


def read_only_rows(
    path: Path,
    *,
    state: State | None = None,
    limit: int = 1000,
    after_seq: int = 0,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Row]:
    """A short look at a database that no daemon has open. Never writes, never checkpoints. Raises OutboxFailed."""
    where, values = chosen(state, after_seq, since, until)
    with faults(), closing(schema.connect(path, read_only=True)) as db:
        schema.identify(db)
        return select(db, where, values, limit)


def _is_damage(error: OutboxFailed | sqlite3.DatabaseError) -> bool:
    return (error.fault if isinstance(error, OutboxFailed) else fault_of(error)) is Fault.CORRUPT
