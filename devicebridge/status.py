"""What the room's status says of the broker and the outbox, computed from what they say themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .outbox import Outbox, OutboxFailed
from .publisher import BrokerState, Phase, Reason
from .words import BROKER, NOBODY_LISTENS, NOT_SENT, OUTBOX, REFUSALS_HIDDEN

ROOM_SCHEMA = "devicebridge/room-status/1"
OFFLINE = json.dumps({"schema": ROOM_SCHEMA, "state": "offline"}).encode()
"""The room's last word, and its will."""


def broker_status(broker: BrokerState) -> Mapping[str, Any]:
    return {
        "phase": broker.phase,
        "reason": broker.reason,
        "text": _broker_text(broker),
        "address": broker.address,
        "protocol": broker.protocol,
        "reconnects": broker.reconnects,
        "nobody_listening": broker.nobody_listening,
        "refusals_visible": broker.refusals_visible,
    }


async def outbox_status(outbox: Outbox, broker: BrokerState) -> Mapping[str, Any]:
    """broker: where its readings go."""
    try:
        stats = await outbox.stats()
    except OutboxFailed as error:
        return {"fault": error.fault, "text": OUTBOX[error.fault]}
    return {
        "fault": stats.refusing,
        "text": OUTBOX[stats.refusing] if stats.refusing else _waiting_text(stats.pending, broker),
        "pending": stats.pending,
        "oldest_pending_at": stats.oldest_pending_at,
        "sent": stats.sent,
        "parked": stats.parked,
        "damaged": stats.damaged,
    }


def refusal(broker: BrokerState) -> Reason | None:
    """Why a connected broker does not take a reading, or our status."""
    return next((held.reason for held in broker.held), broker.status_refused)


def _broker_text(broker: BrokerState) -> str | None:
    """The gravest thing there is to say; None where all is well."""
    reason = broker.reason or refusal(broker)
    if reason is not None:
        return BROKER[reason]
    if broker.nobody_listening:
        return NOBODY_LISTENS
    return None if broker.refusals_visible else REFUSALS_HIDDEN


def _waiting_text(pending: int, broker: BrokerState) -> str | None:
    """None where what is pending is on its way."""
    is_held_up = broker.phase is not Phase.CONNECTED or bool(broker.held)
    return NOT_SENT.format(count=pending) if pending and is_held_up else None
