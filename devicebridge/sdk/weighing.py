"""When the stream of a scale becomes a reading: one for each time that somebody steps on.

The rule, in the scale's own values: a weight is read when it has been the same so many times in a row; height and
body-mass index are read likewise, with the weight where both are ready at once, else by themselves when they are, as
they may be typed in later. Then nothing more is read until the scale is empty (it says nothing or zero), or
shows, as steadily, a weight so different that it is another measurement: a first plateau with one foot on the
scale must not be the last word.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

from .links import ByteLink
from .values import Name, Observation, Unit, Value

Group = tuple[Observation, ...]

_GRAMS = {Unit.GRAM: Decimal(1), Unit.KG: Decimal(1000), Unit.POUND: Decimal("453.59237")}


class StepOn:
    """One scale. steady_values: how many in a row must be the same. new_weight_percent: by how much a weight must
    differ from the one read to be another measurement."""

    def __init__(self, steady_values: int, new_weight_percent: float) -> None:
        self._steady_values = steady_values
        self._tolerance = Decimal(str(new_weight_percent)) / 100
        self.off()

    @property
    def is_off(self) -> bool:
        """Nothing is on the scale, as far as it has said."""
        return self._last_weight is None and self._read_weight is None

    def off(self) -> None:
        """Nobody is on the scale any more."""
        self._read_weight: Value | None = None
        self._read_extras: tuple[Value, ...] = ()
        self.disturbed()

    def disturbed(self) -> None:
        """Bytes were lost: what came before proves nothing about what comes next."""
        self._last_weight: Observation | None = None
        self._last_extras: tuple[Value, ...] = ()
        self._weight_run = self._extras_run = 0

    def next(self, group: Group, copies: int = 1) -> Group:
        """What is to be emitted now: nothing, as a rule.

        group: what the scale says, its weight first; empty where it is empty. copies: how often it sends each value.
        """
        if not group:
            self.off()
            return ()
        weight, extras = _split(group)
        values = tuple(value for observation in extras for value in observation.values)
        self._count(weight, values)
        needed = self._steady_values * copies
        are_extras_new = bool(values) and self._extras_run >= needed and values != self._read_extras
        if self._weight_run >= needed and not self._is_read(weight.values[0]):
            self._read_weight, self._read_extras = weight.values[0], values if are_extras_new else ()
            return group if are_extras_new else (weight,)
        if are_extras_new and self._read_weight and self._is_read(weight.values[0]):
            self._read_extras = values
            return extras
        return ()

    def _count(self, weight: Observation, extras: tuple[Value, ...]) -> None:
        last = self._last_weight
        is_same = last is not None and (last.values, last.status) == (weight.values, weight.status)
        self._weight_run = self._weight_run + 1 if is_same else 1
        self._extras_run = self._extras_run + 1 if is_same and extras == self._last_extras else 1
        self._last_weight, self._last_extras = weight, extras

    def _is_read(self, weight: Value) -> bool:
        read = self._read_weight
        if read is None or read.value is None or weight.value is None:
            return read is not None and read.absent == weight.absent
        read_g = read.value * _GRAMS[read.unit]
        return abs(weight.value * _GRAMS[weight.unit] - read_g) <= read_g * self._tolerance


async def read_while_on(link: ByteLink, scale: StepOn, step_off_s: float) -> bytes:
    """What the link brings; nothing, once for each stepping on, where it has been silent for so long."""
    if scale.is_off:
        return await link.read()
    try:
        async with asyncio.timeout(step_off_s):
            return await link.read()
    except TimeoutError:
        scale.off()
        return b""


def _split(group: Group) -> tuple[Observation, Group]:
    """The weight by itself, and what was said beside it."""
    first = group[0]
    weight = replace(first, values=tuple(v for v in first.values if v.name is Name.WEIGHT))
    beside = tuple(v for v in first.values if v.name is not Name.WEIGHT)
    extras = (replace(first, values=beside), *group[1:]) if beside else group[1:]
    return weight, extras
