"""What the control endpoint tells of devices: how they are, by what evidence and how old; never a measured value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..app import Daemon
    from ..reload import ConfigState

_KEPT = (
    "device",
    "driver",
    "state",
    "reason",
    "text",
    "since",
    "evidence",
    "silence_budget_s",
    "battery_percent",
    "battery_low",
    "clock_offset_s",
)
_AGED = {
    "evidence_age_s": "evidence_at",
    "last_heard_age_s": "last_heard_at",
    "last_reading_age_s": "last_reading_at",
}


async def all_devices(daemon: Daemon) -> Mapping[str, Any]:
    """{"trouble": sentences on the room, "config": state and problems, "devices": one row each}"""
    daemon.settle()
    room = await daemon.room_status()
    troubles = (room[part]["text"] for part in ("config", "broker", "outbox"))
    return {
        "trouble": [text for text in troubles if text],
        "config": config_answer(daemon.config_state),
        "devices": [_row(daemon, name) for name in sorted(daemon.fleet.healths)],
    }


def config_answer(state: ConfigState) -> Mapping[str, Any]:
    return {"state": state.word, "since": state.since, "problems": [str(problem) for problem in state.problems]}


def _row(daemon: Daemon, name: str) -> Mapping[str, Any]:
    status = daemon.device_status(name)
    ages = {age: _age_s(status[at], status["as_of"]) for age, at in _AGED.items()}
    over_gatt = daemon.fleet.devices[name].over_gatt
    return {
        **{key: status[key] for key in _KEPT},
        **ages,
        "link": "ble" if over_gatt else "serial",
        "bond": daemon.fleet.healths[name].bond if over_gatt else None,
        "firmware": (status["identity"] or {}).get("firmware"),
    }


def _age_s(at: datetime | None, now: datetime) -> int | None:
    """A clock that was set back makes nothing younger than now."""
    return None if at is None else max(0, round((now - at).total_seconds()))
