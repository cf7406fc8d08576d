"""EKG: rows to a strip with its gaps, the strip as SampledData, what is counted, shown and recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from devicebridge.ekg.channel import STALL_S
from devicebridge.ekg.recording import SAMPLES_MAX, Recording, RecordingFailed, Unrecorded
from devicebridge.ekg.strip import period_ms, strip_message, strip_of
from devicebridge.ekg.timing import Timing
from devicebridge.sdk import Lead, Strip
from devicebridge.sdk.heart import Heart
from support.clock import START
from support.ekg import TWO, Bench, indices, played, settle, wave

# --- the strip and its message ---------------------------------------------------------------------------------


def test_a_strip_is_sampled_data_as_fhir_has_it() -> None:
    """FHIR R4 SampledData: integers with one space between, E for error; period in ms; MDC codes of leads I and II."""
    message = strip_message(Strip(format=TWO, rows=((1, -7), (None, 8), (3, None))))
    assert [(lead.lead, lead.mdc, lead.data) for lead in message.leads] == [
        (Lead.I, 131329, "1 E 3"),
        (Lead.II, 131330, "-7 8 E"),
    ]
    assert (message.period_ms, message.factor, message.origin) == (10, Decimal("0.5"), 0)
    assert (message.count, message.missing) == (3, 2)
    assert strip_of(message).rows == ((1, -7), (None, 8), (3, None))


@pytest.mark.parametrize(
    ("rate_hz", "expected_ms"), [("500", "2"), ("250", "4"), ("130", "7.692307692"), ("128", "7.8125"), ("1000", "1")]
)
def test_the_period_is_in_milliseconds(rate_hz: str, expected_ms: str) -> None:
    assert str(period_ms(Decimal(rate_hz))) == expected_ms


def test_what_was_lost_is_a_gap_of_its_real_length() -> None:
    recording = Recording(TWO, 10, 8)
    recording.take(wave(8, 5))
    recording.take(wave(16, 5))
    assert recording.is_complete
    assert indices(recording.strip()) == [10, 11, 12, None, None, None, 16, 17]


def test_a_lead_that_is_off_has_no_samples() -> None:
    recording = Recording(TWO, 0, 4)
    recording.take(wave(0, 2))
    recording.take(wave(2, 2, leads_off=frozenset({Lead.II})))
    assert recording.strip().rows == ((0, 1000), (1, 1001), (2, None), (3, None))
    assert recording.leads_off == {Lead.II}


def test_nothing_is_joined_over_a_gap_of_unknown_length() -> None:
    recording = Recording(TWO, 0, 8)
    recording.take(wave(0, 4))
    with pytest.raises(RecordingFailed, match="unknown-gap"):
        recording.take(wave(4, 4, after_unknown_gap=True))


def test_a_strip_of_too_many_samples_is_refused() -> None:
    with pytest.raises(RecordingFailed, match="too-long"):
        Recording(TWO, 0, SAMPLES_MAX // 2 + 1)


# --- time ------------------------------------------------------------------------------------------------------


def test_the_time_of_a_sample_is_that_of_the_quickest_arrival() -> None:
    timing = Timing(Decimal(100))
    for number, late_s in enumerate((0.30, 0.05, 0.40)):
        end = 25 * (number + 1)
        timing.heard(end, 1000 + end / 100 + late_s)
    assert timing.at_s(0) == pytest.approx(1000.05)
    assert timing.at_s(50) == pytest.approx(1000.55)


@pytest.mark.parametrize("ppm", [-300, 0, 120])
def test_the_drift_is_measured_against_our_clock(ppm: int) -> None:
    timing = Timing(Decimal(100))
    for end in range(25, 100 * 120, 25):
        timing.heard(end, 500 + end / 100 / (1 + ppm / 1e6))
        assert timing.drift_ppm is None or end > 6000
    assert timing.drift_ppm == pytest.approx(ppm, abs=2)


# --- the channel -----------------------------------------------------------------------------------------------


def test_a_strip_begins_when_asked_and_is_on_disk_when_told() -> None:
    async def scene(bench: Bench) -> None:
        await bench.run(1)
        asked = asyncio.create_task(bench.channel.record(2))
        await settle()
        bench.kept.disk.clear()
        await bench.run(2.5)
        assert not asked.done(), "told before it was on disk"
        bench.kept.disk.set()
        recording, recorded = await asked
        assert indices(recording.strip()) == list(range(100, 300))
        assert recorded.measured_at == START + timedelta(seconds=1)

    bench = played(scene)
    assert bench.kept.marks == [bench.kept.strips[0][1].id, None]
    assert bench.counts["ekg_recordings"] == 1


def test_losses_are_counted_and_repeats_left_out() -> None:
    async def scene(bench: Bench) -> None:
        await bench.run(0.5)
        bench.channel.take(wave(60, 10), bench.kept)
        bench.channel.take(wave(65, 10), bench.kept)
        bench.channel.take(wave(65, 10), bench.kept)

    bench = played(scene)
    assert (bench.counts["ekg_samples"], bench.counts["ekg_lost"], bench.counts["ekg_repeated"]) == (65, 10, 15)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (lambda bench: bench.channel.end(bench.kept), Unrecorded.LINK_LOST),
        (lambda bench: bench.channel.take(wave(200, 1, after_unknown_gap=True), bench.kept), Unrecorded.UNKNOWN_GAP),
        (lambda bench: bench.clock.advance(STALL_S * 2), Unrecorded.STOPPED),
    ],
)
def test_a_broken_recording_is_absent_and_said_so(fault: Callable[[Bench], None], why: Unrecorded) -> None:
    async def scene(bench: Bench) -> None:
        await bench.run(1)
        asked = asyncio.create_task(bench.channel.record(5))
        await settle()
        await bench.run(1)
        fault(bench)
        with pytest.raises(RecordingFailed, match=why):
            await asked

    bench = played(scene)
    assert not bench.kept.strips
    assert bench.kept.marks[-1] is None
    assert bench.counts["ekg_recordings_broken"] == 1


def test_without_a_signal_there_is_nothing_to_record() -> None:
    async def scene(bench: Bench) -> None:
        with pytest.raises(RecordingFailed, match="no-signal"):
            await bench.channel.record(10)
        await bench.run(1)
        bench.clock.advance(STALL_S + 1)
        with pytest.raises(RecordingFailed, match="no-signal"):
            await bench.channel.record(10)

    played(scene)


def test_one_strip_at_a_time() -> None:
    async def scene(bench: Bench) -> None:
        await bench.run(1)
        asked = asyncio.create_task(bench.channel.record(1))
        await settle()
        with pytest.raises(RecordingFailed, match="busy"):
            await bench.channel.record(1)
        await bench.run(1.5)
        await asked

    played(scene)


def test_leads_on_records_once_each_time_they_are_put_on() -> None:
    all_off = {"leads_off": frozenset(TWO.leads)}

    async def scene(bench: Bench) -> None:
        await bench.run(2, **all_off)
        await bench.run(10)
        assert len(bench.kept.strips) == 1
        await bench.run(1, leads_off=frozenset({Lead.I}))
        await bench.run(10)
        assert len(bench.kept.strips) == 1, "one electrode that slipped is not a new patient"
        await bench.run(1, **all_off)
        await bench.run(10)

    bench = played(scene, record="leads-on", seconds=3)
    assert len(bench.kept.strips) == 2
    assert all(None not in row for strip, _ in bench.kept.strips for row in strip.rows)


def test_continuous_strips_follow_each_other_without_a_sample_between() -> None:
    async def scene(bench: Bench) -> None:
        await bench.run(20)

    bench = played(scene, record="continuous", seconds=3)
    seen = [index for strip, _ in bench.kept.strips for index in indices(strip)]
    assert len(bench.kept.strips) == 6
    assert seen == list(range(seen[0], seen[0] + 1800))


def test_recordings_that_the_disk_refuses_are_bounded() -> None:
    async def scene(bench: Bench) -> None:
        bench.kept.disk.clear()
        await bench.run(60)
        bench.kept.disk.set()
        await settle()

    assert len(played(scene, record="continuous", seconds=3).kept.strips) <= 3


def test_the_live_trace_says_what_is_missing() -> None:
    async def scene(bench: Bench) -> None:
        await bench.run(0.5)
        bench.is_online = False
        await bench.run(0.5)
        bench.is_online = True
        bench.index += 30
        await bench.run(0.5)

    bench = played(scene)
    assert [(m["sequence"], m["first_index"]) for m in bench.shown] == [(0, 0), (1, 25), (4, 130), (5, 155)]
    assert bench.shown[0]["data"] == [list(range(25)), list(range(1000, 1025))]
    assert bench.shown[0]["simulated"] is True
    assert bench.counts["ekg_chunks_dropped"] == 2
    assert bench.counts["ekg_lost"] == 30


def test_the_live_trace_can_be_left_out() -> None:
    async def scene(bench: Bench) -> None:
        await bench.run(1)

    assert not played(scene, live=False).shown


# --- the simulated heart ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("pulse_per_min", [45, 72, 180])
def test_the_simulated_heart_beats_at_its_rate(pulse_per_min: int) -> None:
    """R waves counted over a minute, as the cuff of the same patient counts its pulse."""
    heart = Heart(pulse_per_min)
    trace = [heart.millivolts(Lead.II, i / 250) for i in range(250 * 60)]
    assert sum(a < 0.7 <= b for a, b in pairwise(trace)) == pytest.approx(pulse_per_min, abs=1)


def test_the_simulated_leads_obey_einthoven() -> None:
    heart = Heart(72)
    for i in range(100):
        one, two, three = (heart.millivolts(lead, i / 100) for lead in (Lead.I, Lead.II, Lead.III))
        assert one + three == pytest.approx(two)
