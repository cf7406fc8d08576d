"""An EKG on paper: 25 mm/s, 10 mm/mV, on a grid of 1 mm and 5 mm. Lines and words in millimetres, for any writer.

A trace keeps its scale in both directions; only its height on the page is chosen: the median of what a strip of paper
shows lies on its middle. Where there is no sample there is no line. Layouts and the calibration pulse as recommended by
the AHA, ACC and HRS (Kligfield et al., Circulation 2007;115:1306-1324).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from statistics import median

from ..sdk.values import Unit
from ..sdk.wave import Lead, Strip

WIDTH_MM, HEIGHT_MM = 297.0, 210.0  # A4, landscape
MM_PER_S, MM_PER_MV = 25.0, 10.0
GRID_MM, GRID_BOLD_MM = 1, 5
LEFT_MM, TOP_MM, BOTTOM_MM = 20.0, 30.0, 200.0
PAPER_MM = 250.0  # ten seconds
PULSE_MM = 5.0
"""Width of the calibration pulse: 0.2 s."""

_COLUMNS = (
    (Lead.I, Lead.AVR, Lead.V1, Lead.V4),
    (Lead.II, Lead.AVL, Lead.V2, Lead.V5),
    (Lead.III, Lead.AVF, Lead.V3, Lead.V6),
)
_INDEPENDENT = frozenset({Lead.I, Lead.II, Lead.V1, Lead.V2, Lead.V3, Lead.V4, Lead.V5, Lead.V6})
_DERIVED: dict[Lead, Callable[[float, float], float]] = {
    Lead.III: lambda one, two: two - one,
    Lead.AVR: lambda one, two: -(one + two) / 2,
    Lead.AVL: lambda one, two: one - two / 2,
    Lead.AVF: lambda one, two: two - one / 2,
}
"""From I and II, by Einthoven's law and Goldberger's; drawn where the device did not record them, and marked so."""

Trace = list[float | None]
Titled = tuple[str, Trace]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    points: tuple[Point, ...]
    width_mm: float
    colour: str
    """#rrggbb"""


@dataclass(frozen=True, slots=True)
class Words:
    at: Point
    """Where the base line of the first letter begins."""
    text: str
    height_mm: float = 3.0


