"""A simulated patient, shared by the simulated devices of a room so that they tell one story."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from ..sdk.simulation import Vitals

PULSE_RANGE_PER_MIN = (58, 96)
SYSTOLIC_RANGE_MMHG = (104, 148)


def vitals(seed: int, start: datetime, step: timedelta) -> Iterator[Vitals]:
    """One after the other without end, each a little off the last; no two neighbours alike.

    The mean pressure is a third of the way from diastolic to systolic, as oscillometric cuffs show it.
    """
    rng = random.Random(seed)
    systolic, pulse, local_time = rng.randint(112, 132), rng.randint(64, 82), start
    while True:
        systolic = _walk(rng, systolic, SYSTOLIC_RANGE_MMHG)
        pulse = _walk(rng, pulse, PULSE_RANGE_PER_MIN)
        diastolic = round(systolic * 0.64) + rng.randint(-2, 2)
        yield Vitals(
            systolic_mmhg=systolic,
            diastolic_mmhg=diastolic,
            mean_mmhg=diastolic + round((systolic - diastolic) / 3),
            pulse_per_min=pulse,
            spo2_percent=rng.choice((96, 97, 97, 98, 98, 99)),
            temperature_cel=Decimal(rng.randint(364, 373)) / 10,
            local_time=local_time,
        )
        local_time += step


def _walk(rng: random.Random, value: int, limits: tuple[int, int]) -> int:
    step = rng.choice((-3, -2, -1, 1, 2, 3))
    low, high = limits
    return value + step if low <= value + step <= high else value - step
