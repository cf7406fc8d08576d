"""One connection to a pulse oximeter: each measurement gives one reading, whichever way the oximeter tells it.

- A spot-check (2A5E) is a finished measurement, and a reading.
- A stream (2A5F, or Nonin's own) goes by the rule of `devicebridge.sdk.steady`, at a value a second. A value that the
  oximeter itself calls preliminary or doubtful does not count as steady; a stream that is silent has lost the finger.
  Of an oximeter that has spot-checks as well, the stream's reading waits until the finger has gone, or the link, and
  gives way to a spot-check of the same finger.
- Stored spot-checks are asked for at each connection (2A52); those that were not read before are sent, oldest first.
  Where they are not marked as such, and did not all come in time, every spot-check may be one of them.

Nothing is deleted. The clock is set, where the site has turned that on, after spot-checks have come and nothing more
does. The fast and slow averages beside a stream's values are not used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from devicebridge.sdk import (
    GattLink,
    InProgress,
    LinkLost,
    Loss,
    MemoryOptions,
    Noise,
    Observation,
    Origin,
    Outlet,
    Status,
    UnexpectedDevice,
)
from devicebridge.sdk.burst import QUIET_S
from devicebridge.sdk.clock_setting import ClockOptions, ClockSetter, Moment, RunningClock
from devicebridge.sdk.gatt_device import About, Arrivals, introduce, read_optional
from devicebridge.sdk.memory import send_whole
from devicebridge.sdk.racp import RACP, RecordAccess, Result, memory_key
from devicebridge.sdk.steady import Act, SteadyOptions

from .codec import CONTINUOUS, FEATURES, SPOT_CHECK, Codec, Features, SpotCheck
from .nonin import OXIMETRY

SILENCE_S = 5.0
"""As many values left out, and the finger has gone."""

_VALUES_PER_S = 1  # PLXS 1.0.1 and Nonin 113142-000-02

_UNSETTLED = frozenset(
    {
        Status.EARLY_ESTIMATE,
        Status.CALIBRATION_ONGOING,
        Status.QUESTIONABLE_MEASUREMENT,
        Status.DEVICE_ERROR,
        Status.SIGNAL_PROCESSING_IRREGULAR,
        Status.INADEQUATE_SIGNAL,
        Status.ERRATIC_SIGNAL,
        Status.NON_PULSATILE,
        Status.QUESTIONABLE_PULSE,
        Status.SENSOR_FAULT,
        Status.SENSOR_DISPLACED,
    }
)


class PulseOximeterOptions(SteadyOptions, MemoryOptions, ClockOptions):
    """When a stream of values becomes a reading; its memory and its clock."""


async def session(link: GattLink, outlet: Outlet, options: PulseOximeterOptions) -> None:
    """Ends with LinkLost when the oximeter hangs up."""
    measuring = [uuid for uuid in (CONTINUOUS, SPOT_CHECK) if link.has(uuid)]
    if not measuring and link.has(OXIMETRY):
        measuring = [OXIMETRY]
    if not measuring:
        raise UnexpectedDevice
    has_memory = SPOT_CHECK in measuring and link.has(RACP)
    arrivals = Arrivals(await link.subscribe(*measuring, *([RACP] if has_memory else [])))
    setter = ClockSetter(link, outlet, options)
    oximeter = Oximeter(outlet, options, waits_for_spot_check=SPOT_CHECK in measuring, checked=setter.checked)
    silence_s = QUIET_S if measuring == [SPOT_CHECK] else SILENCE_S
    try:
        about = await introduce(link, outlet)
        clock = RunningClock(about.now)
        if has_memory:
            marks_storage = await _marks_storage(link)
            await oximeter.download(RecordAccess(link, arrivals, outlet, oximeter.take), about, marks_storage)
        while True:
            arrived = await arrivals.next(silence_s)
            if arrived is None:
                await oximeter.silence()
                if oximeter.has_stamped:
                    await setter.set_at(Moment.QUIET, clock.now())
                    setter.settle()
            elif arrived[0] != RACP:
                await oximeter.take(*arrived)
    except LinkLost:
        await oximeter.silence()
        raise
    except asyncio.CancelledError:
        async for characteristic, value in arrivals.rest():
            if characteristic != RACP:
                await oximeter.take(characteristic, value)
        await oximeter.silence()
        raise
    finally:
        await arrivals.close()


async def _marks_storage(link: GattLink) -> bool:
    """Whether the oximeter says of a spot-check that it is from its memory."""
    value = await read_optional(link, FEATURES)
    return any(isinstance(f, Features) and f.reports_storage for f in Codec(FEATURES).feed(value or b""))


class Oximeter:
    """Makes readings of values. checked: what can be believed of a spot-check's stamp."""

    def __init__(
        self,
        outlet: Outlet,
        options: PulseOximeterOptions,
        *,
        waits_for_spot_check: bool,
        checked: Callable[[Observation], Observation] = lambda observation: observation,
    ) -> None:
        self.has_stamped = False
        """Its clock's time stood in a spot-check."""
        self._outlet = outlet
        self._options = options
        self._checked = checked
        self._waits = waits_for_spot_check
        self._act = Act(options)
        self._codecs = {uuid: Codec(uuid) for uuid in (SPOT_CHECK, CONTINUOUS, OXIMETRY)}
        self._stored: list[Observation] | None = None  # what came of the memory, while it is read
        self._marks_storage = True
        self._is_late = False  # what is stored, and not marked so, may come at any time
        self._waiting: Observation | None = None  # a stream's reading, until its finger has gone
        self._has_spot_check = False  # of the finger that is in, or was last

    async def download(self, access: RecordAccess, about: About, marks_storage: bool) -> None:
        """An oximeter whose memory cannot be read still measures. Raises LinkLost where that never ends."""
        self._marks_storage = marks_storage
        self._stored = stored = list[Observation]()
        try:
            result = await access.report()
        except LinkLost as lost:  # the end of the link itself is heard again with the next value
            if lost.reason is Loss.FLOODED:
                raise
            self._is_late = not marks_storage
            return
        finally:
            self._stored = None
        if result in (Result.SUCCESS, Result.NO_RECORDS):
            key = await memory_key(self._outlet, about.identity)
            await send_whole(self._outlet, key, stored[::-1], about.now, self._options)

    async def take(self, characteristic: str, data: bytes) -> None:
        for item in self._codecs[characteristic].feed(data):
            if isinstance(item, Noise):
                self._act.disturbed()
                self._outlet.note(item)
            elif isinstance(item, SpotCheck):
                await self._spot_check(*item.group)
            elif item.group:
                await self._sample(*item.group)

    async def silence(self) -> None:
        """Nothing came for a while, or nothing will."""
        self._act = Act(self._options)
        await self._release()

    async def _spot_check(self, observation: Observation) -> None:
        self.has_stamped |= observation.device_time is not None
        if self._stored is not None and (observation.origin is Origin.STORED or not self._marks_storage):
            self._stored.append(replace(observation, origin=Origin.STORED))
            return
        if self._is_late:
            observation = replace(observation, origin=Origin.STORED)
        if observation.origin is Origin.LIVE:
            self._waiting, self._has_spot_check = None, True
        if Status.CLOCK_UNSET in observation.status:
            # Such stamps come again after each switching-on, and would make two readings one.
            observation = replace(observation, device_time=None)
        await self._outlet.emit(self._checked(observation))

    async def _sample(self, observation: Observation) -> None:
        is_off = any(value.value is None for value in observation.values[:2])
        if observation.status & _UNSETTLED and not is_off:
            self._act.disturbed()
            return
        reading = self._act.next(observation, _VALUES_PER_S)
        if isinstance(reading, InProgress):
            self._has_spot_check = False
            self._outlet.note(reading)
        elif reading is not None and not self._has_spot_check:
            self._waiting = reading
        if is_off or not self._waits:
            await self._release()

    async def _release(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            await self._outlet.emit(waiting)
