"""What a device said, in frozen values: no more than it said, and nothing of ours.

A driver builds these from bytes. Numbers are Decimal with the digits the device sent; a failure to measure
is an absent value with a reason, never a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .wave import Strip


class Kind(StrEnum):
    """What was measured: the last segment of a reading's topic."""

    BLOOD_PRESSURE = "blood-pressure"
    TEMPERATURE = "temperature"
    PULSE_OXIMETRY = "pulse-oximetry"
    GLUCOSE = "glucose"
    HEART_RATE = "heart-rate"
    RESPIRATION_RATE = "respiration-rate"
    WEIGHT = "weight"
    HEIGHT = "height"
    ECG = "ecg"
    LAB = "lab"


class Name(StrEnum):
    """Names of the values within a reading; their codes and units are in `devicebridge.readings`."""

    SYSTOLIC = "systolic"
    DIASTOLIC = "diastolic"
    MEAN = "mean"
    PULSE_RATE = "pulse-rate"
    TEMPERATURE = "temperature"
    SPO2 = "spo2"
    PERFUSION_INDEX = "perfusion-index"
    GLUCOSE = "glucose"
    KETONE = "ketone"
    HEART_RATE = "heart-rate"
    WEIGHT = "weight"
    HEIGHT = "height"
    BMI = "bmi"
    BODY_FAT = "body-fat"
    MUSCLE_PERCENTAGE = "muscle-percentage"
    MUSCLE_MASS = "muscle-mass"
    FAT_FREE_MASS = "fat-free-mass"
    SOFT_LEAN_MASS = "soft-lean-mass"
    BODY_WATER_MASS = "body-water-mass"
    HBA1C = "hba1c"
    RESPIRATION_RATE = "respiration-rate"
    ANALYTE = "analyte"
    """Of a laboratory instrument: which one is in `Value.code`, the instrument's own word."""


class Unit(StrEnum):
    """UCUM codes of the units devices send."""

    MMHG = "mm[Hg]"
    KPA = "kPa"
    CELSIUS = "Cel"
    FAHRENHEIT = "[degF]"
    KELVIN = "K"
    PERCENT = "%"
    PER_MINUTE = "/min"
    MG_PER_DL = "mg/dL"
    MG_PER_L = "mg/L"
    MG_PER_G = "mg/g"
    MG_PER_MMOL = "mg/mmol"
    G_PER_DL = "g/dL"
    UMOL_PER_L = "umol/L"
    MMOL_PER_L = "mmol/L"
    KG_PER_L = "kg/L"
    MOL_PER_L = "mol/L"
    KG = "kg"
    GRAM = "g"
    POUND = "[lb_av]"
    METRE = "m"
    CENTIMETRE = "cm"
    INCH = "[in_i]"
    KG_PER_M2 = "kg/m2"
    MICROVOLT = "uV"
    MILLIVOLT = "mV"
    MMOL_PER_MOL = "mmol/mol"
    UNITY = "1"
    """No unit, or one that UCUM does not know: then it is part of `Value.text`."""


class Absent(StrEnum):
    """Why there is no number. The codes are HL7's data-absent-reason (FHIR R4)."""

    NOT_A_NUMBER = "not-a-number"
    POSITIVE_INFINITY = "positive-infinity"
    NEGATIVE_INFINITY = "negative-infinity"
    ERROR = "error"
    NOT_PERFORMED = "not-performed"
    UNKNOWN = "unknown"


class Comparator(StrEnum):
    """The device's own HI or LO: the value lies beyond the limit given."""

    ABOVE = ">"
    BELOW = "<"


class Origin(StrEnum):
    """LIVE: pushed as it was measured. STORED: from the device's memory, perhaps another person's."""

    LIVE = "live"
    STORED = "stored"


class Status(StrEnum):
    """What the device said of the measurement beside its numbers. `devicebridge.readings` grades them."""

    BODY_MOVEMENT = "body-movement"
    CUFF_TOO_LOOSE = "cuff-too-loose"
    IRREGULAR_PULSE = "irregular-pulse"
    PULSE_ABOVE_RANGE = "pulse-above-range"
    PULSE_BELOW_RANGE = "pulse-below-range"
    IMPROPER_POSITION = "improper-position"

    ARTIFACT = "artifact"
    OUT_OF_TRACK = "out-of-track"
    LOW_PERFUSION = "low-perfusion"
    MARGINAL_PERFUSION = "marginal-perfusion"
    SENSOR_OFF = "sensor-off"
    SENSOR_DISCONNECTED = "sensor-disconnected"
    VALIDATED = "validated"

    EARLY_ESTIMATE = "early-estimate"
    FULLY_QUALIFIED = "fully-qualified"
    MEASUREMENT_ONGOING = "measurement-ongoing"
    CALIBRATION_ONGOING = "calibration-ongoing"
    MEASUREMENT_UNAVAILABLE = "measurement-unavailable"
    QUESTIONABLE_MEASUREMENT = "questionable-measurement"
    INVALID_MEASUREMENT = "invalid-measurement"
    EXTENDED_DISPLAY_UPDATE = "extended-display-update"
    SIGNAL_PROCESSING_IRREGULAR = "signal-processing-irregular"
    INADEQUATE_SIGNAL = "inadequate-signal"
    POOR_SIGNAL = "poor-signal"
    ERRATIC_SIGNAL = "erratic-signal"
    NON_PULSATILE = "non-pulsatile"
    QUESTIONABLE_PULSE = "questionable-pulse"
    SIGNAL_ANALYSIS_ONGOING = "signal-analysis-ongoing"
    SENSOR_INTERFERENCE = "sensor-interference"
    SENSOR_FAULT = "sensor-fault"
    SENSOR_DISPLACED = "sensor-displaced"
    AMBIENT_LIGHT = "ambient-light"

    SAMPLE_TOO_SMALL = "sample-too-small"
    STRIP_INSERTION_ERROR = "strip-insertion-error"
    STRIP_TYPE_ERROR = "strip-type-error"
    STRIP_PULLED_EARLY = "strip-pulled-early"
    RESULT_ABOVE_RANGE = "result-above-range"
    RESULT_BELOW_RANGE = "result-below-range"
    TEMPERATURE_TOO_HIGH = "temperature-too-high"
    TEMPERATURE_TOO_LOW = "temperature-too-low"

    LEAD_OFF = "lead-off"
    SATURATED = "saturated"

    UNSTABLE = "unstable"
    TARED = "tared"
    OVERLOAD = "overload"

    DEVICE_ERROR = "device-error"
    """The device could not measure; its error code is in the bytes kept."""
    UNEXPECTED_FORMAT = "unexpected-format"
    """More was sent than the format says; only what stands in a fixed place was believed."""
    LOW_BATTERY = "low-battery"
    CLOCK_UNSET = "clock-unset"
    TIME_REPEATED = "time-repeated"
    """Its local time came twice, at the end of summer time: the other of the two is as likely."""
    GATEWAY_CLOCK_SET = "gateway-clock-set"
    """This PC's clock was set, or the PC slept, between the device's last word and this one."""
    CONTROL_SOLUTION = "control-solution"
    TEST_DATA = "test-data"


