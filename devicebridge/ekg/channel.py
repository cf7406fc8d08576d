"""The EKG of one configured device, across its sessions: what is counted, shown live, and recorded."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from ..clock import Clock
from ..config import EkgConfig
from ..sdk.wave import Lead, Wave, WaveFormat
from .live import Live
from .recording import SAMPLES_MAX, Recording, RecordingFailed, Unrecorded
from .strip import missing
from .timing import Timing

STALL_S = 3.0
"""Without a sample for so long a signal has stopped; a radio packet that is lost is repeated within a second."""

SETTLE_S = 2
"""A signal that has been whole, with all leads on, for so long is worth recording by itself."""

SLEPT_S = 3.0
"""The wall clock and the monotonic one moved so far apart: this PC slept, and the device's numbers may have come
round meanwhile; or its clock was set."""

PLACES = 4
"""Recordings under way, or waiting for a disk that refuses them. The last place is for one that is asked for."""


class Keeper(Protocol):
    """Where a session's recordings go: see `DeviceOutlet`."""

    async def record(self, recording: Recording, recorded: Recorded, /) -> None:
        """Returns when it is on disk."""
        ...

    async def mark_recording(self, place: int, id_: uuid.UUID | None, /) -> None:
        """On disk: in this place, of PLACES, this recording is under way, or none is."""
        ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording's own facts."""

    id: uuid.UUID
    measured_at: datetime
    drift_ppm: Decimal | None
    leads_off: frozenset[Lead]


@dataclass(slots=True)
class _Stream:
    """What belongs to one session's numbering."""

    format: WaveFormat
    keeper: Keeper
    live: Live
    timing: Timing
    next_index: int
    heard_s: float
    wall_ahead_s: float
    """Of the monotonic clock, by the last wave."""
    whole_rows: int = 0
    was_recorded: bool = False


@dataclass(slots=True)
class _Job:
    place: int
    id: uuid.UUID
    recording: Recording
    stream: _Stream
    filled: asyncio.Future[Recorded]


