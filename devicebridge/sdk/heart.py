"""A synthetic heart for simulated EKG leads: no person's trace.

The model is that of McSharry, Clifford, Tarassenko and Smith, "A dynamical model for generating synthetic
electrocardiogram signals", IEEE Transactions on Biomedical Engineering 50(3), 2003, 289-294: equation 1 for z without
respiration, with the angles, heights and widths of its table I, scaled to an R wave of 1.2 mV in lead II.
"""

from __future__ import annotations

import math
from functools import lru_cache

from .wave import Lead

_EVENTS = (  # angle, height, width of P, Q, R, S, T
    (-math.pi / 3, 1.2, 0.25),
    (-math.pi / 12, -5.0, 0.1),
    (0.0, 30.0, 0.1),
    (math.pi / 12, -7.5, 0.1),
    (math.pi / 2, 0.75, 0.4),
)
_STEPS_PER_S = 1000
_R_WAVE_MV = 1.2

_SHARE_OF_II: dict[Lead, float] = {
    Lead.I: 0.6,
    Lead.II: 1.0,
    Lead.III: 0.4,
    Lead.AVR: -0.8,
    Lead.AVL: 0.1,
    Lead.AVF: 0.7,
    Lead.V1: -0.5,
    Lead.V2: 0.5,
    Lead.V3: 0.9,
    Lead.V4: 1.2,
    Lead.V5: 1.0,
    Lead.V6: 0.7,
}
"""One fixed dipole, with III = II - I, aVR = -(I + II)/2, aVL = I - II/2 and aVF = II - I/2, as in every body."""


class Heart:
    """A steady heart."""

    def __init__(self, pulse_per_min: int) -> None:
        self._beat = _beat_mv(pulse_per_min)

    def millivolts(self, lead: Lead, time_s: float) -> float:
        """What the lead shows at this time; a channel that is no standard lead shows lead II."""
        place = time_s * _STEPS_PER_S % len(self._beat)
        left = int(place)
        after = self._beat[(left + 1) % len(self._beat)]
        between = self._beat[left] + (after - self._beat[left]) * (place - left)
        return between * _SHARE_OF_II.get(lead, 1.0)


@lru_cache(maxsize=64)
def _beat_mv(pulse_per_min: int) -> tuple[float, ...]:
    """One whole beat of lead II in steps of 1 ms; the third, when the start is forgotten."""
    length = round(60 * _STEPS_PER_S / pulse_per_min)
    z, beat = 0.0, []
    for step in range(3 * length):
        angle = 2 * math.pi * (step % length) / length - math.pi
        z += _slope(z, angle) / _STEPS_PER_S
        if step >= 2 * length:
            beat.append(z)
    tallest = max(beat)
    return tuple(value / tallest * _R_WAVE_MV for value in beat)


def _slope(z: float, angle: float) -> float:
    total = -z
    for at, height, width in _EVENTS:
        away = (angle - at + math.pi) % (2 * math.pi) - math.pi
        total -= height * away * math.exp(-(away**2) / (2 * width**2))
    return total
