"""A vital sign that a board repeats in each packet becomes one reading for each time that it is there.

The rule: the value is looked at once a second. What was sent in the first seconds of an act does not count where a board
goes on sending what it found before, as HealthyPi 4 does with the heart rate when electrodes are put on again. When it
has then held still it is the reading (see sdk.hold). The next one needs the value gone, or the stream interrupted.
"""

from __future__ import annotations

import math
from decimal import Decimal

from devicebridge.sdk import InProgress, Kind, Name, Observation, Unit, Value
from devicebridge.sdk.hold import Hold

from .codec import Packet
from .options import HealthyPiOptions

STALE_S = 15
"""Until a HealthyPi 4 has counted five beats anew, the slowest heart included."""
TEMPERATURE_SPREAD_CEL = Decimal("0.1")


class Vital:
    """One of them. per_s: samples in a second. stale_s: seconds of an act that do not count."""

    def __init__(self, kind: Kind, name: Name, unit: Unit, hold: Hold, per_s: Decimal, stale_s: int = 0) -> None:
        self._kind, self._name, self._unit = kind, name, unit
        self._hold = hold
        self._per_s, self._stale_s = per_s, stale_s
        self._periods, self._seconds = 0, 0

    def next(self, number: Decimal | None, packet: Packet) -> Observation | InProgress | None:
        """number: None where the board says none."""
        if number is None:
            self.end()
            return None
        self._periods += packet.periods
        if self._periods < self._per_s:
            return None
        self._periods, self._seconds = 0, self._seconds + 1
        if self._seconds <= self._stale_s:
            return None
        value = Value(self._name, self._unit, number)
        return self._hold.next(Observation(kind=self._kind, values=(value,), raw=packet.raw))

    def end(self) -> None:
        self._hold.end()
        self._periods, self._seconds = 0, 0

    def disturbed(self) -> None:
        self._hold.disturbed()


class Vitals:
    """All of a board."""

    def __init__(self, options: HealthyPiOptions) -> None:
        values, per_s = math.ceil(options.steady_s), options.per_s
        rate = Hold(values, Decimal(options.steady_spread_pulse_per_min))
        spo2 = Hold(values, Decimal(options.steady_spread_spo2))
        temperature = Hold(options.temperature_steady_s, TEMPERATURE_SPREAD_CEL)
        self._from_cel = options.temperature_from_cel
        self._rate = Vital(Kind.HEART_RATE, Name.HEART_RATE, Unit.PER_MINUTE, rate, per_s, STALE_S)
        self._spo2 = Vital(Kind.PULSE_OXIMETRY, Name.SPO2, Unit.PERCENT, spo2, per_s)
        self._temperature = Vital(Kind.TEMPERATURE, Name.TEMPERATURE, Unit.CELSIUS, temperature, per_s)
        carried = options.spec.layouts.values()
        self._all = (self._rate, self._spo2, self._temperature)
        self._by_layout = {
            key: (layout.heart_rate_at is not None, layout.spo2_at is not None, layout.temperature_at is not None)
            for key, layout in options.spec.layouts.items()
        }
        assert carried

    def next(self, packet: Packet) -> list[Observation | InProgress]:
        ...
