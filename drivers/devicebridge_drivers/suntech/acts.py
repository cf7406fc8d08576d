"""Which results of a SunTech module are new, without any input or output.

A module keeps its last result and gives it without a number or a time, so a result is new when it differs from the one
it gave before, in any of its bytes (eight of them are test codes), or when it gave none in between.

One that does not differ is new after a measurement that was seen: the cuff has been inflated for as long as a
measurement takes, and to the diastolic pressure at least. After less, as when it was stopped, it is that of before.

What it gives first in a session is new as well if the cuff was seen inflated, however briefly, to the diastolic
pressure, and it is not what was read last. Else it is of earlier: if it is not what was read last, it was measured
while nobody listened, and is sent as stored, without a time, for a person to look at. The first time a module is met it
is passed over.

When the cuff is empty the module may still give the result of before: one that could be that has to stand for some
looks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from devicebridge.sdk import Observation, Origin

from .codec import Result

MEASUREMENT_S = 15  # our judgement: no manual gives it; a leak test, or one that is stopped as it begins, is
SETTLED_LOOKS = 3
_EMPTY = "-"


@dataclass
class _Inflation:
    """What was seen of the pressure in the cuff since the result before."""

    began_s: float
    lasted_s: float = 0
    peak_mmhg: int = 0
    looks: int = 0  # at the result, since then

    def was_of(self, result: Result, *, is_other: bool) -> bool:
        """Whether this was the measurement of a result, which differs from the one before or not."""
        return self.peak_mmhg >= result.diastolic and (is_other or self.lasted_s >= MEASUREMENT_S)

    def is_settled(self) -> bool:
        """One more look."""
        self.looks += 1
        return self.looks >= SETTLED_LOOKS


class Results:
    """last: the result given last, in this session or, when it begins, in an earlier one."""

    def __init__(self, last: str | None) -> None:
        self.last = last
        self._is_first = True
        self._inflation: _Inflation | None = None

    def inflated(self, mmhg: int, now_s: float) -> None:
        """There is pressure in the cuff."""
        seen = self._inflation = self._inflation or _Inflation(now_s)
        seen.lasted_s, seen.peak_mmhg, seen.looks = now_s - seen.began_s, max(seen.peak_mmhg, mmhg), 0

    def next(self, result: Result) -> Observation | None:
        """A result of an empty cuff."""
        said, before, seen = _EMPTY if result.is_empty else result.data.hex(), self.last, self._inflation
        is_other = said != before
        is_measured = seen is not None and not result.is_empty and seen.was_of(result, is_other=is_other)
        if seen and is_measured and (self._is_first or not is_other) and not seen.is_settled():
            return None
        is_first, self._is_first, self.last, self._inflation = self._is_first, False, said, None
        if result.is_empty or not (is_other or is_measured):
            return None
        if is_measured or not is_first:
            return result.group[0]
        return None if before is None else replace(result.group[0], origin=Origin.STORED)
