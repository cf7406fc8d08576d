"""Nonin's own oximetry characteristic, of the 3230 and its relatives: ten bytes each second, high bytes first.

Length, status, battery in tenths of a volt, pulse amplitude index in hundredths of a percent, counter, SpO2, pulse
rate. Sources: Nonin 113142-000-02 Rev B as decoded by M. Villarroel (ble_nco_spec_decoder.swift); github.com/
andreasdri/nonin-3230-ble; 127 and 511 for what is missing are those of Nonin's serial formats (6470-000-01).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from devicebridge.sdk import Absent, Frame, Kind, Name, Noise, Observation, Status, Unit, Value, Why

SERVICE = "46a970e0-0d5f-11e2-8b5e-0002a5d5c51b"
OXIMETRY = "0aad7ea0-0d60-11e2-8e3c-0002a5d5c51b"

LENGTH = 10
SENSOR_CONNECTED = 1 << 4
SPO2_MISSING, PULSE_MISSING = 127, 511
_STATUS = {
    1 << 1: Status.LOW_PERFUSION,  # weak signal: a modulation of 0.3 % or less
    1 << 2: Status.VALIDATED,  # passed the SmartPoint algorithm
    1 << 3: Status.SIGNAL_ANALYSIS_ONGOING,  # searching for pulses
    1 << 5: Status.LOW_BATTERY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Oximetry(Frame):
    """One second; its group is the one observation."""

    counter: int
    battery_v: Decimal


def decode(data: bytes) -> Frame | Noise:
    if len(data) != LENGTH:
        return Noise(data, Why.TOO_SHORT if len(data) < LENGTH else Why.TOO_LONG)
    if data[0] != LENGTH:
        return Noise(data, Why.BAD_FIELD)
    said = {status for bit, status in _STATUS.items() if data[1] & bit}
    is_on = bool(data[1] & SENSOR_CONNECTED)
    if not is_on:
        said.add(Status.SENSOR_OFF)
    amplitude = Decimal(int.from_bytes(data[3:5], "big")).scaleb(-2)
    values = (
        _value(Name.SPO2, Unit.PERCENT, data[7], SPO2_MISSING, 100, is_on),
        _value(Name.PULSE_RATE, Unit.PER_MINUTE, int.from_bytes(data[8:10], "big"), PULSE_MISSING, 321, is_on),
        _amplitude(amplitude, is_on),
    )
    observation = Observation(kind=Kind.PULSE_OXIMETRY, values=values, raw=data, status=frozenset(said))
    counter = int.from_bytes(data[5:7], "big")
    return Oximetry(raw=data, group=(observation,), counter=counter, battery_v=Decimal(data[2]).scaleb(-1))


def _value(name: Name, unit: Unit, number: int, missing: int, highest: int, is_on: bool) -> Value:
    """What is sent with the sensor off the finger is left over."""
    if number == missing or not is_on:
        return Value(name, unit, absent=Absent.UNKNOWN)
    if not 0 < number <= highest:
        return Value(name, unit, absent=Absent.ERROR)
    return Value(name, unit, Decimal(number))


def _amplitude(percent: Decimal, is_on: bool) -> Value:
    if not is_on or not percent:
        return Value(Name.PERFUSION_INDEX, Unit.PERCENT, absent=Absent.UNKNOWN)
    return Value(Name.PERFUSION_INDEX, Unit.PERCENT, percent)
