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
from ..sdk.wave import Lead, Strip, Wave, WaveFormat
from .live import Live
from .recording import Recording, RecordingFailed, Unrecorded
from .timing import Timing

STALL_S = 3.0
"""Without a sample for so long a signal has stopped; a radio packet that is lost is repeated within a second."""

SETTLE_S = 2
"""A signal that has been whole, with all leads on, for so long is worth recording by itself."""

UNSAVED_MAX = 3
"""Finished recordings may wait for a disk that refuses them; no further one is begun by itself then."""


class Keeper(Protocol):
    """Where a session's recordings go: see `DeviceOutlet`."""

    async def record(self, strip: Strip, recorded: Recorded, /) -> None:
        """Returns when it is on disk."""
        ...

    async def mark_recording(self, id_: uuid.UUID | None, /) -> None:
        """On disk: this recording is under way, or none is."""
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
    whole_rows: int = 0
    was_recorded: bool = False


@dataclass(slots=True)
class _Job:
    id: uuid.UUID
    recording: Recording
    stream: _Stream
    filled: asyncio.Future[Recorded]


class Channel:
    """counts: of the device's health. live: sends a chunk to the broker, false where it was dropped."""

    def __init__(
        self,
        device: str,
        rule: EkgConfig,
        live: Callable[[bytes], bool],
        clock: Clock,
        counts: Counter[str],
        *,
        simulated: bool = False,
    ) -> None:
        self._device = device
        self._simulated = simulated
        self._rule = rule
        self._live = live
        self._clock = clock
        self._counts = counts
        self._stream: _Stream | None = None
        self._job: _Job | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._keeping = asyncio.Lock()  # one mark: the next recording's is set when the last one is on disk

    def take(self, wave: Wave, keeper: Keeper) -> None:
        """Samples of the session whose outlet is `keeper`."""
        now_s = self._clock.monotonic_s()
        stream = self._stream
        if stream is None or stream.keeper is not keeper or stream.format != wave.format:
            stream = self._begin(wave, keeper, now_s)
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

    async def record(self, seconds: float) -> tuple[Strip, Recorded]:
        """A strip from now on; returns when it is on disk. Raises RecordingFailed: then nothing was kept."""
        stream = self._stream
        if stream is None or self._clock.monotonic_s() - stream.heard_s > STALL_S:
            raise RecordingFailed(Unrecorded.NO_SIGNAL)
        return await asyncio.shield(self._start(stream, seconds, stream.next_index))

    async def close(self) -> None:
        """Breaks off what is being recorded; what is being saved is waited for."""
        self._break_off(Unrecorded.LINK_LOST)
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, wave: Wave, keeper: Keeper, now_s: float) -> _Stream:
        if self._stream is not None:
            self._stream.live.flush()
            self._break_off(Unrecorded.FORMAT_CHANGED)
        live = Live(self._device, secrets.token_hex(4), self._live, simulated=self._simulated)
        timing = Timing(wave.format.rate_hz)
        self._stream = _Stream(wave.format, keeper, live, timing, wave.first_index, now_s)
        return self._stream

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
            wave = replace(wave, first_index=stream.next_index, rows=wave.rows[-lost:])
        self._counts["ekg_samples"] += len(wave.rows)
        return wave if wave.rows else None

    def _show(self, stream: _Stream, wave: Wave) -> None:
        if self._rule.live:
            before = stream.live.dropped
            stream.live.take(wave)
            self._counts["ekg_chunks_dropped"] += stream.live.dropped - before

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
            if self._rule.record == "continuous" and len(self._tasks) < UNSAVED_MAX:
                self._start(stream, self._rule.seconds, job.recording.end_index).add_done_callback(_look_away)
                self._fill(stream, wave)

    def _follow_rule(self, stream: _Stream, wave: Wave) -> None:
        """A strip by itself, once each time that the leads are put on."""
        if wave.leads_off:
            stream.whole_rows = 0
            stream.was_recorded = stream.was_recorded and len(wave.leads_off) < len(stream.format.leads)
            return
        stream.whole_rows += len(wave.rows)
        is_settled = stream.whole_rows >= SETTLE_S * stream.format.rate_hz
        is_wanted = self._rule.record != "asked" and is_settled and not stream.was_recorded
        if not is_wanted or self._job is not None or len(self._tasks) >= UNSAVED_MAX:
            return
        stream.was_recorded = self._rule.record == "leads-on"
        self._start(stream, self._rule.seconds, stream.next_index).add_done_callback(_look_away)

    def _start(self, stream: _Stream, seconds: float, first_index: int) -> asyncio.Task[tuple[Strip, Recorded]]:
        """Raises RecordingFailed."""
        if self._job is not None:
            raise RecordingFailed(Unrecorded.BUSY)
        count = max(1, round(Decimal(str(seconds)) * stream.format.rate_hz))
        recording = Recording(stream.format, first_index, count)
        filled: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
        self._job = _Job(uuid.uuid4(), recording, stream, filled)
        task = asyncio.create_task(self._carry_out(self._job), name="ekg-recording")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _carry_out(self, job: _Job) -> tuple[Strip, Recorded]:
        keeper = job.stream.keeper
        async with self._keeping:
            await keeper.mark_recording(job.id)
        watch = asyncio.create_task(self._notice_silence(job))
        try:
            recorded = await job.filled
        except RecordingFailed:
            self._counts["ekg_recordings_broken"] += 1
            await keeper.mark_recording(None)
            raise
        finally:
            watch.cancel()
        strip = job.recording.strip()
        async with self._keeping:
            await keeper.record(strip, recorded)
            await keeper.mark_recording(None)
        self._counts["ekg_recordings"] += 1
        return strip, recorded

    async def _notice_silence(self, job: _Job) -> None:
        while not job.filled.done():
            await self._clock.sleep(STALL_S / 2)
            if self._job is job and self._clock.monotonic_s() - job.stream.heard_s > STALL_S:
                self._break_off(Unrecorded.STOPPED)

    def _break_off(self, why: Unrecorded) -> None:
        job, self._job = self._job, None
        if job is not None and not job.filled.done():
            job.filled.set_exception(RecordingFailed(why))


def _look_away(task: asyncio.Task[Any]) -> None:
    """A recording that nobody asked for and that broke is in the counts."""
    if not task.cancelled():
        task.exception()
