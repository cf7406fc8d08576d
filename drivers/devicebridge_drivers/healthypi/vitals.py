"""A vital sign that a board repeats in each packet becomes one reading for each time that it is there.

The rule: the value is looked at once a second. A heart rate of the first seconds does not count: when electrodes are
put on again a HealthyPi 4 first sends what it found before. When the value has then held still it is the reading (see
sdk.hold). The next one needs the value gone, or the stream interrupted.
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
BREATHS_STALE_S = 60
"""A breath takes five times as long as a beat, and as few make a rate."""
BREATHS_SPREAD_PER_MIN = 3
TEMPERATURE_SPREAD_CEL = Decimal("0.1")


class Vitals:
    """All those of a board."""

    def __init__(self, options: HealthyPiOptions) -> None:
        values, per_s = math.ceil(options.steady_s), options.per_s
        rate = Hold(values, Decimal(options.steady_spread_pulse_per_min))
        breaths = Hold(values, Decimal(BREATHS_SPREAD_PER_MIN))
        spo2 = Hold(values, Decimal(options.steady_spread_spo2))
        temperature = Hold(options.temperature_steady_s, TEMPERATURE_SPREAD_CEL)
        self._from_cel = options.temperature_from_cel
        self._rate = _Vital(Kind.HEART_RATE, Name.HEART_RATE, Unit.PER_MINUTE, rate, per_s, STALE_S)
        self._breaths = _Vital(
            Kind.RESPIRATION_RATE, Name.RESPIRATION_RATE, Unit.PER_MINUTE, breaths, per_s, BREATHS_STALE_S
        )
        self._spo2 = _Vital(Kind.PULSE_OXIMETRY, Name.SPO2, Unit.PERCENT, spo2, per_s)
        self._temperature = _Vital(Kind.TEMPERATURE, Name.TEMPERATURE, Unit.CELSIUS, temperature, per_s)

    def next(self, packet: Packet) -> list[Observation | InProgress]:
        """What of this packet's values completes a reading, or begins one."""
        layout, found = packet.layout, list[Observation | InProgress | None]()
        if layout.heart_rate_at is not None:
            found.append(self._rate.next(packet.heart_rate_per_min, packet))
        if layout.respiration_at is not None:
            found.append(self._breaths.next(packet.respiration_per_min, packet))
        if layout.spo2_at is not None:
            found.append(self._spo2.next(packet.spo2_percent, packet))
        if layout.temperature_at is not None:
            cel = packet.temperature_cel
            found.append(self._temperature.next(cel if cel is not None and cel >= self._from_cel else None, packet))
        return [each for each in found if each is not None]

    def disturbed(self) -> None:
        """Bytes were lost."""
        for vital in (self._rate, self._breaths, self._spo2, self._temperature):
            vital.disturbed()

    def end(self) -> None:
        """The stream stopped: what comes next is of somebody else, for all that can be known."""
        for vital in (self._rate, self._breaths, self._spo2, self._temperature):
            vital.end()


class _Vital:
    """One of them. per_s: samples in a second. stale_s: seconds of an act that do not count."""

    def __init__(self, kind: Kind, name: Name, unit: Unit, hold: Hold, per_s: Decimal, stale_s: int = 0) -> None:
        self._kind, self._name, self._unit = kind, name, unit
        self._hold = hold
        self._per_s, self._stale_s = per_s, stale_s
        self._periods, self._seconds = 0, 0

    def next(self, number: Decimal | int | None, packet: Packet) -> Observation | InProgress | None:
        if number is None:
            self.end()
            return None
        self._periods += packet.layout.periods
        if self._periods < self._per_s:
            return None
        self._periods, self._seconds = 0, self._seconds + 1
        if self._seconds <= self._stale_s:
            return None
        value = Value(self._name, self._unit, Decimal(number))
        return self._hold.next(Observation(kind=self._kind, values=(value,), raw=packet.raw))

    def end(self) -> None:
        self._hold.end()
        self._periods, self._seconds = 0, 0

    def disturbed(self) -> None:
        self._hold.disturbed()
