"""Supervision: one task a device that opens its link, runs its driver's session, and begins again when it ends.

A driver may return, raise, hang or swallow cancellation; none of it reaches another device. What a session emits goes
through intake to the outbox before `emit` returns.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from .clock import Clock
from .health import REMEDIES, DeviceHealth, DeviceState
from .intake import Intake
from .links import Opener, StuckPorts
from .logs import Logger, place_of
from .outbox import Outbox, OutboxFailed
from .sdk.codec import Noise
from .sdk.driver import Driver, Options
from .sdk.links import ByteLink, GattLink, LinkLost, Loss
from .sdk.outlet import Battery, DeviceClock, DeviceIdentity, Event, InProgress, Scan
from .sdk.values import Observation

T = TypeVar("T")

SAVE_RETRY_S = 1.0
"""Between tries to store a reading that the disk refused."""

CANCEL_GRACE_S = 0.5
"""A session that has not ended so long after its cancellation is abandoned: stopping must take under 2 s."""

DEVICE_TEXT_LIMIT = 64
"""Device Information strings are short; a longer one is hostile or broken."""

MAX_ABANDONED = 3
"""A driver that ignores so many cancellations is not started again until the program is."""

_QUICK = (0.1, 0.5)
_PLUG = (0.25, 1.5)
_SLOW = (2.0, 30.0)
_RETRY_S: dict[Loss | None, tuple[float, float]] = {
    Loss.DISCONNECTED: _QUICK,
    Loss.OUT_OF_REACH: _QUICK,
    Loss.UNPLUGGED: _PLUG,
    Loss.NOT_FOUND: _PLUG,
    Loss.SILENT: _PLUG,
    Loss.TIMEOUT: _PLUG,
    Loss.FAILED: (0.5, 10.0),
}
"""First and longest wait before the next try; a port must be back in use within 2 s of its return."""


@dataclass(frozen=True, slots=True)
class Device:
    """One configured device, ready to be run."""

    name: str
    driver: Driver[Any]
    options: Options
    opener: Opener
    intake: Callable[[], Intake]
    over_gatt: bool


class SessionHangs(Exception):
    """A driver's session that does not end when it is cancelled."""


