"""One installed driver under its real supervisor, with a real outbox; the link is whatever the test opens for it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

from devicebridge import registry
from devicebridge.clock import Clock, SystemClock
from devicebridge.config import LogConfig
from devicebridge.health import DeviceHealth, DeviceState
from devicebridge.intake import Intake, Source
from devicebridge.links import Opener
from devicebridge.links.serial import SerialOpener
from devicebridge.logs import configure
from devicebridge.outbox import Outbox
from devicebridge.sdk import Loss
from devicebridge.supervise import Device, Supervisor


class Supervised:
    """An async context. clock, rng: of the pauses between two tries."""

    def __init__(
        self,
        folder: Path,
        driver: str,
        place: str | Opener,
        clock: Clock,
        rng: random.Random,
        *,
        options: Mapping[str, object] | None = None,
    ) -> None:
        """place: a serial port, or what opens a Bluetooth LE device."""
        self.outbox = Outbox(
            folder / "outbox.db", max_bytes=64 << 20, reserve_bytes=1 << 20, keep_s=60, clock=SystemClock()
        )
        self.health = DeviceHealth(driver, driver, clock)
        self.states: list[tuple[DeviceState, Loss | None]] = []
        """Each that it entered, in order."""
        self.log_file = folder / "log"
        is_serial = isinstance(place, str)
        source = Source("s", "r", driver, driver, "place", link_identity_is_device=not is_serial, simulated=True)
        found = registry.driver(driver)
        self._supervisor = Supervisor(
            Device(
                name=driver,
                driver=found,
                options=found.options.model_validate(dict(options or {})),
                opener=_serial(driver, place) if isinstance(place, str) else place,
                intake=lambda: Intake(source, ZoneInfo("UTC"), SystemClock()),
                over_gatt=not is_serial,
            ),
            self.outbox,
            self.health,
            clock=clock,
            rng=rng,
            log=configure(LogConfig(file=self.log_file)),
            changed=self._changed,
        )

    async def __aenter__(self) -> Self:
        await self.outbox.open()
        self._task = asyncio.create_task(self._supervisor.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        await self.outbox.close()

    @property
    def readings(self) -> int:
        return self.health.counts["readings"]

    def log_lines(self) -> int:
        return len(self.log_file.read_text().splitlines())

    async def stored(self) -> list[dict[str, Any]]:
        """The readings on the disk, in their order."""
        return [json.loads(row.payload) for row in await self.outbox.rows(limit=1000)]

    def _changed(self) -> None:
        state = (self.health.state, self.health.reason)
        if self.states[-1:] != [state]:
            self.states.append(state)


def _serial(driver: str, port: str) -> SerialOpener:
    spec = registry.driver(driver).manifest.serial
    assert spec is not None
    return SerialOpener(port, spec, baud=None, clock=SystemClock())
