"""The ten bytes of one measurement: systolic, diastolic, pulse, year from 2000, month, day, hour, minute, marks, zero.

The marks, from the SDK of the maker (com.microlife_sdk, CurrentAndMData, device code 58 = 3A) and a memory with what
the display showed (github.com/vytautas-valaitis/microlife_bp, notes): bit 7 the cuff fits, bit 6 irregular heartbeat,
bit 5 atrial fibrillation, bits 4 and 3 the averaging of three. A monitor that marks a good cuff nowhere in its memory
does not look at it, so that only beside such a mark the lack of one says something.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, Observation, Origin, Status, Unit, Value

RECORD_BYTES = 10

CUFF_FITS, _IRREGULAR, _FIBRILLATION = 1 << 7, 1 << 6, 1 << 5
_ERROR = b"Er"  # in place of the pressures, and a code in that of the pulse


def is_empty(record: bytes) -> bool:
    return not any(record[:3])


def is_dated(record: bytes) -> bool:
    """False for a date that is none; a clock that was never set is no date either, but told."""
    return _is_unset(record) or _time(record) is not None


def looks_like(data: bytes) -> bool:
    """Whether bytes without a frame around them can be a record at all."""
    return len(data) == RECORD_BYTES and data[0] > data[1] > 0 and data[2] > 0 and not data[8] & 0x07 and not data[9]


def observe(record: bytes, *, marks_cuff: bool, user: int | None) -> Observation:
    """marks_cuff: the monitor marks a good cuff. The record is dated."""
    said = set[Status]()
    if record[8] & (_IRREGULAR | _FIBRILLATION):
        said.add(Status.IRREGULAR_PULSE)
    if marks_cuff and not record[8] & CUFF_FITS:
        said.add(Status.CUFF_TOO_LOOSE)
    if _is_unset(record):
        said.add(Status.CLOCK_UNSET)
    is_error = record[:2] == _ERROR
    if is_error:
        said.add(Status.DEVICE_ERROR)
    return Observation(
        kind=Kind.BLOOD_PRESSURE,
        values=(
            _value(Name.SYSTOLIC, Unit.MMHG, record[0], is_error),
            _value(Name.DIASTOLIC, Unit.MMHG, record[1], is_error),
            _value(Name.PULSE_RATE, Unit.PER_MINUTE, record[2], is_error),
        ),
        raw=record,
        device_time=None if _is_unset(record) else _time(record),
        origin=Origin.STORED,
        status=frozenset(said),
        device_user=user,
    )


def _value(name: Name, unit: Unit, number: int, is_error: bool) -> Value:
    if is_error or not number:
        return Value(name, unit, absent=Absent.ERROR)
    return Value(name, unit, Decimal(number))


def _is_unset(record: bytes) -> bool:
    return not any(record[4:8])


def _time(record: bytes) -> datetime | None:
    try:
        return datetime(2000 + record[3], *record[4:8])
    except ValueError:
        return None
