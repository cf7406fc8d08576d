"""The short form of the chaos rig: half a minute in which everything goes wrong at once. tests/faults/chaos/run.py runs
it for as long as one likes, with every fault."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from devicebridge.sdk.simulation import Expected
from devicebridge.sdk.values import Kind, Name
from faults.chaos.account import Began, reckon
from faults.chaos.consumer import Arrival
from faults.chaos.journal import CUT_OFF_S, Duty, Journal
from faults.chaos.plan import HABITS, Fault, Track, plan
from faults.chaos.rig import rig
from faults.chaos.run import report
from support import mosquitto

SECONDS = 20.0
SEED = 11
HASTE = 2.0
QUICK = [fault for fault in Fault if not HABITS[fault].is_slow and fault is not Fault.CLOCK]
"""A clock that jumps takes libfaketime, and is tried without it by the state machine."""


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP and pseudo-terminals")
def test_f01_f11_f12_f24_f25_f26_f30_f35_nothing_is_lost_invented_altered_or_doubled(tmp_path: Path) -> None:
    if mosquitto.find() is None:
        pytest.skip("mosquitto is not installed")

    async def run() -> None:
        async with rig(tmp_path, SEED) as ready:
            outcome = await ready.run(plan(SEED, SECONDS, QUICK, haste=HASTE))
        print(report(outcome))
        assert outcome.table.total["emitted"] > 20
        assert not outcome.broken, report(outcome)

    asyncio.run(run())


def test_the_same_seed_gives_the_same_faults() -> None:
    assert plan(7, 600) == plan(7, 600) != plan(8, 600)


def test_every_fault_comes_and_those_of_a_track_one_after_the_other() -> None:
    episodes = plan(1, 3600)
    assert {episode.fault for episode in episodes} == set(Fault)
    for track in Track:
        own = [episode for episode in episodes if HABITS[episode.fault].track is track]
        assert all(before.at_s + before.lasts_s <= after.at_s for before, after in itertools.pairwise(own))


SCALE = "scale"
WEIGHTS = [Expected(kind=Kind.WEIGHT, values={Name.WEIGHT: Decimal(n)}) for n in range(50, 60)]


def measured(*duties: Duty) -> Journal:
    """A reading each, handed over at the second of its number."""
    journal = Journal()
    for number, duty in enumerate(duties):
        emission = journal.measure(SCALE, WEIGHTS[number], duty)
        emission.begun_s = emission.emitted_s = float(number)
    return journal


def arrival(number: int, id_: str = "", value: int | None = None, at_s: float = 0.0) -> Arrival:
    shown = 50 + number if value is None else value
    reading = {"id": id_ or f"id-{number}", "device": {"name": SCALE}, "kind": "weight"}
    reading |= {"device_time": None, "values": [{"name": "weight", "value": shown}]}
    return Arrival(at_s, "topic", json.dumps(reading).encode())


THREE = (Duty.ACKNOWLEDGED,) * 3


@pytest.mark.parametrize(
    ("arrivals", "sins"),
    [
        ([arrival(0), arrival(1), arrival(2)], {}),
        ([arrival(0), arrival(2)], {"lost": 1}),
        ([arrival(0), arrival(1), arrival(2), arrival(0, "new", 99, at_s=60)], {"invented": 1}),
        ([arrival(0), arrival(1), arrival(2, value=99)], {"lost": 1, "altered": 1}),
        ([arrival(0), arrival(1), arrival(2), arrival(2, value=99)], {"altered": 1, "duplicates": 1}),
        ([arrival(0), arrival(1), arrival(1), arrival(2)], {"duplicates": 1}),
        ([arrival(0), arrival(1), arrival(1, "other"), arrival(2)], {"after id": 1}),
        ([arrival(0), arrival(2), arrival(1)], {"disorder": 1}),
        ([arrival(0), Arrival(0, "topic", b"{}"), arrival(1), arrival(2)], {"invented": 1}),
    ],
)
def test_the_judge_sees_every_sin(arrivals: list[Arrival], sins: dict[str, int]) -> None:
    table = reckon(measured(*THREE), arrivals, [Began(0.5, "a fault")], moved=())
    assert {name: n for name, n in table.total.items() if n and name not in ("emitted", "arrived")} == sins
    assert set(table.broken) == set(sins) - {"duplicates"}


def test_what_an_operator_sent_again_has_no_place_in_the_order() -> None:
    arrivals = [arrival(0), arrival(2), arrival(1)]
    assert not reckon(measured(*THREE), arrivals, [], moved={"id-1"}).broken


@pytest.mark.parametrize(
    ("duty", "end_s", "naps_s", "column"),
    [
        (Duty.PUSHED, 10 + CUT_OFF_S - 0.1, [], "cut off"),
        (Duty.PUSHED, 10 + CUT_OFF_S + 0.1, [], "lost"),
        (Duty.PUSHED, 15 + CUT_OFF_S - 0.1, [(10.5, 15.5)], "cut off"),
        (Duty.PUSHED, 9.0, [], None),  # nobody was there to take it
        (Duty.STREAMED, 60.0, [(9.0, 9.5)], None),  # it slept through it
        (Duty.ACKNOWLEDGED, 10.1, [], "lost"),
        (Duty.KEPT, 10.1, [], "lost"),
    ],
)
def test_only_what_was_just_pushed_is_cut_off_with_the_daemon(
    duty: Duty, end_s: float, naps_s: list[tuple[float, float]], column: str | None
) -> None:
    journal = measured(duty)
    [emission] = journal.emissions[SCALE].values()
    emission.begun_s, emission.emitted_s = 8.0, 10.0
    journal.ends_s, journal.naps_s = [end_s], naps_s
    total = reckon(journal, [], [], moved=()).total
    assert total == ({"emitted": 1, column: 1} if column else {})
