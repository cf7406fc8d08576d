"""Moves a damaged database aside and carries every readable row into a new one."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from . import schema
from .files import HighWater
from .model import Fault, OutboxFailed, State, checksum

COLUMNS = (
    "seq, id, revision, lane, topic, payload, raw, crc, created_ms, state, attempts, reason, settled_ms"  # of `outbox`
)
INSERT = f"INSERT INTO outbox ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

LAG_ROWS = 100_000
"""The side file may lag behind the database by the commits of a power cut; never by so many."""

ROWS_WITHOUT_HINT = 10_000_000
"""A damaged page may name any number as the highest; without the side file the search ends here."""

MAX_ASIDE = 10
"""A disk that damages one database after the other must not be filled with them."""

_Values = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Salvaged:
    rows: int
    damaged: int
    """Of these, rows whose checksum failed. They are parked."""


def beside(path: Path, suffix: str) -> Path:
    """outbox.db -> outbox.db<suffix>"""
    return path.with_name(path.name + suffix)


def move_aside(path: Path, now: datetime) -> Path:
    """Renames database, -wal and -shm together. The database goes last: as long as it stands, the work is not done.

    Raises OutboxFailed: CORRUPT, where too many were moved aside before it.
    """
    aside = _started(path) or _free_name(path, now)
    for suffix in ("-shm", "-wal", ""):
        with suppress(FileNotFoundError):
            beside(path, suffix).rename(beside(aside, suffix))
    return aside


def unfinished(path: Path) -> Path | None:
    """The database moved aside last, when a crash kept its rows from being carried over: no database stands."""
    if path.exists():
        return None
    return max((p for p in _all_aside(path) if not p.name.endswith(("-wal", "-shm"))), default=None)


def rebuild(aside: Path, path: Path, hint: HighWater | None) -> Salvaged:
    """Makes a new database at `path` from what can be read of `aside`, which is left as it is."""
    fresh = beside(path, ".salvaged")
    fresh.unlink(missing_ok=True)
    with (
        TemporaryDirectory(dir=path.parent, prefix=".salvage-") as scratch,
        closing(schema.connect(fresh)) as new,
        closing(_readable(aside, Path(scratch))) as old,
    ):
        schema.create(new, _instance_id(old) or (hint.instance_id if hint else None))
        salvaged = _carry(old, new, _highest(old, hint))
    fresh.replace(path)
    return salvaged


def _free_name(path: Path, now: datetime) -> Path:
    taken = set(_all_aside(path))
    if len(taken) >= MAX_ASIDE:
        raise OutboxFailed(Fault.CORRUPT)
    while (aside := beside(path, f".corrupt-{now:%Y%m%dT%H%M%SZ}")) in taken:
        now += timedelta(seconds=1)
    return aside


def _started(path: Path) -> Path | None:
    """Where an earlier run began to move this database to, before it was stopped."""
    for wal in _all_aside(path):
        if wal.name.endswith("-wal") and not (base := wal.with_name(wal.name.removesuffix("-wal"))).exists():
            return base
    return None


def _all_aside(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.corrupt-*"))


def _readable(aside: Path, scratch: Path) -> sqlite3.Connection:
    """The damaged database itself, or a copy with a new first page when SQLite cannot make sense of the old one."""
    db = schema.connect(aside, read_only=True)
    try:
        db.execute("SELECT seq FROM outbox LIMIT 1").fetchone()
    except sqlite3.DatabaseError:
        db.close()
        db = schema.connect(_with_new_first_page(aside, scratch), read_only=True)
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")  # the checksum will tell
    return db


def _with_new_first_page(aside: Path, scratch: Path) -> Path:
    """The first page of a new database fits: it holds the header and the table list, the same in every one of ours.

    File format: https://www.sqlite.org/fileformat2.html section 1.3 (header, page count at offset 28, the two
    version bytes at 18 that mean WAL).
    """
    copy = scratch / "copy"
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            shutil.copyfile(beside(aside, suffix), beside(copy, suffix))
    with closing(schema.connect(scratch / "new")) as new:
        schema.create(new, None)
    page = bytearray((scratch / "new").read_bytes()[: schema.PAGE_BYTES])
    page[18:20] = b"\2\2"
    page[28:32] = (copy.stat().st_size // schema.PAGE_BYTES).to_bytes(4, "big")
    with copy.open("r+b") as file:
        file.write(page)
        file.flush()
        os.fsync(file.fileno())
    return copy


def _instance_id(old: sqlite3.Connection) -> str | None:
    with suppress(sqlite3.DatabaseError):
        row = old.execute("SELECT instance_id FROM meta").fetchone()
        if row and isinstance(row[0], str):
            return row[0]
    return None


def _carry(old: sqlite3.Connection, new: sqlite3.Connection, high: int) -> Salvaged:
    rows = damaged = 0
    with schema.transaction(new):
        for values in _rows(old, high):
            sound = _is_sound(values)
            with suppress(sqlite3.Error, OverflowError):
                new.execute(INSERT, values if sound else _parked(values))
                rows += 1
                damaged += not sound
        with suppress(sqlite3.DatabaseError):  # a device's memory is then read again, under the same ids
            new.executemany("INSERT OR IGNORE INTO memory VALUES (?, ?, ?)", old.execute("SELECT * FROM memory"))
    return Salvaged(rows, damaged)


def _rows(old: sqlite3.Connection, high: int) -> Iterator[_Values]:
    """In order; where a page is bad, number by number until it reads again."""
    seq = 0
    while True:
        with suppress(sqlite3.DatabaseError):
            for values in old.execute(f"SELECT {COLUMNS} FROM outbox WHERE seq > ? ORDER BY seq", (seq,)):
                seq = values[0]
                yield values
            return
        found = _next_readable(old, seq + 1, high)
        if found is None:
            return
        seq, values = found
        yield values


def _next_readable(old: sqlite3.Connection, first: int, high: int) -> tuple[int, _Values] | None:
    for seq in range(first, high + 1):
        with suppress(sqlite3.DatabaseError):
            values = old.execute(f"SELECT {COLUMNS} FROM outbox WHERE seq = ?", (seq,)).fetchone()
            if values is not None:
                return seq, values
    return None


def _highest(old: sqlite3.Connection, hint: HighWater | None) -> int:
    highest = hint.seq if hint else 0
    for query in ("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'", "SELECT max(seq) FROM outbox"):
        with suppress(sqlite3.DatabaseError):
            row = old.execute(query).fetchone()
            if row and isinstance(row[0], int):
                highest = max(highest, row[0])
    return min(highest, hint.seq + LAG_ROWS if hint else ROWS_WITHOUT_HINT)


def _is_sound(values: _Values) -> bool:
    _, id_, revision, _, topic, payload, _, crc, *_ = values
    if not (
        isinstance(id_, str) and isinstance(revision, int) and isinstance(topic, str) and isinstance(payload, bytes)
    ):
        return False
    return checksum(id_, revision, topic, payload) == crc


def _parked(values: _Values) -> _Values:
    return (*values[:9], State.PARKED, values[10], Fault.CORRUPT, values[12])
