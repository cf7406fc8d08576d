"""What the cuffs say: a record of their memory, and the result that they show.

Sources: github.com/chalimov/viatom_bp2_ha, LP-BP2W_PROTOCOL.md, 6.2 (checked there against the display: the third
number is the mean pressure, which the maker's SDK once calls pulse); viatom-develop/LepuBle, Bp2Response.kt, and
viatom-develop/LepuDemo, Bp2DataBpResult.kt, for the result. A record's seconds count from 1970 by the cuff's clock,
whose zone is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, Observation, Origin, Status, Unit, Value

RECORD_BYTES = 37
FILE_HEAD_BYTES = 10
RESULT_BYTES = 20
_SET_SINCE = datetime(2010, 1, 1)
_PRESSURE_MAX_MMHG = 300
_NAMES = (Name.SYSTOLIC, Name.DIASTOLIC, Name.MEAN, Name.PULSE_RATE)
_FAILURES = {
    1: Status.CUFF_TOO_LOOSE,  # or it fills or leaks slowly: cannot be analysed
    2: Status.BODY_MOVEMENT,
    3: Status.INADEQUATE_SIGNAL,
}


def is_file(data: bytes) -> bool:
    return len(data) >= FILE_HEAD_BYTES and (len(data) - FILE_HEAD_BYTES) % RECORD_BYTES == 0


def looks_like_record(data: bytes) -> bool:
    """Whether bytes without a file around them can be a record at all."""
    if len(data) != RECORD_BYTES or any(data[9:13]) or any(data[21:]) or data[8] > 1:
        return False
    systolic, diastolic = _words(data[13:17])
    return 0 < diastolic < systolic <= _PRESSURE_MAX_MMHG


def looks_like_file(data: bytes) -> bool:
    records = [data[i : i + RECORD_BYTES] for i in range(FILE_HEAD_BYTES, len(data), RECORD_BYTES)]
    return is_file(data) and bool(records) and all(r == bytes(RECORD_BYTES) or looks_like_record(r) for r in records)


def records(data: bytes) -> Iterator[bytes]:
    """Those of a file that hold a measurement."""
    for start in range(FILE_HEAD_BYTES, len(data), RECORD_BYTES):
        record = data[start : start + RECORD_BYTES]
        if any(record[13:17]):
            yield record


def observe_record(record: bytes) -> Observation:
    seconds = int.from_bytes(record[:4], "little")
    time = datetime(1970, 1, 1) + timedelta(seconds=seconds)
    said = {Status.IRREGULAR_PULSE} if record[8] == 1 else set[Status]()
    if time < _SET_SINCE:
        said.add(Status.CLOCK_UNSET)
    return Observation(
        kind=Kind.BLOOD_PRESSURE,
        values=_values(record[13:21], is_failed=False),
        raw=record,
        device_time=None if time < _SET_SINCE else time,
        origin=Origin.STORED,
        status=frozenset(said),
    )


def observe_result(data: bytes) -> Observation:
    """data: from the byte that tells whether the cuff deflates."""
    code = data[11]
    return Observation(
        kind=Kind.BLOOD_PRESSURE,
        values=_values(data[3:11], is_failed=code != 0),
        raw=data,
        status=frozenset({_FAILURES.get(code, Status.DEVICE_ERROR)} if code else ()),
    )


def _values(data: bytes, *, is_failed: bool) -> tuple[Value, ...]:
    units = (Unit.MMHG, Unit.MMHG, Unit.MMHG, Unit.PER_MINUTE)
    return tuple(
        Value(name, unit, absent=Absent.ERROR) if is_failed or not number else Value(name, unit, Decimal(number))
        for name, unit, number in zip(_NAMES, units, _words(data), strict=True)
    )


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]
