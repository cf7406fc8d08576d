"""What the status topics say, computed from evidence only: bytes seen, readings stored, the broker's answers.

Nothing here is assumed: a state carries the time it was entered and the age of what proves it. The sentences are for
a medical assistant: what is the matter, and what to do.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from .clock import Clock
from .sdk.links import Loss
from .sdk.outlet import Battery, DeviceIdentity


class DeviceState(StrEnum):
    """starting: not tried yet. waiting: in order, the device speaks only after a measurement. ok: connected, and
    heard just now. silent: it should have been heard by now. lost: the link is not there. refused: it must not be read
    as it is. cannot-save: the disk refuses. fault: a mistake of ours or the driver's. quarantined: its driver cannot be
    stopped and is not started again. stopped: the program has ended, or no longer reads this device."""

    STARTING = "starting"
    WAITING = "waiting"
    OK = "ok"
    SILENT = "silent"
    LOST = "lost"
    REFUSED = "refused"
    CANNOT_SAVE = "cannot-save"
    FAULT = "fault"
    QUARANTINED = "quarantined"
    STOPPED = "stopped"


class Evidence(StrEnum):
    """What a state rests on. heard: the device's bytes. link: an open port, or a radio that listens for the device.
    silence: its absence for too long. loss: what the link said when it went. none: nothing yet, or our own word."""

    HEARD = "heard"
    LINK = "link"
    SILENCE = "silence"
    LOSS = "loss"
    NONE = "none"


REMEDIES: dict[Loss, tuple[DeviceState, str]] = {
    Loss.UNPLUGGED: (DeviceState.LOST, "The cable is out. Plug the device in again."),
    Loss.NOT_FOUND: (DeviceState.LOST, "The device is not plugged in. Check its cable and its power."),
    Loss.AMBIGUOUS: (
        DeviceState.REFUSED,
        "Two identical cables are plugged in and cannot be told apart. Unplug one, and call IT.",
    ),
    Loss.BUSY: (DeviceState.LOST, "Another program is using this device. Close it, or call IT."),
    Loss.DENIED: (DeviceState.LOST, "This PC does not let us use the device. Call IT."),
    Loss.SILENT: (DeviceState.SILENT, "Nothing is heard from the device. Switch it on and check its cable."),
    Loss.TIMEOUT: (DeviceState.LOST, "The device did not answer in time. Bring it nearer and try again."),
    Loss.DISCONNECTED: (DeviceState.WAITING, "Ready. Take a measurement."),
    Loss.OUT_OF_REACH: (DeviceState.WAITING, "Ready. Take a measurement."),
    Loss.ADAPTER_ABSENT: (DeviceState.LOST, "This PC's Bluetooth is missing. Plug the adapter in, or call IT."),
    Loss.ADAPTER_OFF: (DeviceState.LOST, "Bluetooth is switched off on this PC. Switch it on."),
    Loss.BOND_LOST: (DeviceState.REFUSED, "The device and this PC no longer know each other. Pair them again."),
    Loss.BOND_REQUIRED: (DeviceState.REFUSED, "The device must be paired with this PC first. Pair them."),
    Loss.UNEXPECTED_DEVICE: (DeviceState.REFUSED, "Another device is on this cable. Check which is plugged in."),
    Loss.UNEXPECTED_DATA: (DeviceState.LOST, "The device sends what it should not. Check cable and settings."),
    Loss.FLOODED: (DeviceState.REFUSED, "The device sends far too much. Switch it off, and call IT."),
    Loss.FAILED: (DeviceState.LOST, "The link failed. It is being tried again."),
}

_SENTENCES: dict[DeviceState, str] = {
    DeviceState.STARTING: "Starting.",
    DeviceState.WAITING: "Ready. Take a measurement.",
    DeviceState.OK: "Connected.",
    DeviceState.CANNOT_SAVE: "Readings cannot be saved on this PC. Note them by hand, and call IT.",
    DeviceState.QUARANTINED: "The program that reads this device hangs and was shut out. Call IT.",
    DeviceState.STOPPED: "The program that reads this device is not running. Note readings by hand, and call IT.",
    DeviceState.FAULT: "The program that reads this device failed and is starting again. If this stays, call IT.",
}

_EVIDENCE: dict[DeviceState, Evidence] = {
    DeviceState.WAITING: Evidence.LINK,
    DeviceState.OK: Evidence.HEARD,
    DeviceState.SILENT: Evidence.SILENCE,
    DeviceState.LOST: Evidence.LOSS,
    DeviceState.REFUSED: Evidence.LOSS,
}

_BONDS: dict[Loss | None, str] = {Loss.BOND_LOST: "lost", Loss.BOND_REQUIRED: "missing"}

QUIET_S = 60.0
"""A device that is silent between measurements counts as heard for so long."""

NOISE_LIMIT_BYTES = 64
"""More noise than this, and more than half of all that was heard, means a wrong cable or wrong settings."""


@dataclass
class DeviceHealth:
    """The evidence of one device. Only its own task writes here."""

    name: str
    driver: str
    clock: Clock
    silence_budget_s: float | None = None
    """It is heard at least so often; None for one that speaks only after a measurement."""
    bond_required: bool = False
    state: DeviceState = DeviceState.STARTING
    reason: Loss | None = None
    since: datetime = field(init=False)
    last_bytes_at: datetime | None = None
    last_bytes_s: float = 0.0
    """The same by the monotonic clock."""
    last_reading_at: datetime | None = None
    battery: Battery | None = None
    identity: DeviceIdentity | None = None
    clock_offset_s: int | None = None
    session_bytes: int = 0
    session_noise_bytes: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.since = self.clock.now()

    def enter(self, state: DeviceState, reason: Loss | None = None) -> bool:
        """True if this is news."""
        if (state, reason) == (self.state, self.reason):
            return False
        self.state, self.reason, self.since = state, reason, self.clock.now()
        return True

    def settle(self) -> None:
        """An "ok" that rests on old evidence goes back to waiting, or to silent where silence is a fault."""
        if self.state is not DeviceState.OK:
            return
        silent_s = self._silent_s
        if self.silence_budget_s is None and silent_s > QUIET_S:
            self.enter(DeviceState.WAITING)
        elif self.silence_budget_s is not None and silent_s > self.silence_budget_s:
            self.enter(DeviceState.SILENT, Loss.SILENT)

    @property
    def _silent_s(self) -> float:
        """The monotonic clock may stand still while the PC sleeps, and the other may be set: the longer age counts."""
        elapsed_s = self.clock.monotonic_s() - self.last_bytes_s
        wall_s = (self.clock.now() - self.last_bytes_at).total_seconds() if self.last_bytes_at else elapsed_s
        return max(elapsed_s, wall_s)

    def begin_session(self) -> None:
        self.counts["sessions"] += 1
        self.session_bytes = self.session_noise_bytes = 0

    def heard(self, size: int) -> None:
        self.session_bytes += size
        self.last_bytes_at, self.last_bytes_s = self.clock.now(), self.clock.monotonic_s()

    def noise(self, size: int) -> None:
        self.session_noise_bytes += size
        self.counts["noise_bytes"] += size

    @property
    def mostly_noise(self) -> bool:
        return self.session_noise_bytes > max(NOISE_LIMIT_BYTES, self.session_bytes / 2)

    @property
    def is_understood(self) -> bool:
        """Well away from `mostly_noise`, so that the state does not flap."""
        return self.session_noise_bytes * 4 <= self.session_bytes

    @property
    def evidence(self) -> Evidence:
        return _EVIDENCE.get(self.state, Evidence.NONE)

    @property
    def evidence_at(self) -> datetime:
        """When that was last so. A link is watched all the time: its loss is told at once."""
        if self.evidence is Evidence.LINK:
            return self.clock.now()
        return self.last_bytes_at if self.evidence is Evidence.HEARD and self.last_bytes_at else self.since

    @property
    def bond(self) -> str:
        """Of a Bluetooth LE device, as its links have shown it: "not-needed", "unknown", "held", "missing", "lost"."""
        if self.reason in _BONDS:
            return _BONDS[self.reason]
        if not self.bond_required:
            return "not-needed"
        return "held" if self.last_bytes_at else "unknown"

    @property
    def sentence(self) -> str:
        return REMEDIES[self.reason][1] if self.reason else _SENTENCES[self.state]

    def status(self, *, cannot_save: bool = False) -> dict[str, Any]:
        """The retained status message. cannot_save: the outbox refuses, so nothing of this device would be kept."""
        state, text = self.state, self.sentence
        if cannot_save and state is not DeviceState.STOPPED:
            state, text = DeviceState.CANNOT_SAVE, _SENTENCES[DeviceState.CANNOT_SAVE]
        return {
            "schema": "devicebridge/device-status/1",
            "device": self.name,
            "driver": self.driver,
            "state": state,
            "reason": self.reason,
            "text": text,
            "since": self.since,
            "as_of": self.clock.now(),
            "evidence": self.evidence,
            "evidence_at": self.evidence_at,
            "silence_budget_s": self.silence_budget_s,
            "last_heard_at": self.last_bytes_at,
            "last_reading_at": self.last_reading_at,
            "battery_percent": self.battery.percent if self.battery else None,
            "battery_low": self.battery.low if self.battery else None,
            "clock_offset_s": self.clock_offset_s,
            "identity": _identity(self.identity),
            "counts": dict(sorted(self.counts.items())),
        }


def _identity(identity: DeviceIdentity | None) -> dict[str, str | None] | None:
    if identity is None:
        return None
    return {
        "manufacturer": identity.manufacturer,
        "model": identity.model,
        "serial": identity.serial,
        "firmware": identity.firmware,
    }