class DeviceOutlet:
    """The way out of one session."""

    def __init__(self, intake: Intake, outbox: Outbox, health: DeviceHealth, clock: Clock, changed: Callable[[], None]):
        self._intake = intake
        self._outbox = outbox
        self._health = health
        self._clock = clock
        self._changed = changed

    async def emit(self, *group: Observation) -> None:
        entries = self._intake.entries(group)
        stored = await self._until_saved(lambda: self._outbox.put(entries))
        health = self._health
        health.last_reading_at = self._clock.now()
        health.counts["readings"] += stored
        health.counts["repeats"] += len(entries) - stored
        health.enter(DeviceState.OK)
        self._changed()

    async def recall(self, key: str, /) -> str | None:
        return await self._outbox.recall(self._health.name, _bounded_word(key))

    async def remember(self, key: str, value: str, /) -> None:
        words = _bounded_word(key), _bounded_word(value)
        await self._until_saved(lambda: self._outbox.remember(self._health.name, *words))

    async def _until_saved(self, save: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await save()
            except OutboxFailed:
                if self._health.enter(DeviceState.CANNOT_SAVE):
                    self._changed()
                await self._clock.sleep(SAVE_RETRY_S)

    def note(self, event: Event) -> None:
        health = self._health
        match event:
            case Noise(raw=raw):
                health.noise(len(raw))
            case DeviceClock(now=now):
                self._intake.read_clock(now)
                health.clock_offset_s = self._intake.clock_offset_s
            case DeviceIdentity():
                health.identity = self._intake.identity = _bounded_identity(event)
                self._changed()
            case Battery():
                health.battery = event
                self._changed()
            case Scan():
                health.counts["scans"] += 1
            case InProgress():
                pass


class Supervisor:
    """Runs one device for ever."""

    def __init__(
        self,
        device: Device,
        outbox: Outbox,
        health: DeviceHealth,
        *,
        clock: Clock,
        rng: random.Random,
        log: Logger,
        changed: Callable[[], None],
    ) -> None:
        self._device = device
        self._outbox = outbox
        self._health = health
        self._clock = clock
        self._rng = rng
        self._log = log.bind(device=device.name, driver=device.driver.manifest.id)
        self._changed = changed
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled, or until the driver has shown that it cannot be stopped."""
        while self._health.counts["abandoned"] < MAX_ABANDONED:
            await self._clock.sleep(self._wait_s(await self._session()))
        self._log.error("driver-quarantined")

    async def _session(self) -> Loss | None:
        """One session; the reason of its end, None for a mistake in the driver or here."""
        readings_before = self._health.counts["readings"]
        self._health.counts["sessions"] += 1
        try:
            async with self._device.opener.open() as link:
                if self._device.driver.manifest.rhythm.idle_timeout_s is None:
                    self._enter(DeviceState.WAITING)
                await self._run_driver(link)
            reason: Loss | None = Loss.DISCONNECTED
        except LinkLost as lost:
            reason = lost.reason
        except StuckPorts:
            raise
        except Exception as error:  # noqa: BLE001 - a driver may raise anything, and must harm nobody else
            reason = None
            self._health.counts["abandoned"] += isinstance(error, SessionHangs)
            self._health.counts["faults"] += 1
            self._log.error("session-fault", error=type(error).__name__, place=place_of(error))
        worked = self._health.counts["readings"] > readings_before or reason is Loss.DISCONNECTED
        self._failures = 0 if worked else self._failures + 1
        self._enter(REMEDIES[reason][0] if reason else DeviceState.FAULT, reason)
        return reason

    async def _run_driver(self, link: ByteLink | GattLink) -> None:
        device, rhythm = self._device, self._device.driver.manifest.rhythm
        outlet = DeviceOutlet(device.intake(), self._outbox, self._health, self._clock, self._changed)
        watch = WatchedGatt if device.over_gatt else WatchedBytes
        self._health.begin_session()
        watched = watch(link, rhythm.idle_timeout_s, self._heard)
        await _contained(device.driver.session(watched, outlet, device.options), rhythm.session_timeout_s)

    def _heard(self, size: int) -> None:
        self._health.heard(size)
        self._enter(DeviceState.OK)

    def _enter(self, state: DeviceState, reason: Loss | None = None) -> None:
        if self._health.enter(state, reason):
            self._log.info("device", state=state, reason=reason)
            self._changed()

    def _wait_s(self, reason: Loss | None) -> float:
        first_s, longest_s = _RETRY_S.get(reason, _SLOW)
        ceiling_s = min(longest_s, first_s * 2 ** min(self._failures, 10))
        return self._rng.uniform(ceiling_s / 2, ceiling_s)


class WatchedBytes:
    """A serial line with its idle time-out, and a count of what it brings."""

    def __init__(self, link: Any, idle_timeout_s: float | None, heard: Callable[[int], None]) -> None:
        self._link: ByteLink = link
        self._idle_timeout_s = idle_timeout_s
        self._heard = heard

    async def read(self) -> bytes:
        data = await _in_time(self._link.read(), self._idle_timeout_s)
        self._heard(len(data))
        return data

    async def write(self, data: bytes, /) -> None:
        await self._link.write(data)


class WatchedGatt:
    """A peripheral with its idle time-out, and a count of what it brings."""

    def __init__(self, link: Any, idle_timeout_s: float | None, heard: Callable[[int], None]) -> None:
        self._link: GattLink = link
        self._idle_timeout_s = idle_timeout_s
        self._heard = heard

    @property
    def name(self) -> str:
        return self._link.name

    def has(self, characteristic: str, /) -> bool:
        return self._link.has(characteristic)

    async def read(self, characteristic: str, /) -> bytes:
        data = await self._link.read(characteristic)
        self._heard(len(data))
        return data

    async def write(self, characteristic: str, data: bytes, /) -> None:
        await self._link.write(characteristic, data)

    async def subscribe(self, *characteristics: str) -> AsyncIterator[tuple[str, bytes]]:
        return self._counted(await self._link.subscribe(*characteristics))

    async def _counted(self, values: AsyncIterator[tuple[str, bytes]]) -> AsyncIterator[tuple[str, bytes]]:
        while True:
            try:
                item = await _in_time(anext(values), self._idle_timeout_s)
            except StopAsyncIteration:
                return
            self._heard(len(item[1]))
            yield item


async def _in_time(answer: Awaitable[T], idle_timeout_s: float | None) -> T:
    try:
        async with asyncio.timeout(idle_timeout_s):
            return await answer
    except TimeoutError:
        raise LinkLost(Loss.SILENT) from None


async def _contained(session: Awaitable[None], timeout_s: float | None) -> None:
    """Runs a session in a task of its own, so that one that swallows its cancellation can be left behind."""
    task = asyncio.ensure_future(session)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_GRACE_S)
    if not task.done():
        raise SessionHangs
    if task.cancelled():
        raise LinkLost(Loss.TIMEOUT)
    task.result()


def _bounded_word(word: str) -> str:
    if not (word.isprintable() and len(word) <= DEVICE_TEXT_LIMIT):
        raise ValueError("what is remembered must be short and printable")
    return word


def _bounded_identity(identity: DeviceIdentity) -> DeviceIdentity:
    def bounded(text: str | None) -> str | None:
        return "".join(c for c in text if c.isprintable()).strip()[:DEVICE_TEXT_LIMIT] or None if text else None

    return DeviceIdentity(*map(bounded, (identity.manufacturer, identity.model, identity.serial, identity.firmware)))
