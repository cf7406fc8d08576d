"""What the control endpoint and the commands have in common about rows of the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..outbox import Row, State

LIST_LIMIT = 1000
"""Rows in one answer, or fetched at once for a longer one."""

EXPORT_ROWS = 16
"""Fetched at once with their payloads: those of long EKG strips are megabytes each."""


def row_summary(row: Row) -> Mapping[str, Any]:
    """A row without its payload: fit for a terminal, and free of values."""
    return {
        "seq": row.seq,
        "id": row.id,
        "revision": row.revision,
        "device": row.lane,
        "topic": row.topic,
        "state": State(row.state).name.lower(),
        "reason": row.reason,
        "attempts": row.attempts,
        "created_at": row.created_at,
        "settled_at": row.settled_at,
    }


def instant(text: str) -> datetime:
    """A time with its UTC offset. Raises ValueError with a sentence."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f'"{text[:40]}" is not a time; write one such as 2026-11-21T08:00-06:00') from None
    if found.tzinfo is None:
        raise ValueError("a time needs its UTC offset, as in 2026-11-21T08:00-06:00")
    return found
