"""A test reading, end to end: real link, session and intake. Nothing of it reaches the outbox or the broker.

Over serial `emit` never returns to the session, so that a device that waits for our word keeps its reading. Over
Bluetooth LE the system has given that word already, and a cuff empties its memory all at once: all that comes is
taken, for a person to see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from ..clock import Clock
from ..health import REMEDIES, DeviceState
from ..intake import Intake
from ..sdk.links import LinkLost, Loss
from ..sdk.outlet import Battery, DeviceClock, DeviceIdentity, Event, InProgress, Scan, Skipped
from ..sdk.values import Observation
from ..sdk.wave import Wave
from ..supervise import Device
from ..watched import WatchedBytes, WatchedGatt

AGAIN_S = 0.2
"""Before a device that hung up without a reading is waited for again: it does so after each measurement."""
END_S = 2.0
"""For a session to end that was cancelled."""
SETTLE_S, SETTLE_MAX_S = 0.5, 10.0
"""After a reading over Bluetooth LE: so long without another is the end of a burst, and no burst lasts longer."""
PAYLOADS_MAX = 500
"""Kept for a person to see: more than any cuff's memory holds."""


class Step(StrEnum):
    """WAITING: for the device to be there. CONNECTED: it is. MEASURING: it says so itself."""

    WAITING = "waiting"
    CONNECTED = "connected"
    MEASURING = "measuring"


@dataclass(frozen=True, slots=True)
class Trial:
    """The proof that a device can be read.

    payloads: the messages that a daemon would have published; none of a device that gives samples or barcodes.
        More than one where a cuff emptied its memory.
    skipped: stored records that the driver's options leave out at a first meeting.
    """

    payloads: tuple[bytes, ...]
    identity: DeviceIdentity
    battery: Battery | None
    skipped: int


async def take(device: Device, clock: Clock, tell: Callable[[Step], None]) -> Trial:
    """Waits for the device's first reading. Raises LinkLost where waiting does not help; whatever its driver raises."""
    while True:
        tell(Step.WAITING)
        try:
            await device.opener.ready()
            async with device.opener.open() as link:
                tell(Step.CONNECTED)
                watch = WatchedGatt if device.over_gatt else WatchedBytes
                outlet = _TrialOutlet(device.intake(), tell, over_gatt=device.over_gatt)
                watched = watch(link, device.driver.manifest.rhythm.idle_timeout_s, lambda _: None)
                session = asyncio.ensure_future(device.driver.session(watched, outlet, device.options))
                if trial := await _first(session, outlet):
                    return trial
        except LinkLost as lost:
            if REMEDIES[lost.reason][0] is not DeviceState.WAITING and lost.reason not in _PATIENCE:
                raise
        await clock.sleep(AGAIN_S)


_PATIENCE = {Loss.TIMEOUT, Loss.SILENT}
"""A device that is slow, or not switched on yet."""


async def _first(session: asyncio.Future[None], outlet: _TrialOutlet) -> Trial | None:
    """What came first: readings, or the end of the session, which raises what that raised."""
    arrival = asyncio.ensure_future(outlet.arrived.wait())
    both: set[asyncio.Future[Any]] = {session, arrival}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if outlet.arrived.is_set():
            await outlet.settled(session)
            return outlet.trial
        session.result()
        return None
    finally:
        arrival.cancel()
        session.cancel()
        await asyncio.wait(both, timeout=END_S)
        if session.done() and not session.cancelled():
            session.exception()


@dataclass(slots=True)
class _TrialOutlet:
    """An Outlet that only shows what it is given."""

    intake: Intake
    tell: Callable[[Step], None]
    over_gatt: bool
    battery: Battery | None = None
    skipped: int = 0
    payloads: list[bytes] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def trial(self) -> Trial:
        return Trial(tuple(self.payloads), self.intake.identity, self.battery, self.skipped)

    async def settled(self, session: asyncio.Future[None]) -> None:
        """Returns at the end of a burst."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_MAX_S):
                count = -1
                while self.over_gatt and len(self.payloads) != count and not session.done():
                    count = len(self.payloads)
                    await asyncio.wait({session}, timeout=SETTLE_S)

    async def emit(self, *group: Observation) -> None:
        if len(self.payloads) < PAYLOADS_MAX:
            self.payloads += [entry.payload for entry in self.intake.entries(group)]
        self.arrived.set()
        if not self.over_gatt:
            await asyncio.Event().wait()  # until the session is cancelled

    async def recall(self, _key: str, /) -> str | None:
        return None

    async def remember(self, _key: str, _value: str, /) -> None:
        """The daemon meets the device for the first time, still."""

    def wave(self, _wave: Wave, /) -> None:
        self.arrived.set()

    def local_time(self) -> datetime:
        return self.intake.local_now()

    def note(self, event: Event, /) -> None:
        match event:
            case DeviceClock(now=now):
                self.intake.read_clock(now)
            case DeviceIdentity():
                self.intake.identity = event
            case Battery():
                self.battery = event
            case Scan():
                self.arrived.set()
            case Skipped():
                self.skipped += 1
            case InProgress():
                self.tell(Step.MEASURING)
