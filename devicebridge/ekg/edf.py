"""Export as EDF+ (Kemp and Olivan, Clinical Neurophysiology 2003;114:1755-1761), with the device's own integers.

EDF+ has 16 bits a sample; a strip that needs more goes out as BDF+, the same format with 24 bits. Neither can say that
a sample is missing: in its place stands the lowest integer of the format, and an annotation covers the gap, with the
name of the lead after "@@" where others have samples. The same fills up the last second of a strip that has no whole
number of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..sdk.wave import Lead, Strip

if TYPE_CHECKING:
    import numpy as np

NO_SAMPLE = "no sample"
EDF_BITS, BDF_BITS = 16, 24
FILTERS_MAX = 80  # characters of the header field
WORD_MAX = 40
RECORD_S_MAX = 60
"""A data record has a whole number of samples; no usual rate needs a longer one."""


def save(strip: Strip, measured_at: datetime | None, equipment: str, path: Path) -> None:
    """Writes `path`, whose ending must be `suffix(strip)`.

    Raises ValueError for a rate that the format has no room for; OSError; ModuleNotFoundError without the extra.
    """
    import edfio

    is_wide = suffix(strip) == ".bdf"
    record_s = _record_s(strip)
    strip = _filled_up(strip, int(record_s * strip.format.rate_hz))
    file: Any = edfio.Bdf if is_wide else edfio.Edf
    signals = [_signal(strip, number, is_wide) for number in range(len(strip.format.leads))]
    start = {} if measured_at is None else {"starttime": measured_at.time()}
    recording = edfio.Recording(startdate=measured_at.date() if measured_at else None, equipment_code=_word(equipment))
    annotations = [edfio.EdfAnnotation(*gap) for gap in _gaps(strip)]
    file(signals, recording=recording, annotations=annotations, data_record_duration=record_s, **start).write(path)


def suffix(strip: Strip) -> str:
    """Is ".edf", or ".bdf" where 16 bits do not hold the samples. Raises ValueError where 24 do not either."""
    samples = [sample for row in strip.rows for sample in row if sample is not None]
    for ending, is_wide in ((".edf", False), (".bdf", True)):
        lowest, highest = _range(is_wide)
        if lowest <= min(samples, default=0) and max(samples, default=0) <= highest:
            return ending
    raise ValueError("the samples have more bits than EDF+ and BDF+ have room for")


def _record_s(strip: Strip) -> int:
    """The shortest data record of whole seconds and whole samples."""
    record_s = strip.format.rate_hz.as_integer_ratio()[1]
    if record_s > RECORD_S_MAX:
        raise ValueError("EDF+ has no room for this rate")
    return record_s


def _filled_up(strip: Strip, per_record: int) -> Strip:
    lacking = -len(strip.rows) % per_record
    nothing = (None,) * len(strip.format.leads)
    return replace(strip, rows=strip.rows + (nothing,) * lacking)


def _signal(strip: Strip, number: int, is_wide: bool) -> Any:
    import edfio
    import numpy as np

    lowest, highest = _range(is_wide)
    format_ = strip.format
    lead = format_.leads[number]
    samples = [lowest if row[number] is None else row[number] for row in strip.rows]
    digital: np.ndarray[Any, Any] = np.array(samples, dtype=np.int32 if is_wide else np.int16)
    kind: Any = edfio.BdfSignal if is_wide else edfio.EdfSignal
    return kind.from_digital(
        digital,
        float(format_.rate_hz),
        label=_label(lead),
        physical_dimension=format_.unit.value,
        physical_range=(_physical(strip, lowest), _physical(strip, highest)),
        digital_range=(lowest, highest),
        prefiltering=_ascii(format_.filters or "")[:FILTERS_MAX],
    )


def _range(is_wide: bool) -> tuple[int, int]:
    edge = 1 << (BDF_BITS if is_wide else EDF_BITS) - 1
    return -edge, edge - 1


def _physical(strip: Strip, sample: int) -> float:
    return float(sample * strip.format.scale + strip.format.offset)


def _gaps(strip: Strip) -> Iterator[tuple[float, float, str]]:
    """Onset and length in seconds of what is missing, and its annotation."""
    rate_hz = strip.format.rate_hz
    is_empty = [all(sample is None for sample in row) for row in strip.rows]
    missing = {NO_SAMPLE: is_empty}
    for number, lead in enumerate(strip.format.leads):
        flags = [row[number] is None and not empty for row, empty in zip(strip.rows, is_empty, strict=True)]
        missing[f"{NO_SAMPLE}@@{_label(lead)}"] = flags
    for text, flags in missing.items():
        for is_missing, run in groupby(range(len(flags)), flags.__getitem__):
            places = list(run)
            if is_missing:
                yield float(places[0] / rate_hz), float(len(places) / rate_hz), text


def _label(lead: Lead) -> str:
    return "ECG" if lead is Lead.ECG else f"ECG {lead}"


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


def _word(text: str) -> str:
    """Words of EDF+'s header are ASCII without spaces."""
    return _ascii(text.strip().replace(" ", "_"))[:WORD_MAX] or "X"
