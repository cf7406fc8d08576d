"""What an outbox has promised to keep, and whether it did."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from devicebridge.outbox import State

from .outbox_writer import GROUP, REPEAT, Told, outbox_at


class Promised:
    def __init__(self) -> None:
        self.stored: set[str] = set()
        self.settled: set[str] = set()
        self._remembered: dict[str, int] = {}

    def hear(self, told: Told) -> None:
        match told:
            case Told("stored", ids):
                self.stored.update(ids)
            case Told("settled", ids):
                self.settled.update(ids)
            case Told("remembered", (prefix, number)):
                self._remembered[prefix] = number
            case Told("opened", counts):
                assert counts == (0, 0), "nothing had to be salvaged, and nothing was missing"

    def copy(self) -> Promised:
        copied = Promised()
        copied.stored, copied.settled = set(self.stored), set(self.settled)
        copied._remembered = dict(self._remembered)
        return copied

    def lost(self, path: Path) -> int:
        """How many promises the outbox broke. What it holds beyond them is whole and unaltered, or this raises."""
        return asyncio.run(self._lost(path))

    async def _lost(self, path: Path) -> int:
        outbox = outbox_at(path)
        report = await outbox.open()
        try:
            rows = {row.id: row for row in await outbox.rows(limit=1_000_000)}
            memory = {prefix: int(await outbox.recall(prefix, "last") or -1) for prefix in self._remembered}
        finally:
            await outbox.close()
        assert all(row.payload == id_.encode() * REPEAT for id_, row in rows.items()), "nothing altered"
        assert set(Counter(id_.rpartition("-")[0] for id_ in rows).values()) <= {GROUP}, "groups whole or not at all"
        assert report.moved_to is None and report.damaged == 0, "a crash is no damage"
        is_sent = {id_ for id_, row in rows.items() if row.state is State.SENT}
        forgotten = sum(memory[prefix] < number for prefix, number in self._remembered.items())
        return len(self.stored - rows.keys()) + len(self.settled - is_sent) + forgotten + report.missing
