"""When a sample was taken, by this PC's clock: from its index and the declared rate, anchored at the quickest arrivals.

A wave arrives some time after its last sample, never before; of many, the one that was quickest is nearest to the
truth.
"""

from __future__ import annotations

from decimal import Decimal

WINDOW_S = 10.0
DRIFT_MIN_S = 60.0
"""Below this the jitter of arrivals is more than any crystal drifts."""


class Timing:
    """One stream's. All times are seconds of the monotonic clock."""

    def __init__(self, rate_hz: Decimal) -> None:
        self._period_s = float(1 / rate_hz)
        self._first: tuple[float, float] | None = None
        self._before_s: float | None = None
        self._window_began_s = 0.0
        self._earliest_s = 0.0

    def heard(self, end_index: int, now_s: float) -> None:
        """All samples before `end_index` are here now."""
        begun_s = now_s - end_index * self._period_s
        if self._before_s is None and self._first is None and self._window_began_s == 0.0:
            self._window_began_s, self._earliest_s = now_s, begun_s
        elif now_s - self._window_began_s >= WINDOW_S:
            self._first = self._first or (self._window_began_s, self._earliest_s)
            self._before_s = self._earliest_s
            self._window_began_s, self._earliest_s = now_s, begun_s
        else:
            self._earliest_s = min(self._earliest_s, begun_s)

    def at_s(self, index: int) -> float:
        """When this sample was taken."""
        begun_s = self._earliest_s if self._before_s is None else min(self._before_s, self._earliest_s)
        return begun_s + index * self._period_s

    @property
    def drift_ppm(self) -> Decimal | None:
        """Positive where samples come faster than declared; None before DRIFT_MIN_S."""
        if self._first is None or self._before_s is None:
            return None
        elapsed_s = self._window_began_s - WINDOW_S - self._first[0]
        if elapsed_s < DRIFT_MIN_S:
            return None
        return Decimal(round((self._first[1] - self._before_s) / elapsed_s * 1e6))
