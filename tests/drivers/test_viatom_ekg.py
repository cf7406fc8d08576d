"""Viatom's EKG devices: what conformance and vectors do not try."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

import pytest

from devicebridge.sdk import InProgress, LinkLost, Loss, Observation
from devicebridge.sdk.interview import Interview
from devicebridge_drivers.viatom import DRIVER, ecg
from devicebridge_drivers.viatom.codec import codec
from devicebridge_drivers.viatom.frames import EcgAsk, ask_lepu
from devicebridge_drivers.viatom.session import ViatomOptions
from devicebridge_simulators.viatom import LEAD_OFF, SIMULATOR, Kept, lepu_frame
from support.asked import Asked
from support.radio import meet
from support.traced import Traced
from support.virtual_time import run

WORN = Kept([5] * 62)
NO_ANSWER = None


class Slow(Traced):
    """Its disk takes longer than the device keeps samples."""

    async def emit(self, *group: Observation) -> None:
        await asyncio.sleep(ecg.KEPT_S + 1)
        await super().emit(*group)


def listen(*kept: Kept | None, outlet: Traced | None = None) -> Traced:
    """kept: what the device answers, question by question, before it goes."""
    answers, outlet = iter(kept), outlet or Traced()

    def answer(asked: bytes) -> Iterable[bytes | None]:
        try:
            found = next(answers)
        except StopIteration:
            return [None]
        return [] if found is None else [lepu_frame(0x03, asked[4], found.encode())]

    with pytest.raises(LinkLost):
        run(ecg.run(Interview(Asked(answer), codec(), outlet), outlet, ViatomOptions(steady_s=2)))
    return outlet


def rates(outlet: Traced) -> list[Decimal | None]:
    return [observation.values[0].value for group in outlet.groups for observation in group]


def test_what_it_is_asked() -> None:
    """UniversalBleCmd.java, getRtData; its 04, E2, E3, EA, EB and EC set, erase and burn."""
    assert ask_lepu(EcgAsk.LIVE, 1, b"\x7d").hex()[:-2] == "a503fc000101007d"
    assert [*EcgAsk] == [0x03]


def test_samples_follow_one_another_from_the_second_answer_on() -> None:
    assert listen(*[WORN] * 4).places == [(0, 62, False), (62, 62, False), (124, 62, False)]


def test_nobody_knows_how_much_an_answer_held_that_did_not_come() -> None:
    assert listen(WORN, WORN, NO_ANSWER, WORN, WORN).places == [(0, 62, False), (62, 62, True), (124, 62, False)]


def test_nobody_knows_how_much_more_a_full_answer_would_have_held() -> None:
    full = replace(WORN, samples=[5] * ecg.KEPT_SAMPLES)
    assert listen(WORN, WORN, full, WORN, WORN).places == [
        (0, 62, False),
        (62, 300, True),
        (362, 62, True),
        (424, 62, False),
    ]


def test_nobody_knows_how_much_was_lost_while_nobody_asked() -> None:
    outlet = listen(*[WORN] * 6, outlet=Slow())
    assert rates(outlet) == [72]
    assert [gap for _, _, gap in outlet.places].count(True) == 1


def test_each_time_that_it_is_worn_is_one_rate() -> None:
    off = Kept([None] * 62, LEAD_OFF, 72)
    outlet = listen(*[WORN] * 8, off, *[replace(WORN, rate=80)] * 8)
    assert rates(outlet) == [72, 80]
    assert outlet.events.count(InProgress()) == 2
    assert [bool(wave.leads_off) for wave in outlet.waves].count(True) == 1


@pytest.mark.parametrize("kept", [replace(WORN, rate=0), replace(WORN, state=0), replace(WORN, rate=0xFFFF)])
def test_no_rate(kept: Kept) -> None:
    assert not listen(*[kept] * 8).groups


@pytest.mark.parametrize("name", ["ER1 0123", "DuoEK 1234", "VisualBeat"])
def test_it_is_known_by_its_name(name: str) -> None:
    outlet = Traced()
    scenario = SIMULATOR.scenarios["ekg"]
    assert meet(DRIVER, replace(SIMULATOR, name=name), scenario, outlet, {"steady_s": 2}) is Loss.DISCONNECTED
    assert [row for wave in outlet.waves for row in wave.rows] == list(scenario.rows)
