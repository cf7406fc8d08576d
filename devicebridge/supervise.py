"""Supervision: one task a device that opens its link, runs its driver's session, and begins again when it ends.

A driver may return, raise, hang or swallow cancellation; none of it reaches another device. What a session emits goes
through intake to the outbox before `emit` returns.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .clock import Clock
from .config import EkgConfig
from .ekg.channel import PLACES, Channel
from .ekg.recording import Unrecorded
from .health import REMEDIES, DeviceHealth, DeviceState
from .intake import Intake
from .links import Opener, StuckPorts
from .logs import Logger, place_of
from .outbox import Outbox, OutboxFailed
from .outlet import NO_RECORDING, DeviceOutlet, recording_mark
from .sdk.driver import Driver, Options
from .sdk.links import ByteLink, GattLink, LinkLost, Loss
from .setbacks import Restraint
from .watched import WatchedBytes, WatchedGatt

CANCEL_GRACE_S = 0.5
"""A session that has not ended so long after its cancellation is abandoned: stopping must take under 2 s."""

MAX_ABANDONED = 3
"""A driver that ignores so many cancellations is not started again until the program is."""

LOG_LINES_A_MINUTE = 10
"""Of one device's changes of state: a flapping link must not fill the disk."""

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

_UNTIL_HEARD = frozenset({Loss.TIMEOUT, Loss.FLOODED, Loss.UNEXPECTED_DEVICE, Loss.BOND_LOST, Loss.BOND_REQUIRED})
"""What a Bluetooth LE device did stays said until it is heard: that it is waited for again proves nothing."""


@dataclass(frozen=True, slots=True)
class Device:
    """One configured device, ready to be run."""

    name: str
    driver: Driver[Any]
    options: Options
    opener: Opener
    intake: Callable[[], Intake]
    over_gatt: bool
    simulated: bool = False
    ekg: EkgConfig | None = None
    """Of a device that has leads."""

    @property
    def silence_budget_s(self) -> float | None:
        rhythm = self.driver.manifest.rhythm
        return rhythm.silence_budget_s or (None if self.over_gatt else rhythm.idle_timeout_s)


class SessionHangs(Exception):
    """A driver's session that does not end when it is cancelled."""


