"""An outlet as the core's is: each value is dated as it comes, by the device's clock as it was noted last."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from devicebridge.intake import Intake, Source
from devicebridge.sdk import ClockOutcome, ClockSetting, DeviceClock, Driver, Event, Observation
from support.clock import ManualClock
from support.radio import Remembering

LOCAL_TIME = datetime(2026, 11, 21, 10, 32)


class Site(Remembering):
    """In a room where it is LOCAL_TIME. messages: what is published, in order."""

    def __init__(self, driver: Driver[Any]) -> None:
        super().__init__()
        clock = ManualClock()
        clock.advance(32 * 60)
        self._intake = Intake(
            Source("s", "r", "device", driver.manifest.id, "address", True, True), ZoneInfo("America/Chicago"), clock
        )
        self.messages: list[dict[str, Any]] = []

    async def emit(self, *group: Observation) -> None:
        await super().emit(*group)
        self.messages += [json.loads(entry.payload) for entry in self._intake.entries(group)]

    def local_time(self) -> datetime:
        return self._intake.local_now()

    def note(self, event: Event, /) -> None:
        super().note(event)
        if isinstance(event, DeviceClock):
            self._intake.read_clock(event.now)

    @property
    def outcomes(self) -> list[ClockOutcome]:
        return [event.outcome for event in self.noted(ClockSetting)]

    @property
    def measured(self) -> list[str | None]:
        """The site's hour and minute of each."""
        return [m["measured_at"] and m["measured_at"][:16].replace("T", " ") for m in self.messages]
