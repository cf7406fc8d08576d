"""An ER1, ER2, DuoEK or VisualBeat: its EKG while it is worn or held, and the heart rate that it finds itself.

It is asked twice a second and answers with the samples that it has kept since the question before; they have no number.
So what it had kept before the first question is left out, and where an answer is missing, late, or as long as it can
be, nobody knows how many samples are: what follows is after a gap of unknown length. Its recordings are not read: their
format is not established. Nothing is started, set or erased: it measures by itself.

Sources: viatom-develop/LepuBle, Er1BleInterface.kt and UniversalBleCmd.java; LepuDemo, README.md, "ER1" and "ER2".
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import NoReturn

from devicebridge.sdk import Battery, Frame, InProgress, Kind, Name, Observation, Outlet, Unit, Value
from devicebridge.sdk.hold import Hold
from devicebridge.sdk.interview import Interview
from devicebridge.sdk.steady import SteadyOptions

from .answers import Trace
from .frames import EcgAsk, ask_lepu

NAMES = ("ER1", "ER2", "LP ER2", "DuoEK", "VBeat", "VisualBeat", "HHM1", "HHM2", "HHM3")
"""As they are advertised: the maker's SDK knows them by this, and shares the service with rings and cuffs."""
ASKS_PER_S = 2
ANSWER_S = 1.0
KEPT_SAMPLES = 300
"""It keeps no more (VTMRealTimeWF in the maker's iOS library)."""
KEPT_S = 2.0
"""A little less than they last."""
RATE_MAX_PER_MIN = 350
_EVERY = bytes((0x7D,))
"""125 samples a second, as the maker's own program asks."""


async def run(interview: Interview, outlet: Outlet, options: SteadyOptions) -> NoReturn:
    """Until LinkLost."""
    trace, number = _Trace(outlet, options), 0
    while True:
        number = number % 254 + 1
        asked_s = asyncio.get_running_loop().time()
        await trace.take(await interview.ask(ask_lepu(EcgAsk.LIVE, number, _EVERY), _answer(number), ANSWER_S), asked_s)
        await asyncio.sleep(max(0.0, asked_s + 1 / ASKS_PER_S - asyncio.get_running_loop().time()))


class _Trace:
    def __init__(self, outlet: Outlet, options: SteadyOptions) -> None:
        self._outlet = outlet
        values = math.ceil(options.steady_s * ASKS_PER_S)
        self._rate = Hold(values, Decimal(options.steady_spread_pulse_per_min))
        self._battery: int | None = None
        self._answered_s: float | None = None
        self._next_index = 0
        self._has_lost = False

    async def take(self, answer: Trace | None, asked_s: float) -> None:
        """answer: None where there was none."""
        if answer is None:
            self._has_lost = True
            self._rate.disturbed()
            return
        self._note_battery(answer.battery)
        await self._read_rate(answer)
        is_first = self._answered_s is None
        self._has_lost |= self._answered_s is not None and asked_s - self._answered_s > KEPT_S
        self._answered_s = asked_s
        if not is_first:
            self._show(answer)

    def _show(self, answer: Trace) -> None:
        wave = answer.wave
        if wave is None:
            return
        self._has_lost |= len(wave.rows) >= KEPT_SAMPLES
        gap = self._has_lost and self._next_index > 0
        self._outlet.wave(replace(wave, first_index=self._next_index, after_unknown_gap=gap))
        self._next_index += len(wave.rows)
        self._has_lost = len(wave.rows) >= KEPT_SAMPLES

    async def _read_rate(self, answer: Trace) -> None:
        if not answer.is_on or not 0 < answer.heart_rate_per_min <= RATE_MAX_PER_MIN:
            self._rate.end()
            return
        value = Value(Name.HEART_RATE, Unit.PER_MINUTE, Decimal(answer.heart_rate_per_min))
        found = self._rate.next(Observation(kind=Kind.HEART_RATE, values=(value,), raw=answer.raw))
        if isinstance(found, InProgress):
            self._outlet.note(found)
        elif found is not None:
            await self._outlet.emit(found)

    def _note_battery(self, percent: int) -> None:
        if percent != self._battery and percent <= 100:
            self._battery = percent
            self._outlet.note(Battery(percent=percent))


def _answer(number: int) -> Callable[[Frame], Trace | None]:
    return lambda frame: frame if isinstance(frame, Trace) and frame.seq == number else None