@dataclass(frozen=True, slots=True)
class Page:
    lines: list[Line] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Part of a lead, on one strip of the page."""

    title: str
    trace: Trace
    first: int
    count: int
    left_mm: float


@dataclass(frozen=True, slots=True)
class _Row:
    """One strip of the page: one piece, or one lead after another."""

    pieces: tuple[_Piece, ...]


def pages(strip: Strip, heading: Sequence[str]) -> list[Page]:
    """heading: up to three lines of words above the grid; speed, gain and filters are added."""
    rows = list(_rows(strip))
    height_mm = _row_height_mm(len(rows))
    fitting = max(1, int((BOTTOM_MM - TOP_MM) // height_mm))
    drawn: list[Page] = []
    for start in range(0, len(rows), fitting):
        page = Page()
        part = rows[start : start + fitting]
        bottom_mm = TOP_MM + height_mm * len(part)
        _draw_grid(page, bottom_mm)
        beyond = sum(
            _draw_row(page, row, strip.format.rate_hz, TOP_MM + height_mm * (number + 0.5), bottom_mm)
            for number, row in enumerate(part)
        )
        unseen = (f"{beyond} beyond the paper, not drawn",) if beyond else ()
        number = f"page {len(drawn) + 1} of {-(-len(rows) // fitting)}"
        _draw_heading(page, (*heading[:3], _scale(strip), _joined(_wholeness(strip), *unseen, number)))
        drawn.append(page)
    return drawn


def millivolts(strip: Strip) -> dict[Lead, Trace]:
    """Each lead in mV."""
    format_ = strip.format
    per_mv = Decimal(1000) if format_.unit is Unit.MICROVOLT else Decimal(1)
    scale, offset = float(format_.scale / per_mv), float(format_.offset / per_mv)
    columns = zip(*strip.rows, strict=True)
    return {
        lead: [None if sample is None else sample * scale + offset for sample in column]
        for lead, column in zip(format_.leads, columns, strict=True)
    }


def _rows(strip: Strip) -> Iterator[_Row]:
    length = len(strip.rows)
    per_row = int(Decimal(str(PAPER_MM / MM_PER_S)) * strip.format.rate_hz)
    traces = {lead: (lead.value, trace) for lead, trace in millivolts(strip).items()}
    if set(traces) >= _INDEPENDENT:
        traces = _completed(traces)
        if length >= per_row:
            yield from _twelve(traces, length, per_row)
            return
    for first in range(0, length, per_row):
        for title, trace in traces.values():
            yield _Row((_Piece(title, trace, first, per_row, LEFT_MM),))


def _completed(traces: dict[Lead, Titled]) -> dict[Lead, Titled]:
    """All twelve, in their usual order."""
    one, two = traces[Lead.I][1], traces[Lead.II][1]
    derived = {lead: (f"{lead} (derived)", _derive(derive, one, two)) for lead, derive in _DERIVED.items()}
    both = derived | traces
    return {lead: both[lead] for lead in Lead if lead in both}


def _twelve(traces: dict[Lead, Titled], length: int, per_row: int) -> Iterator[_Row]:
    """3 x 4 and the rhythm in lead II, for every ten seconds."""
    ends = [number * per_row // 4 for number in range(5)]
    for first in range(0, length, per_row):
        for leads in _COLUMNS:
            columns = zip(leads, pairwise(ends), strict=True)
            pieces = [
                _Piece(*traces[lead], first + start, end - start, LEFT_MM + start * PAPER_MM / per_row)
                for lead, (start, end) in columns
            ]
            yield _Row(tuple(pieces))
        yield _Row((_Piece(*traces[Lead.II], first, per_row, LEFT_MM),))


def _derive(derive: Callable[[float, float], float], one: Trace, two: Trace) -> Trace:
    return [None if a is None or b is None else derive(a, b) for a, b in zip(one, two, strict=True)]


def _row_height_mm(rows: int) -> float:
    """As high as the page allows, with the middle on a line of the grid."""
    return float(max(20, min(50, int((BOTTOM_MM - TOP_MM) / rows) // 10 * 10)))


def _scale(strip: Strip) -> str:
    format_ = strip.format
    filters = format_.filters or "filters not stated by the device"
    return _joined("25 mm/s", "10 mm/mV", f"{format_.rate_hz.normalize():f} Hz", filters)


def _wholeness(strip: Strip) -> str:
    gaps = sum(None in row for row in strip.rows)
    return f"{gaps} of {len(strip.rows)} samples missing, drawn as gaps" if gaps else "no gaps"


def _joined(*facts: str) -> str:
    return " \u00b7 ".join(facts)


def _draw_heading(page: Page, lines: Sequence[str]) -> None:
    for number, text in enumerate(lines):
        page.words.append(Words((LEFT_MM - 10, 7 + 5.0 * number), text, 3.2))


def _draw_grid(page: Page, bottom_mm: float) -> None:
    left_mm, right_mm = LEFT_MM - 10, LEFT_MM + PAPER_MM
    for n in range(int(right_mm - left_mm) + 1):
        page.lines.append(_ruled(n, ((left_mm + n, TOP_MM), (left_mm + n, bottom_mm))))
    for n in range(int(bottom_mm - TOP_MM) + 1):
        page.lines.append(_ruled(n, ((left_mm, TOP_MM + n), (right_mm, TOP_MM + n))))


def _ruled(number: int, points: tuple[Point, Point]) -> Line:
    bold = number % GRID_BOLD_MM == 0
    return Line(points, 0.18 if bold else 0.08, "#e08a8a" if bold else "#f2c4c4")


def _draw_row(page: Page, row: _Row, rate_hz: Decimal, middle_mm: float, bottom_mm: float) -> int:
    """How many samples lie beyond the paper."""
    page.lines.append(_calibration(middle_mm))
    mm_per_sample = MM_PER_S / float(rate_hz)
    beyond = 0
    for piece in row.pieces:
        page.words.append(Words((piece.left_mm + 1, middle_mm - 9), piece.title))
        heights_mm = _heights_mm(piece, middle_mm)
        on_paper = [y if y is not None and TOP_MM <= y <= bottom_mm else None for y in heights_mm]
        beyond += on_paper.count(None) - heights_mm.count(None)
        for points in _runs(on_paper, piece.left_mm, mm_per_sample):
            page.lines.append(Line(points, 0.25, "#101010"))
    return beyond


def _calibration(middle_mm: float) -> Line:
    """1 mV for 0.2 s, left of the trace."""
    left_mm, top_mm = LEFT_MM - 8.5, middle_mm - MM_PER_MV
    right_mm = left_mm + PULSE_MM
    foot = ((left_mm - 1, middle_mm), (left_mm, middle_mm), (left_mm, top_mm))
    return Line((*foot, (right_mm, top_mm), (right_mm, middle_mm), (right_mm + 1, middle_mm)), 0.25, "#101010")


def _heights_mm(piece: _Piece, middle_mm: float) -> Trace:
    shown = piece.trace[piece.first : piece.first + piece.count]
    known = [value for value in shown if value is not None]
    base_mv = median(known) if known else 0.0
    return [None if value is None else middle_mm - (value - base_mv) * MM_PER_MV for value in shown]


def _runs(heights_mm: Trace, left_mm: float, mm_per_sample: float) -> Iterator[tuple[Point, ...]]:
    """Samples that follow one another on the paper."""
    run: list[Point] = []
    for n, y_mm in enumerate((*heights_mm, None)):
        if y_mm is not None:
            run.append((round(left_mm + n * mm_per_sample, 3), round(y_mm, 3)))
        elif run:
            yield _visible(run)
            run = []


def _visible(run: list[Point]) -> tuple[Point, ...]:
    """A sample alone is a dot."""
    return tuple(run) if len(run) > 1 else (run[0], (run[0][0] + 0.1, run[0][1]))