class Channel:
    """live: sends a chunk to the broker, false where it was dropped. counts: of the device's health. broken: told of
    each recording that was begun and is not kept."""

    def __init__(
        self,
        device: str,
        rule: EkgConfig,
        live: Callable[[bytes], bool],
        clock: Clock,
        counts: Counter[str],
        broken: Callable[[Unrecorded], None],
        *,
        simulated: bool = False,
    ) -> None:
        self._device = device
        self._simulated = simulated
        self._rule = rule
        self._live = live
        self._clock = clock
        self._counts = counts
        self._broken = broken
        self._stream: _Stream | None = None
        self._job: _Job | None = None
        self._tasks: dict[int, asyncio.Task[Any]] = {}  # by place
        self._keeping = asyncio.Lock()  # they are stored in their order

    def take(self, wave: Wave, keeper: Keeper) -> None:
        """Samples of the session whose outlet is `keeper`."""
        now_s = self._clock.monotonic_s()
        stream = self._stream
        if stream is None or stream.keeper is not keeper or stream.format != wave.format:
            stream = self._begin(wave, keeper, now_s)
        wave = self._after_sleep(stream, wave, now_s)
        fresh = self._fresh(stream, wave)
        if fresh is None:
            return
        stream.heard_s = now_s
        stream.next_index = fresh.first_index + len(fresh.rows)
        stream.timing.heard(stream.next_index, now_s)
        self._show(stream, fresh)
        self._fill(stream, fresh)
        self._follow_rule(stream, fresh)

    def end(self, keeper: Keeper) -> None:
        """Its session is over."""
        if self._stream is not None and self._stream.keeper is keeper:
            self._stream.live.flush()
            self._stream = None
            self._break_off(Unrecorded.LINK_LOST)

    async def record(self, seconds: float) -> tuple[Recording, Recorded]:
        """A strip from now on; returns when it is on disk. Raises RecordingFailed: then nothing was kept."""
        stream = self._stream
        if stream is None or self._clock.monotonic_s() - stream.heard_s > STALL_S:
            raise RecordingFailed(Unrecorded.NO_SIGNAL)
        return await asyncio.shield(self._start(stream, _rows(stream.format, seconds), stream.next_index))

    async def close(self) -> None:
        """Breaks off what is being recorded; what is being saved is waited for."""
        self._break_off(Unrecorded.LINK_LOST)
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    def _begin(self, wave: Wave, keeper: Keeper, now_s: float) -> _Stream:
        first_index, before = wave.first_index, self._stream
        if before is not None:
            before.live.flush()
            self._break_off(Unrecorded.FORMAT_CHANGED)
            if before.keeper is keeper:  # the numbering goes on
                first_index = min(first_index, before.next_index)
        live = Live(self._device, secrets.token_hex(4), self._send, simulated=self._simulated)
        timing = Timing(wave.format.rate_hz)
        ahead_s = self._wall_ahead_s(now_s)
        self._stream = _Stream(wave.format, keeper, live, timing, first_index, now_s, ahead_s)
        return self._stream

    def _after_sleep(self, stream: _Stream, wave: Wave, now_s: float) -> Wave:
        before_s, stream.wall_ahead_s = stream.wall_ahead_s, self._wall_ahead_s(now_s)
        slept = abs(stream.wall_ahead_s - before_s) > SLEPT_S
        return replace(wave, after_unknown_gap=True) if slept else wave

    def _wall_ahead_s(self, now_s: float) -> float:
        return self._clock.now().timestamp() - now_s

    def _fresh(self, stream: _Stream, wave: Wave) -> Wave | None:
        """Without the rows that came before; what is missing before it is counted."""
        lost = wave.first_index - stream.next_index
        if wave.after_unknown_gap:
            self._counts["ekg_unknown_gaps"] += 1
            stream.timing = Timing(stream.format.rate_hz)
            stream.next_index, stream.whole_rows = wave.first_index, 0
        elif lost > 0:
            self._counts["ekg_lost"] += lost
            stream.whole_rows = 0
        elif lost < 0:
            self._counts["ekg_repeated"] += min(-lost, len(wave.rows))
            if len(wave.rows) <= -lost:
                return None
            wave = replace(wave, first_index=stream.next_index, rows=wave.rows[-lost:])
        self._counts["ekg_samples"] += len(wave.rows)
        return wave

    def _show(self, stream: _Stream, wave: Wave) -> None:
        if self._rule.live:
            stream.live.take(wave)

    def _send(self, chunk: bytes) -> None:
        self._counts["ekg_chunks_dropped"] += not self._live(chunk)

    def _fill(self, stream: _Stream, wave: Wave) -> None:
        job = self._job
        if job is None or job.stream is not stream:
            return
        try:
            job.recording.take(wave)
        except RecordingFailed as failed:
            self._break_off(failed.why)
            return
        if job.recording.is_complete:
            self._job = None
            now, now_s = self._clock.now(), self._clock.monotonic_s()
            ago = timedelta(seconds=max(0.0, now_s - stream.timing.at_s(job.recording.first_index)))
            leads_off = job.recording.leads_off
            job.filled.set_result(Recorded(job.id, now - ago, stream.timing.drift_ppm, leads_off))
            if self._rule.record == "continuous" and self._may_begin:
                self._record_by_rule(stream, job.recording.end_index)
                self._fill(stream, wave)

    def _follow_rule(self, stream: _Stream, wave: Wave) -> None:
        """A strip by itself, once each time that the leads are put on."""
        if wave.leads_off:
            stream.whole_rows = 0
            stream.was_recorded = stream.was_recorded and len(wave.leads_off) < len(stream.format.leads)
            return
        stream.whole_rows = 0 if missing(wave.rows) else stream.whole_rows + len(wave.rows)
        is_settled = stream.whole_rows >= SETTLE_S * stream.format.rate_hz
        is_wanted = self._rule.record != "asked" and is_settled and not stream.was_recorded
        if is_wanted and self._job is None and self._may_begin:
            stream.was_recorded = self._rule.record == "leads-on"
            self._record_by_rule(stream, stream.next_index)

    @property
    def _may_begin(self) -> bool:
        return len(self._tasks) < PLACES - 1

    def _record_by_rule(self, stream: _Stream, first_index: int) -> None:
        """As long as the site says, or as a strip of so many leads may be. One that breaks is wanted again."""

        def ended(task: asyncio.Task[Any]) -> None:
            if task.cancelled() or task.exception() is not None:
                stream.was_recorded = False

        count = min(_rows(stream.format, self._rule.seconds), SAMPLES_MAX // len(stream.format.leads))
        self._start(stream, count, first_index).add_done_callback(ended)

    def _start(self, stream: _Stream, count: int, first_index: int) -> asyncio.Task[tuple[Recording, Recorded]]:
        """Raises RecordingFailed."""
        if self._job is not None:
            raise RecordingFailed(Unrecorded.BUSY)
        place = next((n for n in range(PLACES) if n not in self._tasks), None)
        if place is None:
            raise RecordingFailed(Unrecorded.UNSAVED)
        recording = Recording(stream.format, first_index, count)
        filled: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
        self._job = _Job(place, uuid.uuid4(), recording, stream, filled)
        task = asyncio.create_task(self._carry_out(self._job), name="ekg-recording")
        self._tasks[place] = task
        task.add_done_callback(lambda _: self._tasks.pop(place))
        return task

    async def _carry_out(self, job: _Job) -> tuple[Recording, Recorded]:
        keeper = job.stream.keeper
        await keeper.mark_recording(job.place, job.id)
        watch = asyncio.create_task(self._notice_silence(job))
        try:
            recorded = await job.filled
        except RecordingFailed as failed:
            self._counts["ekg_recordings_broken"] += 1
            self._broken(failed.why)
            await keeper.mark_recording(job.place, None)
            raise
        finally:
            watch.cancel()
        async with self._keeping:
            await keeper.record(job.recording, recorded)
        await keeper.mark_recording(job.place, None)
        self._counts["ekg_recordings"] += 1
        return job.recording, recorded

    async def _notice_silence(self, job: _Job) -> None:
        while not job.filled.done():
            await self._clock.sleep(STALL_S / 2)
            if self._job is job and self._clock.monotonic_s() - job.stream.heard_s > STALL_S:
                self._break_off(Unrecorded.STOPPED)

    def _break_off(self, why: Unrecorded) -> None:
        job, self._job = self._job, None
        if job is not None and not job.filled.done():
            job.filled.set_exception(RecordingFailed(why))


def _rows(format_: WaveFormat, seconds: float) -> int:
    return max(1, round(Decimal(str(seconds)) * format_.rate_hz))
