"""One recording under way: rows go to their place by the device's own index; places that stay empty are gaps."""

from __future__ import annotations

from array import array
from enum import StrEnum

from ..sdk.wave import Lead, Row, Strip, Wave, WaveFormat

SECONDS_MAX = 300
SAMPLES_MAX = 400_000
"""Of all leads together: a minute of twelve leads at 500 Hz. A longer strip would be a message that many brokers
refuse; what lasts longer is recorded in several."""

_EMPTY = -(1 << 31)
"""Marks a place without a sample; no converter of 31 bits or less gives it."""


class Unrecorded(StrEnum):
    """Why there is no recording. `devicebridge.words` has a sentence for each."""

    NO_SIGNAL = "no-signal"
    TOO_LONG = "too-long"
    BUSY = "busy"
    LINK_LOST = "link-lost"
    STOPPED = "stopped"
    """Samples stopped coming."""
    UNSAVED = "unsaved"
    """Earlier ones wait for the disk."""
    UNKNOWN_GAP = "unknown-gap"
    FORMAT_CHANGED = "format-changed"


class RecordingFailed(Exception):
    def __init__(self, why: Unrecorded) -> None:
        super().__init__(str(why))
        self.why = why


class Recording:
    """`count` rows from `first_index` on. Compact: a long recording of many leads is megabytes as it is."""

    def __init__(self, format_: WaveFormat, first_index: int, count: int) -> None:
        if count * len(format_.leads) > SAMPLES_MAX:
            raise RecordingFailed(Unrecorded.TOO_LONG)
        self.format = format_
        self.first_index = first_index
        self.count = count
        self.leads_off: frozenset[Lead] = frozenset()
        """Electrodes that were off at some time."""
        self._columns = [array("i", [_EMPTY]) * count for _ in format_.leads]
        self._next_index = first_index

    @property
    def end_index(self) -> int:
        return self.first_index + self.count

    @property
    def is_complete(self) -> bool:
        return self._next_index >= self.end_index

    def take(self, wave: Wave) -> None:
        """Raises RecordingFailed for a wave that cannot belong to it."""
        if wave.after_unknown_gap:
            raise RecordingFailed(Unrecorded.UNKNOWN_GAP)
        if wave.format != self.format:
            raise RecordingFailed(Unrecorded.FORMAT_CHANGED)
        if wave.first_index < self.end_index and wave.first_index + len(wave.rows) > self.first_index:
            self.leads_off |= wave.leads_off
        off = {number for number, lead in enumerate(self.format.leads) if lead in wave.leads_off}
        for place, row in enumerate(wave.rows, wave.first_index - self.first_index):
            if 0 <= place < self.count:
                self._put(place, row, off)
        self._next_index = max(self._next_index, wave.first_index + len(wave.rows))

    def _put(self, place: int, row: Row, off: set[int]) -> None:
        for number, sample in enumerate(row):
            if sample is not None and number not in off:
                self._columns[number][place] = sample

    @property
    def missing(self) -> int:
        """Rows in which at least one lead has no sample."""
        return sum(_EMPTY in row for row in zip(*self._columns, strict=True))

    def strip(self) -> Strip:
        rows = zip(*self._columns, strict=True)
        return Strip(format=self.format, rows=tuple(tuple(None if s == _EMPTY else s for s in row) for row in rows))
