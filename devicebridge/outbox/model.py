"""What goes into the outbox, what comes out, and how it fails."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from pathlib import Path


class State(IntEnum):
    PENDING = 0
    """Not yet taken by the broker."""
    SENT = 1
    """The broker's PUBACK said success. Kept for a while, so that it can be sent again."""
    PARKED = 2
    """The broker will not take it, or it is damaged. Kept until an operator decides."""


class Fault(StrEnum):
    """Why the outbox cannot do what it was asked."""

    DISK_FULL = "disk-full"
    SIZE_LIMIT = "size-limit"
    IO = "io"
    DENIED = "denied"
    LOCKED = "locked"
    """Another daemon has it."""
    NEWER_VERSION = "newer-version"
    """Written by a newer program."""
    NOT_OURS = "not-ours"
    """The file belongs to another program."""
    CORRUPT = "corrupt"
    BAD_ENTRY = "bad-entry"
    """Not storable: a programming error of the caller. Nothing of its group was stored."""
    CLOSED = "closed"


class OutboxFailed(Exception):
    """`fault` says how."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class OutboxFull(OutboxFailed):
    """No room (disk-full or size-limit): nothing of the group was stored; ask again later."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message to publish. Order is kept among the entries of one lane, which is the device."""

    id: str
    revision: int
    lane: str
    topic: str
    payload: bytes
    raw: bytes = b""
    """The device's own bytes, kept for audit, never published."""


@dataclass(frozen=True, slots=True)
class Row:
    """An entry on the disk. `seq` grows with every commit and is never used twice."""

    seq: int
    id: str
    revision: int
    lane: str
    topic: str
    payload: bytes
    created_at: datetime
    state: State
    attempts: int
    """Answers and losses so far."""
    reason: str | None
    """Why it is parked or was last refused."""
    settled_at: datetime | None
    raw: bytes = b""
    """Only from `rows`; the publisher's `pending` leaves it on the disk."""


LANE_BYTES = 1 << 20
"""Of payloads fetched from one lane at once: a long EKG strip is more by itself, and hundreds may wait."""


@dataclass(frozen=True, slots=True)
class Stats:
    pending: int
    sent: int
    parked: int
    damaged: int
    """Of the parked, those whose checksum failed."""
    oldest_pending_at: datetime | None
    used_bytes: int
    limit_bytes: int
    refusing: Fault | None
    """Why new entries are refused just now."""


@dataclass(frozen=True, slots=True)
class OpenReport:
    """What was found at `open`. All but `created` and `sqlite_version` at their defaults means: nothing to tell."""

    created: bool
    sqlite_version: str
    migrated_from: int | None = None
    moved_to: Path | None = None
    """The damaged database, kept for whoever wants to look; its readable rows are in the new one."""
    salvaged: int = 0
    damaged: int = 0
    """Rows among the salvaged whose checksum failed; they are parked."""
    missing: int = 0
    """Sequence numbers at the end that were once committed and are not there: at most so many rows are lost."""


def checksum(id_: str, revision: int, topic: str, payload: bytes) -> int:
    """CRC-32 over all that is published; a flipped bit on the disk must not become a number in a chart."""
    return zlib.crc32(payload, zlib.crc32(f"{id_}\n{revision}\n{topic}\n".encode()))
