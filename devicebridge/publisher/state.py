"""What the publisher says about itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from .reasons import Reason


class Phase(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    """Not connected; it will try again by itself."""
    REFUSED = "refused"
    """As WAITING, but somebody has to act; `reason` says on what."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Held:
    """A lane whose next message the broker refuses for now. Other lanes go on."""

    lane: str
    topic: str
    reason: Reason
    since: datetime


@dataclass(frozen=True, slots=True)
class BrokerState:
    phase: Phase
    address: str
    """host:port, of the present or the next attempt."""
    reason: Reason | None
    """Why the last connection ended, or could not be made; None while connected."""
    since: datetime
    """When this phase began."""
    retry_s: float | None
    """How long the pause is that began then."""
    protocol: str
    """ "5" or "3.1.1"."""
    refusals_visible: bool
    """False with 3.1.1, where a broker answers "success" to messages it throws away."""
    window: int
    in_flight: int
    reconnects: int
    """Connections lost after they had been accepted."""
    unheard: frozenset[str]
    """Topics whose last message had no subscriber."""
    held: tuple[Held, ...]
    status_refused: Reason | None
    """Why the broker did not take our own status."""

    @property
    def nobody_listening(self) -> bool:
        return bool(self.unheard)


@dataclass(slots=True)
class Counters:
    """Since the start of the program. Rows of the outbox, not status messages."""

    published: int = 0
    acknowledged: int = 0
    redelivered: int = 0
    parked: int = 0
    reconnects: int = 0
    refused: Counter[Reason] = field(default_factory=Counter)
