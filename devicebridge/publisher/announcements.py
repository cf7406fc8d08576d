"""Our own retained status messages: not through the outbox, only the latest of each topic, again on every connect."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from .reasons import Reason
from .suspects import SUSPICIONS


@dataclass(slots=True)
class _Announcement:
    payload: bytes
    version: int = 1
    sent: int = 0
    answered: int = 0
    losses: int = 0
    refused: Reason | None = None
    hopeless: bool = False

    def change(self, payload: bytes) -> None:
        if payload != self.payload:
            self.payload = payload
            self.version += 1
            self.hopeless = False
            self.refused = None

    @property
    def is_due(self) -> bool:
        """One in flight per topic, so that the broker keeps the latest."""
        return not self.hopeless and self.sent == self.answered < self.version


class Announcements:
    def __init__(self) -> None:
        self._latest: dict[str, _Announcement] = {}
        self.progress = asyncio.Event()
        """Set, and cleared again, at every answer."""

    @property
    def refused(self) -> Reason | None:
        return next((each.refused for each in self._latest.values() if each.refused), None)

    def set(self, topic: str, payload: bytes) -> None:
        self._latest.setdefault(topic, _Announcement(payload)).change(payload)

    def start_over(self) -> None:
        """A new connection: the broker may have published the will, or lost all it retained."""
        for each in self._latest.values():
            each.sent = each.answered = 0
            each.refused = each.refused if each.hopeless else None

    def due(self, *, suspects: bool) -> list[str]:
        """Topics to be told. Those that connections keep ending with are asked for apart, when nothing else waits."""
        return [t for t, each in self._latest.items() if each.is_due and (each.losses >= SUSPICIONS) is suspects]

    def take(self, topic: str) -> bytes:
        each = self._latest[topic]
        each.sent = each.version
        return each.payload

    def answered(self, topic: str, refused: Reason | None) -> None:
        each = self._latest[topic]
        each.answered = each.sent
        each.losses = 0
        each.refused = refused
        self.progress.set()
        self.progress.clear()

    def was_lost(self, topic: str, *, convict: bool) -> None:
        """The connection ended with no rows in flight; `convict` if the status was alone, over a sound connection."""
        each = self._latest[topic]
        each.losses += 1
        if convict and each.losses > SUSPICIONS:
            self.give_up(topic, Reason.BREAKS_CONNECTION)

    def give_up(self, topic: str, reason: Reason) -> None:
        """Until it says something else."""
        self._latest[topic].hopeless = True
        self._latest[topic].refused = reason

    def is_told(self, topic: str) -> bool:
        each = self._latest[topic]
        return each.answered == each.version
