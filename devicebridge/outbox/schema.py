"""The database file: its identity, its tables, and the way from an older version to this one."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from .model import Fault, OutboxFailed

APPLICATION_ID = 0x44425247  # "DBRG"
PAGE_BYTES = 4096

MIGRATIONS: tuple[Sequence[str], ...] = (
    (
        """
        CREATE TABLE meta (
            only INTEGER PRIMARY KEY CHECK (only = 1),
            instance_id TEXT NOT NULL
        )
        """,
        """
        CREATE TABLE outbox (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL,
            revision INTEGER NOT NULL CHECK (typeof(revision) = 'integer'),
            lane TEXT NOT NULL,
            topic TEXT NOT NULL,
            payload BLOB NOT NULL CHECK (typeof(payload) = 'blob'),
            raw BLOB NOT NULL CHECK (typeof(raw) = 'blob'),
            crc INTEGER NOT NULL,
            created_ms INTEGER NOT NULL,
            state INTEGER NOT NULL DEFAULT 0 CHECK (state IN (0, 1, 2)),
            attempts INTEGER NOT NULL DEFAULT 0,
            reason TEXT,
            settled_ms INTEGER,
            UNIQUE (id, revision)
        )
        """,
        """
        CREATE TABLE memory (
            lane TEXT NOT NULL,
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (lane, key)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX outbox_pending ON outbox (lane, seq) WHERE state = 0",
        "CREATE INDEX outbox_sent ON outbox (settled_ms) WHERE state = 1",
        "CREATE INDEX outbox_parked ON outbox (seq) WHERE state = 2",
    ),
)
"""Step n leads from version n to n + 1. Forward only: a step that was ever released is never edited."""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A bare connection; changes nothing in the file."""
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5)


def pragma(db: sqlite3.Connection, name: str) -> int:
    value: int = db.execute(f"PRAGMA {name}").fetchone()[0]
    return value


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has already rolled back
            db.execute("ROLLBACK")
        raise


def is_empty(db: sqlite3.Connection) -> bool:
    return pragma(db, "user_version") == 0 and not db.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()


def create(db: sqlite3.Connection, instance_id: str | None) -> None:
    """The newest version, in an empty file. `instance_id` is kept where one is known."""
    db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    with transaction(db):
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        _apply(db, MIGRATIONS, 0)
        db.execute("INSERT INTO meta VALUES (1, ?)", (instance_id or str(uuid.uuid4()),))


def identify(db: sqlite3.Connection, newest: int = len(MIGRATIONS)) -> int:
    """The file's version. Raises OutboxFailed: NOT_OURS, NEWER_VERSION, CORRUPT."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if pragma(db, "application_id") != APPLICATION_ID:
        raise OutboxFailed(Fault.CORRUPT if {"meta", "outbox"} <= tables else Fault.NOT_OURS)
    version = pragma(db, "user_version")
    if version > newest:
        raise OutboxFailed(Fault.NEWER_VERSION)
    if version < 1 or not {"meta", "outbox"} <= tables:
        raise OutboxFailed(Fault.CORRUPT)
    return version


def migrate(db: sqlite3.Connection, copy_to: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """All steps that are missing, in one transaction, after a copy of the file as it was."""
    with closing(connect(copy_to)) as copy:
        db.backup(copy)
    with transaction(db):
        _apply(db, migrations, pragma(db, "user_version"))


def _apply(db: sqlite3.Connection, migrations: Sequence[Sequence[str]], version: int) -> None:
    for step in migrations[version:]:
        for statement in step:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {len(migrations)}")