class Context(StrEnum):
    """Where on the body, from which specimen, and when in relation to a meal: as the device said."""

    ORAL = "oral"
    AXILLARY = "axillary"
    RECTAL = "rectal"
    TYMPANIC = "tympanic"
    EAR = "ear"
    FOREHEAD = "forehead"
    FINGER = "finger"
    TOE = "toe"
    GASTROINTESTINAL = "gastrointestinal"
    CHEST = "chest"
    WRIST = "wrist"
    HAND = "hand"
    FOOT = "foot"

    CAPILLARY_WHOLE_BLOOD = "capillary-whole-blood"
    CAPILLARY_PLASMA = "capillary-plasma"
    VENOUS_WHOLE_BLOOD = "venous-whole-blood"
    VENOUS_PLASMA = "venous-plasma"
    ARTERIAL_WHOLE_BLOOD = "arterial-whole-blood"
    ARTERIAL_PLASMA = "arterial-plasma"
    WHOLE_BLOOD = "whole-blood"
    PLASMA = "plasma"
    INTERSTITIAL_FLUID = "interstitial-fluid"
    URINE = "urine"
    ALTERNATE_SITE = "alternate-site"
    EARLOBE = "earlobe"

    BEFORE_MEAL = "before-meal"
    AFTER_MEAL = "after-meal"
    FASTING = "fasting"
    CASUAL = "casual"
    BEDTIME = "bedtime"


TEXT_LIMIT = 40
"""No coded result or analyte name is longer; what is longer is not one."""


@dataclass(frozen=True, slots=True)
class Value:
    """One number as the device sent it, or the reason why there is none.

    Exactly one of `value`, `text` and `absent` is set. `unit` is that of the wire: normalization is not a driver's
    work. `comparator` says the device could only bound the value (HI, LO).
    text: a coded result ("negative", "2+") of a laboratory instrument, printable, at most TEXT_LIMIT.
    code: the instrument's own name of the analyte, where `name` is ANALYTE; likewise bounded.
    """

    name: Name
    unit: Unit
    value: Decimal | None = None
    absent: Absent | None = None
    comparator: Comparator | None = None
    text: str | None = None
    code: str | None = None

    def __post_init__(self) -> None:
        value = self.value
        if (value is None) + (self.text is None) + (self.absent is None) != 2:
            raise ValueError(f"{self.name}: give a value, a coded text, or the reason for its absence")
        if value is not None and not value.is_finite():
            raise ValueError(f"{self.name}: {value} is not a number; give the reason for its absence")
        if self.text is not None or self.code is not None:
            self._check_words()

    def _check_words(self) -> None:
        for word in (self.text, self.code):
            if word is not None and not (word.isprintable() and 0 < len(word) <= TEXT_LIMIT):
                raise ValueError(f"{self.name}: a text must be printable and at most {TEXT_LIMIT} long")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One measurement of one kind, as the device stated it.

    device_time: naive, the device's own clock; None where it sent none, or one that is not a time
        (then `status` holds CLOCK_UNSET).
    record: the device's own key for this measurement (a sequence number), where it has one. With the device's
        identity, time and values it makes the reading's id, so that a repeat is recognised.
    context: body site, specimen, meal.
    device_user: the device's user slot, a small number; never a patient.
    strip: the samples of an ECG recording; `values` may then be empty.
    raw: the bytes this was read from.
    """

    kind: Kind
    values: tuple[Value, ...]
    raw: bytes
    device_time: datetime | None = None
    record: str | None = None
    origin: Origin = Origin.LIVE
    status: frozenset[Status] = frozenset()
    context: frozenset[Context] = frozenset()
    device_user: int | None = None
    strip: Strip | None = None

    def __post_init__(self) -> None:
        if self.device_time is not None and self.device_time.tzinfo is not None:
            raise ValueError("device_time is naive: a device's clock knows no zone")
