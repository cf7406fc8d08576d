"""Glucose Measurement Context (2A34): what the patient told the meter of a measurement, and how the two are joined.

Bluetooth SIG, Glucose Service 1.0.1, section 3.2, and GATT Specification Supplement, the characteristic of the same
name: flags, the sequence number of the measurement, then what the flags announce, in their order. Nothing here was
measured, not the HbA1c either; only the meal is published, with the measurement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from io import BytesIO

from devicebridge.sdk import Absent, Context, Frame, Name, Noise, Observation, Status, Unit, Value, Why
from devicebridge.sdk.medfloat import sfloat

from .quirks import Quirk

CARBOHYDRATE, MEAL, TESTER, EXERCISE, MEDICATION, LITRES, HBA1C, EXTENDED = (1 << bit for bit in range(8))
_SIZES = ((CARBOHYDRATE, 3), (MEAL, 1), (TESTER, 1), (EXERCISE, 3), (MEDICATION, 3), (HBA1C, 2), (EXTENDED, 1))
EXERCISE_OVERRUN = 0xFFFF
KETONE_MEAL = 6
"""Reserved; of the i-SENS meters, the mark of a ketone record (NightscoutFoundation/xDrip, caresens/ContextRx.java)."""

_CARBOHYDRATES = dict(enumerate(("breakfast", "lunch", "dinner", "snack", "drink", "supper", "brunch"), 1))
_MEALS = {
    1: Context.BEFORE_MEAL,
    2: Context.AFTER_MEAL,
    3: Context.FASTING,
    4: Context.CASUAL,
    5: Context.BEDTIME,
}
_TESTERS = {1: "self", 2: "health-care-professional", 3: "lab-test", 15: "not-available"}
_HEALTHS = {
    1: "minor-health-issues",
    2: "major-health-issues",
    3: "during-menses",
    4: "under-stress",
    5: "no-health-issues",
    15: "not-available",
}
_MEDICATIONS = {
    1: "rapid-acting-insulin",
    2: "short-acting-insulin",
    3: "intermediate-acting-insulin",
    4: "long-acting-insulin",
    5: "pre-mixed-insulin",
}

Amount = Decimal | Absent | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MealContext(Frame):
    """None for what was not sent. A code without a meaning is "reserved-" and its number."""

    sequence: int
    extended_flags: int | None = None
    carbohydrate: str | None = None
    carbohydrate_kg: Amount = None
    meal: str | None = None
    meal_code: int | None = None
    tester: str | None = None
    health: str | None = None
    exercise_s: int | Absent | None = None
    exercise_percent: int | None = None
    medication: str | None = None
    medication_amount: Amount = None
    medication_unit: str | None = None
    hba1c_percent: Amount = None


def decode(data: bytes) -> Frame | Noise:
    flags = data[0] if data else 0
    length = 3 + sum(size for flag, size in _SIZES if flags & flag)
    if len(data) != length:
        return Noise(data, Why.TOO_SHORT if len(data) < length else Why.TOO_LONG)
    fields = _Fields(flags, data)
    extended = fields.byte(EXTENDED)
    carbohydrate, carbohydrate_kg = fields.byte(CARBOHYDRATE), fields.amount(CARBOHYDRATE)
    meal, persons = fields.byte(MEAL), fields.byte(TESTER)
    exercise_s, exercise_percent = fields.exercise(), fields.byte(EXERCISE)
    medication, medication_amount = fields.byte(MEDICATION), fields.amount(MEDICATION)
    return MealContext(
        raw=data,
        sequence=int.from_bytes(data[1:3], "little"),
        extended_flags=extended,
        carbohydrate=_named(carbohydrate, _CARBOHYDRATES),
        carbohydrate_kg=carbohydrate_kg,
        meal=_named(meal, _MEALS),
        meal_code=meal,
        tester=None if persons is None else _named(persons & 0x0F, _TESTERS),
        health=None if persons is None else _named(persons >> 4, _HEALTHS),
        exercise_s=exercise_s,
        exercise_percent=exercise_percent,
        medication=_named(medication, _MEDICATIONS),
        medication_amount=medication_amount,
        medication_unit=None if medication is None else "L" if flags & LITRES else "kg",
        hba1c_percent=fields.amount(HBA1C),
    )


class _Fields:
    """Takes one field after the other; None for one that its flag does not announce."""

    def __init__(self, flags: int, data: bytes) -> None:
        self._flags = flags
        self._bytes = BytesIO(data[3:])

    def byte(self, flag: int) -> int | None:
        return self._bytes.read(1)[0] if self._flags & flag else None

    def amount(self, flag: int) -> Amount:
        return sfloat(self._bytes.read(2)) if self._flags & flag else None

    def exercise(self) -> int | Absent | None:
        if not self._flags & EXERCISE:
            return None
        seconds = int.from_bytes(self._bytes.read(2), "little")
        return Absent.POSITIVE_INFINITY if seconds == EXERCISE_OVERRUN else seconds


def _named(code: int | None, names: Mapping[int, str]) -> str | None:
    return None if code is None else str(names.get(code, f"reserved-{code}"))


class Joiner:
    """Puts a measurement together with the context that follows it. Gives what is complete, in order."""

    def __init__(self, quirk: Quirk) -> None:
        self._quirk = quirk
        self._held: tuple[int, Observation] | None = None
        self._early: MealContext | None = None

    @property
    def is_waiting(self) -> bool:
        return self._held is not None

    def measurement(self, sequence: int, observation: Observation, *, context_follows: bool) -> Sequence[Observation]:
        before = self.flush()
        if not context_follows:
            return [*before, observation]
        if self._early is not None and self._early.sequence == sequence:
            return [*before, self._joined(observation, self._early)]
        self._held = sequence, observation
        return before

    def context(self, context: MealContext) -> Sequence[Observation]:
        if self._held is None or self._held[0] != context.sequence:
            self._early = context  # not every platform keeps the order of values of two characteristics
            return ()
        (_, observation), self._held = self._held, None
        return [self._joined(observation, context)]

    def flush(self) -> Sequence[Observation]:
        """Nothing more belongs to what was held: an announced context that did not come changes what can be said."""
        if self._held is None:
            return ()
        (_, observation), self._held = self._held, None
        return [_unbelieved(observation) if self._quirk.marks_ketones else observation]

    def _joined(self, observation: Observation, context: MealContext) -> Observation:
        self._early = None
        whole = replace(observation, raw=observation.raw + context.raw)
        if context.meal_code == KETONE_MEAL:
            return _ketone(whole) if self._quirk.marks_ketones else _unbelieved(whole)
        meal = _MEALS.get(context.meal_code or 0)
        return whole if meal is None else replace(whole, context=whole.context | {meal})


def _ketone(observation: Observation) -> Observation:
    """A ketone in the place of glucose, outside of the standard and so marked. Where kg/L is announced, what would be
    10 mg/dL is 1.0 mmol/L (xDrip, GlucoseReadingRx.asKetone)."""
    value = observation.values[0]
    number = value.value
    if number is not None and value.unit is Unit.KG_PER_L:
        value = replace(value, unit=Unit.MMOL_PER_L, value=number.scaleb(4))
    status = observation.status | {Status.UNEXPECTED_FORMAT}
    return replace(observation, values=(replace(value, name=Name.KETONE),), status=status)


def _unbelieved(observation: Observation) -> Observation:
    """It may not be glucose at all."""
    value = observation.values[0]
    absent = Value(value.name, value.unit, absent=Absent.UNKNOWN)
    return replace(observation, values=(absent,), status=observation.status | {Status.UNEXPECTED_FORMAT})