class DriverExits(Exception):
    """A driver's session that tried to end the program."""


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
        show: Callable[[bytes], bool] = lambda _: False,
        restraint: Restraint = Restraint(),  # noqa: B008 - frozen
    ) -> None:
        """show: publishes a piece of the live trace, false where it is dropped. restraint: of earlier runs."""
        self._device = device
        self._outbox = outbox
        self._health = health
        self._clock = clock
        self._rng = rng
        self._log = log.bind(device=device.name, driver=device.driver.manifest.id)
        self._changed = changed
        self.ekg = (
            Channel(device.name, device.ekg, show, clock, health.counts, self._say_broken, simulated=device.simulated)
            if device.ekg
            else None
        )
        self._restraint = restraint
        self._failures = 0
        self._outlet: DeviceOutlet | None = None
        self._logged_s: deque[float] = deque(maxlen=LOG_LINES_A_MINUTE)

    @property
    def is_saving(self) -> bool:
        """A reading waits for the disk: the session must not be ended now."""
        return self._outlet is not None and self._outlet.is_saving

    async def run(self) -> None:
        """Until cancelled, or until the driver has shown, now or in an earlier run, that it cannot be stopped."""
        try:
            await self._miss_recordings()
            if self._device.driver.manifest.id not in self._restraint.shut_out:
                await self._rest()
                while self._health.counts["abandoned"] < MAX_ABANDONED:
                    await self._clock.sleep(self._wait_s(await self._session()))
            self._enter(DeviceState.QUARANTINED)
        finally:
            if self.ekg is not None:
                await self.ekg.close()

    async def _rest(self) -> None:
        """After too many restarts: the device is left alone for a while, and what is on the disk goes out."""
        rest_s = self._restraint.until_s - self._clock.monotonic_s()
        if rest_s > 0:
            self._enter(DeviceState.FAULT)
            await self._clock.sleep(rest_s)

    async def _session(self) -> Loss | None:
        """One session; the reason of its end, None for a mistake in the driver or here."""
        self._health.begin_session()
        try:
            await self._open_and_run()
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
        was_heard = self._health.session_bytes > 0 and reason is not Loss.FLOODED
        self._failures = 0 if was_heard else self._failures + 1
        self._enter(REMEDIES[reason][0] if reason else DeviceState.FAULT, reason)
        return reason

    async def _open_and_run(self) -> None:
        device = self._device
        await device.opener.ready()
        if device.over_gatt and self._health.reason not in _UNTIL_HEARD:
            self._enter(DeviceState.WAITING)
        async with device.opener.open() as link:
            if device.driver.manifest.rhythm.idle_timeout_s is None:
                self._enter(DeviceState.WAITING)
            await self._run_driver(link)

    async def _run_driver(self, link: ByteLink | GattLink) -> None:
        device, rhythm = self._device, self._device.driver.manifest.rhythm
        outlet = DeviceOutlet(
            device.intake(), self._outbox, self._health, self._clock, self._enter, self._changed, self.ekg
        )
        self._outlet = outlet
        watch = WatchedGatt if device.over_gatt else WatchedBytes
        session = device.driver.session(watch(link, rhythm.idle_timeout_s, self._heard), outlet, device.options)
        try:
            await _contained(session, rhythm.session_timeout_s, lambda: outlet.is_saving, _look_away)
        finally:
            outlet.close()

    async def _miss_recordings(self) -> None:
        """A recording that was under way when the program ended is on disk whole, or it is said to be missing."""
        for place in range(PLACES if self.ekg is not None else 0):
            with suppress(OutboxFailed):  # a disk that refuses now is told of by others; the mark stays
                await self._miss_recording(recording_mark(place))

    async def _miss_recording(self, key: str) -> None:
        name = self._device.name
        mark = await self._outbox.recall(name, key)
        if mark is None or mark == NO_RECORDING or await self._outbox.holds(mark):
            return
        self._health.counts["ekg_recordings_broken"] += 1
        self._log.error("recording-missing")
        await self._outbox.remember(name, key, NO_RECORDING)

    def _say_broken(self, why: Unrecorded) -> None:
        self._log.warning("recording-broken", reason=why)
        self._changed()

    def _heard(self, size: int) -> None:
        self._health.heard(size)
        if self._health.state is DeviceState.CANNOT_SAVE:
            return  # while a strip waits for the disk its session goes on
        if self._health.reason is not Loss.UNEXPECTED_DATA or self._health.is_understood:
            self._enter(DeviceState.OK)

    def _enter(self, state: DeviceState, reason: Loss | None = None) -> None:
        if not self._health.enter(state, reason):
            return
        now_s = self._clock.monotonic_s()
        if len(self._logged_s) < LOG_LINES_A_MINUTE or now_s - self._logged_s[0] > 60:
            self._logged_s.append(now_s)
            self._log.info("device", state=state, reason=reason)
        self._changed()

    def _wait_s(self, reason: Loss | None) -> float:
        first_s, longest_s = _RETRY_S.get(reason, _SLOW)
        ceiling_s = min(longest_s, first_s * 2 ** min(self._failures, 10))
        return self._rng.uniform(ceiling_s / 2, ceiling_s)


async def _contained(
    session: Awaitable[None], timeout_s: float | None, is_saving: Callable[[], bool], ended: Callable[[Any], None]
) -> None:
    """Runs a session in a task of its own, so that one that swallows its cancellation can be left behind.

    ended: is given the task when it ends, be it long after it was left behind, or while we are cancelled ourselves.
    """
    task = asyncio.ensure_future(_without_exit(session))
    task.add_done_callback(ended)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=timeout_s)
            if not is_saving():
                break
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_GRACE_S)
    if not task.done():
        raise SessionHangs
    if task.cancelled():
        raise LinkLost(Loss.TIMEOUT)
    task.result()


async def _without_exit(session: Awaitable[None]) -> None:
    """A driver, or a library of its, that calls sys.exit() must not end the daemon."""
    try:
        await session
    except (SystemExit, KeyboardInterrupt) as exit_:
        raise DriverExits from exit_


def _look_away(task: asyncio.Task[None]) -> None:
    """Takes the exception of a task left behind, so that its text reaches no log."""
    if not task.cancelled():
        task.exception()
