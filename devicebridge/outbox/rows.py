"""Rows as they lie in the table, the statements about them, and SQLite's result codes as faults."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .model import Entry, Fault, OutboxFailed, Row, State, checksum

FAULTS = {
    sqlite3.SQLITE_FULL: Fault.DISK_FULL,
    sqlite3.SQLITE_CORRUPT: Fault.CORRUPT,
    sqlite3.SQLITE_NOTADB: Fault.CORRUPT,
    sqlite3.SQLITE_READONLY: Fault.DENIED,
    sqlite3.SQLITE_PERM: Fault.DENIED,
    sqlite3.SQLITE_BUSY: Fault.LOCKED,
    sqlite3.SQLITE_LOCKED: Fault.LOCKED,
}
"""By primary result code (https://www.sqlite.org/rescode.html). Everything else is IO."""

ROW = "seq, id, revision, lane, topic, payload, created_ms, state, attempts, reason, settled_ms"

LANES = """
    WITH RECURSIVE lanes (lane) AS (
        SELECT min(lane) FROM outbox WHERE state = 0
        UNION ALL
        SELECT (SELECT min(lane) FROM outbox WHERE state = 0 AND lane > lanes.lane) FROM lanes WHERE lane IS NOT NULL
    )
    SELECT lane FROM lanes WHERE lane IS NOT NULL
"""
OLDEST = f"""
    SELECT min((SELECT created_ms FROM outbox WHERE state = 0 AND lane = each.lane ORDER BY seq LIMIT 1))
    FROM ({LANES}) each
"""
PENDING = f"SELECT {ROW}, crc FROM outbox WHERE state = 0 AND lane = ? AND seq > ? ORDER BY seq LIMIT ?"
INSERT = """
    INSERT INTO outbox (id, revision, lane, topic, payload, raw, crc, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id, revision) DO NOTHING
"""
MARK = """
    UPDATE outbox SET attempts = attempts + 1, state = ?1, reason = ?2, settled_ms = ?3
    WHERE seq = ?4 AND (state = 0 OR ?1 = 1)
"""
"""Only "sent" outdoes what an operator did meanwhile: it is a fact."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Prepared = tuple[str, int, str, str, bytes, bytes, int]


@dataclass(frozen=True, slots=True)
class Mark:
    """What became of a row, to be written with the next commit."""

    seq: int
    state: State
    reason: str | None
    at: datetime


def prepare(entries: Sequence[Entry]) -> list[Prepared]:
    """Raises OutboxFailed: BAD_ENTRY."""
    try:
        return [
            (e.id, e.revision, e.lane, e.topic, e.payload, e.raw, checksum(e.id, e.revision, e.topic, e.payload))
            for e in entries
        ]
    except (TypeError, ValueError) as error:
        raise OutboxFailed(Fault.BAD_ENTRY) from error


def select(db: sqlite3.Connection, where: str, values: Sequence[object], limit: int) -> list[Row]:
    query = f"SELECT {ROW}, raw FROM outbox WHERE {where} ORDER BY seq LIMIT ?"
    return [to_row(*found) for found in db.execute(query, (*values, limit))]


def to_row(*found: Any) -> Row:
    """From the columns of ROW, and perhaps the raw bytes."""
    seq, id_, revision, lane, topic, payload, created_ms, state, attempts, reason, settled_ms, *raw = found
    settled_at = None if settled_ms is None else to_time(settled_ms)
    created_at = to_time(created_ms)
    return Row(seq, id_, revision, lane, topic, payload, created_at, State(state), attempts, reason, settled_at, *raw)


def time_range(since: datetime | None, until: datetime | None) -> tuple[str, list[int]]:
    """The condition for rows stored in [since, until)."""
    bounds = [("created_ms >= ?", since), ("created_ms < ?", until)]
    given = [(condition, to_ms(at)) for condition, at in bounds if at is not None]
    return " AND ".join(["TRUE", *(condition for condition, _ in given)]), [ms for _, ms in given]


def chosen(
    state: State | None, after_seq: int, since: datetime | None, until: datetime | None
) -> tuple[str, list[int]]:
    """The condition for rows of that state behind `after_seq` that were stored in [since, until)."""
    where, values = time_range(since, until)
    return where + f" AND seq > {after_seq:d}" + ("" if state is None else f" AND state = {state:d}"), values


def to_ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def to_time(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def fault_of(error: sqlite3.Error) -> Fault:
    return FAULTS.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF, Fault.IO)


def is_full(error: sqlite3.Error) -> bool:
    return fault_of(error) is Fault.DISK_FULL


@contextmanager
def faults() -> Iterator[None]:
    """What SQLite and the file system raise, as OutboxFailed."""
    try:
        yield
    except sqlite3.Error as error:
        raise OutboxFailed(fault_of(error)) from error
    except PermissionError as error:
        raise OutboxFailed(Fault.DENIED) from error
    except OSError as error:
        raise OutboxFailed(Fault.IO) from error
