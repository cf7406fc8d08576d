"""The only way out of a session."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from .codec import Noise
from .values import Observation
from .wave import Wave


@dataclass(frozen=True, slots=True)
class DeviceClock:
    """The device's present time, naive, read from it just now."""

    now: datetime


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """What the device says it is. The core strips and caps every text."""

    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None


@dataclass(frozen=True, slots=True)
class Battery:
    """The device's battery: a percentage, or only its word that it is low."""

    percent: int | None = None
    low: bool = False


@dataclass(frozen=True, slots=True)
class InProgress:
    """The device is measuring: cuff inflating, finger on, value not settled."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A barcode as it was read: bounded, printable, and perhaps a person's number, so never logged or printed."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record of before the first meeting with the device, which the site's options leave out."""


class ClockOutcome(StrEnum):
    """SET: it shows the time that was written. REFUSED: the device took no write. NOT_TAKEN: it took the write, and
    shows another time. UNPROVEN: it was written, and what it shows cannot be read."""

    SET = "set"
    REFUSED = "refused"
    NOT_TAKEN = "not-taken"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class ClockSetting:
    """The device's clock was to be set, as the site's options say."""

    outcome: ClockOutcome


Event = DeviceClock | DeviceIdentity | Battery | InProgress | Scan | Skipped | ClockSetting | Noise


class Outlet(Protocol):
    async def emit(self, *group: Observation) -> None:
        """One clinical act, stored whole or not at all. Returns only after it is on disk: acknowledge the device
        after this, never before. Does not return while the disk refuses."""
        ...

    async def recall(self, key: str, /) -> str | None:
        """What `remember` was last given for this key by this configured device; survives restarts."""
        ...

    async def remember(self, key: str, value: str, /) -> None:
        """How far a device's memory has been read. On disk when it returns; call it after `emit`.

        key: whose memory, as the device's serial number. Both are at most 64 printable characters.
        """
        ...

    def wave(self, wave: Wave, /) -> None:
        """Samples as they arrive: the only lossy path, bounded, and every loss counted. Never waits."""
        ...

    def local_time(self) -> datetime:
        """The site's wall clock, naive. Only for setting a device's clock where the site has turned that on."""
        ...

    def note(self, event: Event, /) -> None:
        """Something seen that is not a measurement."""
        ...
