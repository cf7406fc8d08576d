"""Finding the row that ends connections, without ever blaming one for a bad network.

A row is convicted only alone: nothing else in flight, over a connection on which something else has just been answered.
A broker that ends the connection at everything it is sent convicts none; the rows wait.
"""

from __future__ import annotations

from collections.abc import Iterable

RETRIES = 5
"""Refusals without a reason that could be acted upon, before a row goes alone."""

SUSPICIONS = 3
"""Unexplained ends of a connection with the same row in flight, before it goes alone."""


class Suspects:
    """Counts by seq; a row leaves with `clear` when the broker has taken it or it is parked."""

    def __init__(self) -> None:
        self._losses: dict[int, int] = {}
        self._refusals: dict[int, int] = {}

    def __contains__(self, seq: int) -> bool:
        return self._losses.get(seq, 0) >= SUSPICIONS or self._refusals.get(seq, 0) >= RETRIES

    def losses(self, seq: int) -> int:
        return self._losses.get(seq, 0)

    def was_lost(self, seqs: Iterable[int]) -> None:
        for seq in seqs:
            self._losses[seq] = self._losses.get(seq, 0) + 1

    def was_refused(self, seq: int) -> None:
        self._refusals[seq] = self._refusals.get(seq, 0) + 1

    def isolate(self, seqs: Iterable[int]) -> None:
        for seq in seqs:
            self._losses[seq] = SUSPICIONS

    def clear(self, seq: int) -> None:
        self._losses.pop(seq, None)
        self._refusals.pop(seq, None)
