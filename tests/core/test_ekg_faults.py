"""What may go wrong with an EKG in this PC: nothing is stitched, lost without a count, or kept by halves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicebridge.ekg.recording import Recording, RecordingFailed, Unrecorded
from devicebridge.sdk import Lead, Wave
from support.clock import START, ManualClock
from support.ekg import TWO, Bench, indices, played, settle, wave


def test_a_wave_has_samples() -> None:
    """An empty one that tells of a gap would be forgotten, and the gap with it."""
    with pytest.raises(ValueError, match="at least one row"):
        Wave(format=TWO, first_index=0, rows=(), after_unknown_gap=True)


def test_an_electrode_that_is_off_after_the_strip_is_not_of_it() -> None:
    recording = Recording(TWO, 0, 4)
    recording.take(wave(0, 3))
    recording.take(wave(9, 2, leads_off=frozenset({Lead.II})))
    assert recording.is_complete
    assert not recording.leads_off


def test_f57_the_last_chunk_that_cannot_go_out_is_counted() -> None:
    async def scene(bench: Bench) -> None:
        bench.is_online = False
        bench.channel.take(wave(0, 5), bench.kept)
        bench.channel.end(bench.kept)

    assert played(scene).counts["ekg_chunks_dropped"] == 1


def test_f57_samples_lost_where_the_format_changes_are_counted() -> None:
    async def scene(bench: Bench) -> None:
        bench.channel.take(wave(0, 5), bench.kept)
        bench.channel.take(wave(15, 5, format=replace(TWO, scale=Decimal(2))), bench.kept)

    assert played(scene).counts["ekg_lost"] == 10


def test_a_rule_for_a_strip_too_long_for_so_many_leads_records_as_much_as_fits() -> None:
    twelve = replace(TWO, leads=tuple(Lead)[:12], rate_hz=Decimal(500))
    rows = tuple((n,) * 12 for n in range(500))

    async def scene(bench: Bench) -> None:
        for second in range(4):
            bench.clock.advance(1)
            bench.channel.take(Wave(format=twelve, first_index=500 * second, rows=rows), bench.kept)
            await settle()
        with pytest.raises(RecordingFailed, match="busy"):
            await bench.channel.record(1)

    played(scene, record="continuous", seconds=300)


@pytest.mark.parametrize("missing", [(None, 5), (None, None)])
def test_a_signal_with_samples_missing_is_not_whole(missing: tuple[int | None, int | None]) -> None:
    async def scene(bench: Bench) -> None:
        for _ in range(20):
            bench.clock.advance(0.25)
            rows = (*((n, n) for n in range(24)), missing)
            bench.channel.take(Wave(format=TWO, first_index=bench.index, rows=rows), bench.kept)
            bench.index += 25
        await settle()

    assert not played(scene, record="leads-on", seconds=1).kept.marks


def test_the_rule_tries_again_after_a_strip_that_broke() -> None:
    async def scene(bench: Bench) -> None:
        await bench.run(3)
        await bench.run(0.25, after_unknown_gap=True)
        assert not bench.kept.strips
        await bench.run(8)

    assert len(played(scene, record="leads-on", seconds=3).kept.strips) == 1


def test_each_strip_that_is_not_on_disk_is_marked() -> None:
    """A crash now must be able to say that both are missing."""

    async def scene(bench: Bench) -> None:
        await bench.run(2)
        bench.kept.disk.clear()
        await bench.run(4)
        assert sum(mark is not None for mark in bench.kept.marked.values()) == 2
        bench.kept.disk.set()
        await settle()

    bench = played(scene, record="continuous", seconds=3)
    assert sum(mark is not None for mark in bench.kept.marked.values()) == 1


def test_strips_that_are_asked_for_while_the_disk_refuses_are_bounded() -> None:
    async def scene(bench: Bench) -> None:
        await bench.run(1)
        bench.kept.disk.clear()
        asked = []
        for _ in range(5):
            asked.append(asyncio.create_task(bench.channel.record(1)))
            await settle()
            await bench.run(1.5)
        bench.kept.disk.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, RecordingFailed)]
        assert {failed.why for failed in refused} == {Unrecorded.UNSAVED}
        assert len(bench.kept.strips) + len(refused) == 5

    played(scene)


def test_each_strip_that_breaks_is_told() -> None:
    async def scene(bench: Bench) -> None:
        await bench.run(3)
        bench.channel.end(bench.kept)

    assert played(scene, record="leads-on", seconds=5).broken == [Unrecorded.LINK_LOST]


def test_the_drift_and_the_time_of_a_long_stream_are_its_own() -> None:
    """Ten minutes of a crystal that is 80 ppm quick, each wave up to 200 ms late: the strip begins when it began."""
    began_s: list[float] = []

    async def scene(bench: Bench) -> None:
        for number in range(1, 2401):
            taken_s = number * 0.25 / (1 + 80e-6)
            bench.clock.advance(taken_s + number * 37 % 20 / 100 - bench.clock.monotonic_s())
            if number == 2300:
                began_s.append(25 * 2299 / 100 / (1 + 80e-6))
                asked = asyncio.create_task(bench.channel.record(5))
                await settle()
            bench.channel.take(wave(bench.index, 25), bench.kept)
            bench.index += 25
        await asked

    bench = played(scene)
    (strip, recorded), drift = bench.kept.strips[0], bench.kept.strips[0][1].drift_ppm
    assert drift is not None
    assert drift == pytest.approx(80, abs=20)
    assert recorded.measured_at == pytest.approx(START + timedelta(seconds=began_s[0]), abs=timedelta(seconds=0.02))
    assert indices(strip) == list(range(2299 * 25, 2299 * 25 + 500))
    assert bench.counts["ekg_lost"] == 0


Step = tuple[int, int]
"""How many samples are missing before a wave, or come a second time (negative), and how many it has."""


@given(st.lists(st.tuples(st.integers(-8, 12), st.integers(1, 30)), min_size=1, max_size=40), st.integers(1, 4))
def test_a_strip_is_what_a_model_of_it_says(steps: Sequence[Step], seconds: int) -> None:
    """The model: each index has the first value that came for it; what never came is None."""
    came: dict[int, int] = {}
    index = 0

    async def scene(bench: Bench) -> None:
        nonlocal index
        bench.channel.take(wave(0, 5), bench.kept)
        asked = asyncio.create_task(bench.channel.record(seconds))
        await settle()
        index = 5
        for missing, count in steps:
            first = max(0, index + missing)
            came.update({n: n for n in range(first, first + count) if n >= index})
            bench.channel.take(wave(first, count), bench.kept)
            index = max(index, first + count)
        await settle()
        if index < 5 + 100 * seconds:
            assert not asked.done()
            bench.channel.end(bench.kept)
            with pytest.raises(RecordingFailed):
                await asked

    bench = played(scene)
    expected = [came.get(n) for n in range(5, 5 + 100 * seconds)]
    strips = [indices(strip) for strip, _ in bench.kept.strips]
    assert strips == ([expected] if index >= 5 + 100 * seconds else [])
    assert bench.counts["ekg_lost"] == sum(n not in came for n in range(5, index))
    assert bench.counts["ekg_samples"] == 5 + len(came)


class SleepyClock(ManualClock):
    """Its monotonic time stands still while the PC sleeps, as Linux's does."""

    asleep = timedelta()

    def now(self) -> datetime:
        return super().now() + self.asleep


def test_while_this_pc_slept_nobody_counted() -> None:
    """The sample numbers of many devices come round within a second; a gap they show may be longer."""

    async def scene(bench: Bench) -> None:
        bench.clock = bench.channel._clock = SleepyClock()
        await bench.run(3)
        bench.clock.asleep = timedelta(minutes=20)
        bench.index += 7
        await bench.run(1)

    bench = played(scene, record="leads-on", seconds=5)
    assert bench.broken == [Unrecorded.UNKNOWN_GAP]
    assert (bench.counts["ekg_unknown_gaps"], bench.counts["ekg_lost"]) == (1, 0)
