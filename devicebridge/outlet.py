"""The way out of one session: through intake to the disk. `emit` returns when the reading is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from .clock import Clock
from .ekg.channel import Channel, Recorded
from .ekg.recording import Recording
from .health import DeviceHealth, DeviceState
from .intake import Intake
from .outbox import Entry, Fault, Outbox, OutboxFailed
from .sdk.codec import Noise
from .sdk.links import Loss, UnexpectedDevice
from .sdk.outlet import Battery, ClockSetting, DeviceClock, DeviceIdentity, Event, InProgress, Scan, Skipped
from .sdk.values import Observation
from .sdk.wave import Wave

T = TypeVar("T")
Enter = Callable[[DeviceState, Loss | None], None]

SAVE_RETRY_S = 1.0
"""Between tries to store a reading that the disk refused."""

DEVICE_TEXT_LIMIT = 64
"""Device Information strings are short; a longer one is hostile or broken."""

RECORDING_MARK, NO_RECORDING = "ekg-recording", "-"
"""What is remembered of a device: the ids of recordings under way, so that one that a crash ended is missed."""


class DeviceOutlet:
    """enter: tells of a new state. changed: there is news for the status topic. ekg: where
    the samples go of a device that has any."""

    def __init__(
        self,
        intake: Intake,
        outbox: Outbox,
        health: DeviceHealth,
        clock: Clock,
        enter: Enter,
        changed: Callable[[], None],
        ekg: Channel | None = None,
    ) -> None:
        self._ekg = ekg
        self._intake = intake
        self._outbox = outbox
        self._health = health
        self._clock = clock
        self._enter = enter
        self._changed = changed
        self._savers = 0

    @property
    def is_saving(self) -> bool:
        """Something waits to be stored: the session must not be ended for taking long."""
        return self._savers > 0

    async def emit(self, *group: Observation) -> None:
        before = self._intake.without_number
        await self._store(self._intake.entries(group))
        self._health.counts["without_number"] += self._intake.without_number - before

    async def _store(self, entries: list[Entry]) -> None:
        stored = await self._until_saved(lambda: self._outbox.put(entries))
        health = self._health
        health.last_reading_at = self._clock.now()
        health.counts["readings"] += stored
        health.counts["repeats"] += len(entries) - stored
        self._changed()

    async def recall(self, key: str, /) -> str | None:
        return await self._outbox.recall(self._health.name, _bounded_word(key))

    async def remember(self, key: str, value: str, /) -> None:
        words = _bounded_word(key), _bounded_word(value)
        await self._until_saved(lambda: self._outbox.remember(self._health.name, *words))

    async def _until_saved(self, save: Callable[[], Awaitable[T]]) -> T:
        self._savers += 1
        try:
            while True:
                try:
                    saved = await save()
                    break
                except OutboxFailed as error:
                    if error.fault is Fault.BAD_ENTRY:
                        raise
                    self._enter(DeviceState.CANNOT_SAVE, None)
                    await self._clock.sleep(SAVE_RETRY_S)
        except asyncio.CancelledError:
            self._health.counts["unsaved"] += self._health.state is DeviceState.CANNOT_SAVE
            raise
        finally:
            self._savers -= 1
        if not self.is_saving:
            self._enter(DeviceState.OK, None)
        return saved

    def wave(self, wave: Wave, /) -> None:
        if self._ekg is not None:
            self._ekg.take(wave, self)

    async def record(self, recording: Recording, recorded: Recorded, /) -> None:
        """A finished one, of what `wave` was given. Returns when it is on disk."""
        # A long strip of many leads takes a fifth of a second, in which no device would be read.
        await self._store([await asyncio.to_thread(self._entry_of, recording, recorded)])

    def _entry_of(self, recording: Recording, recorded: Recorded) -> Entry:
        return self._intake.recording(recording.strip(), recorded)

    async def mark_recording(self, place: int, id_: UUID | None, /) -> None:
        await self.remember(recording_mark(place), str(id_) if id_ else NO_RECORDING)

    def close(self) -> None:
        """The session is over; a recording may still be stored, which says nothing of the link."""
        self._enter = _say_nothing
        if self._ekg is not None:
            self._ekg.end(self)
            self._ekg = None  # a session that was left behind may go on calling

    def local_time(self) -> datetime:
        return self._intake.local_now()

    def note(self, event: Event) -> None:
        health = self._health
        match event:
            case Noise(raw=raw):
                health.noise(len(raw))
                if health.mostly_noise:
                    self._enter(DeviceState.LOST, Loss.UNEXPECTED_DATA)
            case DeviceClock(now=now):
                self._intake.read_clock(now)
                health.clock_offset_s = self._intake.clock_offset_s
            case DeviceIdentity():
                health.identity = self._intake.identity = _bounded_identity(event)
                self._changed()
                if self._intake.is_stranger:
                    raise UnexpectedDevice
            case Battery():
                health.battery = event
                self._changed()
            case Scan():
                health.counts["scans"] += 1
            case Skipped():
                health.counts["skipped"] += 1
            case ClockSetting(outcome=outcome):
                health.counts[f"clock_{outcome.name.lower()}"] += 1
                self._changed()
            case InProgress():
                pass


def recording_mark(place: int) -> str:
    return f"{RECORDING_MARK}-{place}"


def _say_nothing(_state: DeviceState, _loss: Loss | None) -> None:
    pass


def _bounded_word(word: str) -> str:
    if not (word.isprintable() and len(word) <= DEVICE_TEXT_LIMIT):
        raise ValueError("what is remembered must be short and printable")
    return word


def _bounded_identity(identity: DeviceIdentity) -> DeviceIdentity:
    def bounded(text: str | None) -> str | None:
        return "".join(c for c in text if c.isprintable()).strip()[:DEVICE_TEXT_LIMIT] or None if text else None

    return DeviceIdentity(*map(bounded, (identity.manufacturer, identity.model, identity.serial, identity.firmware)))
