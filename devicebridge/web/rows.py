"""An outbox row without its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..outbox import Row, State


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
