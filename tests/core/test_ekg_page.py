"""EKG on paper: true scale, gaps drawn as gaps, the usual layouts; and out as EDF+."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pyedflib
import pytest

from devicebridge.cli import main
from devicebridge.ekg.drawing import pdf, svg
from devicebridge.ekg.edf import save, suffix
from devicebridge.ekg.page import GRID_MM, LEFT_MM, TOP_MM, Line, Page, millivolts, pages
from devicebridge.ekg.strip import strip_message
from devicebridge.sdk import Lead, Strip, Unit, WaveFormat
from devicebridge.sdk.wave import Row

INK = "#101010"
EIGHT = (Lead.I, Lead.II, Lead.V1, Lead.V2, Lead.V3, Lead.V4, Lead.V5, Lead.V6)
TWELVE = (*EIGHT, Lead.III, Lead.AVR, Lead.AVL, Lead.AVF)


def strip_of(rows: tuple[Row, ...], leads: tuple[Lead, ...] = (Lead.II,), rate_hz: str = "500") -> Strip:
    """One count is a microvolt."""
    format_ = WaveFormat(
        leads=leads, rate_hz=Decimal(rate_hz), unit=Unit.MICROVOLT, scale=Decimal(1), lowest=-32768, highest=32767
    )
    return Strip(format=format_, rows=rows)


SQUARE = strip_of(tuple((1000 if 500 <= n < 600 else 0,) for n in range(5000)))
"""A square of 1 mV, from 1.0 s to 1.2 s."""


def traces(page: Page) -> list[Line]:
    """Without the calibration pulse, which stands left of the paper's beginning."""
    return [line for line in page.lines if line.colour == INK and line.points[0][0] >= LEFT_MM]


def test_a_millivolt_is_ten_millimetres_and_a_second_is_twenty_five() -> None:
    (trace,) = traces(pages(SQUARE, ())[0])
    base_mm = trace.points[0][1]
    high = [x for x, y in trace.points if y == pytest.approx(base_mm - 10, abs=0.001)]
    assert all(y == pytest.approx(base_mm) or y == pytest.approx(base_mm - 10) for _, y in trace.points)
    assert high[0] == pytest.approx(LEFT_MM + 25)
    assert len(high) * 25 / 500 == pytest.approx(5)


def test_the_svg_is_in_real_millimetres() -> None:
    """The golden square, read from the file as another program would: the size of the page, then the points."""
    root = ElementTree.fromstring(svg(pages(SQUARE, ("room",))[0]))
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("297.0mm", "210.0mm", "0 0 297.0 210.0")
    inked = [e for e in root.iter("{http://www.w3.org/2000/svg}polyline") if e.get("stroke") == INK]
    points = [tuple(map(float, p.split(","))) for p in (inked[1].get("points") or "").split()]
    heights = {round(y, 3) for _, y in points}
    assert max(heights) - min(heights) == pytest.approx(10)
    pulse = [tuple(map(float, p.split(","))) for p in (inked[0].get("points") or "").split()]
    assert max(y for _, y in pulse) - min(y for _, y in pulse) == pytest.approx(10)
    assert pulse[3][0] - pulse[2][0] == pytest.approx(5)


def test_the_pdf_is_in_real_millimetres() -> None:
    """PDF counts in points of 1/72 inch: A4 landscape, and 10 mm between the heights of the calibration pulse."""
    data = pdf(pages(SQUARE, ()), "EKG")
    box = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", data)
    assert box is not None
    assert [float(g) * 25.4 / 72 for g in box.groups()] == pytest.approx([297, 210], abs=0.1)
    streams = re.findall(rb"stream\n(.*?)\nendstream", data, re.S)
    drawn = max((zlib.decompress(stream) for stream in streams if stream[:1] == b"\x78"), key=len)
    _, _, ink = drawn.partition(b"0.0627 G\n")
    heights = [float(y) for _, y in re.findall(rb"([\d.]+) ([\d.]+) [ml]\n", ink)[:6]]
    assert (max(heights) - min(heights)) * 25.4 / 72 == pytest.approx(10, abs=0.01)


def test_the_grid_has_a_line_every_millimetre_and_a_bold_one_every_five() -> None:
    page = pages(SQUARE, ())[0]
    ruled = [line for line in page.lines if line.colour != INK and line.points[0][0] == line.points[1][0]]
    places = [line.points[0][0] for line in ruled]
    assert all(b - a == pytest.approx(GRID_MM) for a, b in pairwise(places))
    bold = [line.points[0][0] for line in ruled if line.width_mm > 0.1]
    assert all(b - a == pytest.approx(5) for a, b in pairwise(bold))
    assert LEFT_MM in bold, "the trace begins on a bold line"


def test_a_gap_is_drawn_as_a_gap_of_its_length() -> None:
    strip = strip_of(tuple((None if 1000 <= n < 1500 else n % 7,) for n in range(5000)))
    before, after = traces(pages(strip, ())[0])
    assert before.points[-1][0] == pytest.approx(LEFT_MM + 999 / 20, abs=0.001)
    assert after.points[0][0] == pytest.approx(LEFT_MM + 75, abs=0.001)
    assert "500 of 5000 samples missing" in " ".join(w.text for w in pages(strip, ())[0].words)


def test_speed_gain_rate_and_filters_are_printed() -> None:
    words = " ".join(w.text for w in pages(SQUARE, ("main-street",))[0].words)
    for fact in ("25 mm/s", "10 mm/mV", "500 Hz", "filters not stated", "no gaps", "main-street", "II"):
        assert fact in words


def test_an_offset_moves_the_trace_and_not_its_scale() -> None:
    """Electrodes have tens of millivolts between them."""
    shifted = strip_of(tuple((row[0] + 40_000 if row[0] is not None else None,) for row in SQUARE.rows))
    assert traces(pages(shifted, ())[0])[0].points == traces(pages(SQUARE, ())[0])[0].points


def test_longer_than_the_paper_goes_on_below() -> None:
    page = pages(strip_of(tuple((n % 50,) for n in range(12_500))), ())[0]
    assert len(traces(page)) == 3
    assert all(line.points[0][0] == LEFT_MM for line in traces(page))


def test_twelve_leads_are_three_by_four_and_a_rhythm() -> None:
    strip = strip_of(tuple(tuple(n % 9 for _ in TWELVE) for n in range(5000)), TWELVE)
    page = pages(strip, ())[0]
    titles = [w.text for w in page.words if w.text in {lead.value for lead in Lead}]
    assert titles == ["I", "aVR", "V1", "V4", "II", "aVL", "V2", "V5", "III", "aVF", "V3", "V6", "II"]
    assert len(traces(page)) == 13


def test_leads_that_were_not_recorded_are_derived_and_say_so() -> None:
    values = dict(zip(EIGHT, (600, 1000, 1, 2, 3, 4, 5, 6), strict=True))
    page = pages(strip_of(tuple(tuple(values.values()) for _ in range(5000)), EIGHT), ())[0]
    assert {"III (derived)", "aVR (derived)", "aVL (derived)", "aVF (derived)"} <= {w.text for w in page.words}


def test_fewer_than_eight_independent_leads_are_not_called_twelve() -> None:
    leads = (Lead.I, Lead.II, Lead.III)
    page = pages(strip_of(tuple((1, 2, 1) for _ in range(5000)), leads), ())[0]
    assert not [w for w in page.words if "derived" in w.text]
    assert len(traces(page)) == 3


def test_counts_become_millivolts_by_scale_and_offset() -> None:
    format_ = WaveFormat(
        leads=(Lead.I,), rate_hz=Decimal(1), unit=Unit.MILLIVOLT, scale=Decimal("0.001"), offset=Decimal("-0.5"),
        lowest=0, highest=1000,
    )  # fmt: skip
    assert millivolts(Strip(format=format_, rows=((500,), (None,), (1500,))))[Lead.I] == [0, None, 1]


def test_what_lies_beyond_the_paper_is_said() -> None:
    """Else it would look like a gap."""
    strip = strip_of(tuple((90_000 if 100 <= n < 120 else 0,) for n in range(5000)))
    page = pages(strip, ())[0]
    assert "20 beyond the paper" in " ".join(w.text for w in page.words)
    assert "beyond" not in " ".join(w.text for w in pages(SQUARE, ())[0].words)


def test_what_stands_above_the_grid_has_room_there() -> None:
    """At its fullest: with gaps, with samples beyond the paper, on one page of many, and a filter's long name."""
    rows = tuple((None if n % 3 else n % 2 * 90_000,) for n in range(120_000))
    strip = replace(strip_of(rows), format=replace(SQUARE.format, filters="0.05-150 Hz, mains 60 Hz, baseline"))
    heading = [w for w in pages(strip, ("1", "2", "3"))[1].words if w.at[1] < TOP_MM]
    assert len(heading) == 5
    assert all(after.at[1] - before.at[1] > before.height_mm for before, after in pairwise(heading))
    assert max(len(w.text) for w in heading) < 100, "as many letters as the paper is wide"


def test_an_electrode_whose_offset_wanders_stays_on_the_paper() -> None:
    """Each strip of ten seconds lies on its own middle, at true scale."""
    strip = strip_of(tuple((n // 5000 * 50_000 + n % 50,) for n in range(15_000)))
    page = pages(strip, ())[0]
    assert sum(len(line.points) for line in traces(page)) == 15_000


def test_twelve_leads_for_less_than_ten_seconds_are_all_drawn() -> None:
    """In three by four the later columns would be empty."""
    strip = strip_of(tuple((n % 9,) * 8 for n in range(1000)), EIGHT)
    drawn = pages(strip, ())
    titles = {w.text for page in drawn for w in page.words}
    assert {lead.value for lead in EIGHT} | {"III (derived)", "aVF (derived)"} <= titles
    assert sum(len(line.points) for page in drawn for line in traces(page)) == 12 * 1000


def test_the_golden_twelve() -> None:
    """A square of 1 mV in lead II, from 1.0 s to 1.2 s, and what Einthoven and Goldberger make of it: by hand."""
    steps = {Lead.I: 0, Lead.II: 1000}
    rows = tuple(tuple(steps.get(lead, 0) if n % 1250 in range(500, 600) else 0 for lead in EIGHT) for n in range(5000))
    page = pages(strip_of(rows, EIGHT), ())[0]
    heights = [max(y for _, y in line.points) - min(y for _, y in line.points) for line in traces(page)]
    assert heights == pytest.approx([0, 5, 0, 0, 10, 5, 0, 0, 10, 10, 0, 0, 10], abs=0.002)
    lefts = [line.points[0][0] for line in traces(page)]
    assert lefts == pytest.approx([LEFT_MM + 62.5 * n for n in range(4)] * 3 + [LEFT_MM], abs=0.002)
    avr, two = traces(page)[1], traces(page)[4]
    assert max(y for _, y in avr.points) > avr.points[0][1], "aVR goes down where II goes up"
    assert min(y for _, y in two.points) < two.points[0][1]
    assert next(x - LEFT_MM for x, y in two.points if y < two.points[0][1] - 5) == pytest.approx(25)


def test_columns_follow_one_another_where_a_quarter_is_no_whole_number_of_samples() -> None:
    strip = strip_of(tuple((n % 9,) * 8 for n in range(1250)), EIGHT, "125")
    lines = traces(pages(strip, ())[0])[:4]
    assert sum(len(line.points) for line in lines) == 1250
    assert all(after.points[0][0] - before.points[-1][0] == pytest.approx(0.2) for before, after in pairwise(lines))


@pytest.mark.parametrize(
    "rows", [((5,),), ((None,),), tuple((None,) for _ in range(5000)), tuple((-32768,) for _ in range(5000))]
)
def test_the_ends_of_what_a_strip_can_be_are_drawn(rows: tuple[Row, ...]) -> None:
    page = pages(strip_of(rows), ())[0]
    assert sum(len(line.points) for line in traces(page)) == {(5,): 2, (None,): 0, (-32768,): 5000}[rows[0]]
    assert svg(page)
    assert pdf([page], "EKG")


def test_the_picture_in_the_readme_is_what_is_drawn_now() -> None:
    """Written by: python docs/make_ekg.py"""
    script = Path(__file__).parents[2] / "docs" / "make_ekg.py"
    subprocess.run([sys.executable, script, "--check"], check=True)


# --- EDF+ ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate_hz", "top", "ending"), [("130", 1, ".edf"), ("250", 800, ".bdf"), ("62.5", 1, ".edf")])
def test_edf_has_the_devices_own_integers(tmp_path: Path, rate_hz: str, top: int, ending: str) -> None:
    """Opened again by pyEDFlib, which is EDFbrowser's own reader."""
    rows = tuple(((n * 37 % 20_000 - 10_000) * top, None if 100 <= n < 150 else n) for n in range(1301))
    strip = strip_of(rows, (Lead.I, Lead.ECG), rate_hz)
    assert suffix(strip) == ending
    path = tmp_path / f"strip{ending}"
    save(strip, datetime(2026, 11, 21, 10, 32, 5, tzinfo=UTC), "Polar H10", path)
    with pyedflib.EdfReader(str(path)) as reader:
        assert [reader.getLabel(n) for n in (0, 1)] == ["ECG I", "ECG"]
        assert reader.getSampleFrequency(0) == float(rate_hz)
        assert reader.getPhysicalDimension(0) == "uV"
        assert reader.getStartdatetime() == datetime(2026, 11, 21, 10, 32, 5)
        first, second = (reader.readSignal(n, digital=True)[:1301].tolist() for n in (0, 1))
        assert first == [row[0] for row in rows]
        assert second[:100] + second[150:] == [n for n in range(1301) if not 100 <= n < 150]
        onset, duration, words = (each[0] for each in reader.readAnnotations())
        assert (onset, duration, words) == (
            pytest.approx(100 / float(rate_hz)),
            pytest.approx(50 / float(rate_hz)),
            "no sample@@ECG",
        )


def test_edf_tells_a_saturated_sample_from_a_missing_one(tmp_path: Path) -> None:
    """The lowest integer stands for both; the note of a gap names the lead, where others went on."""
    rows = ((-(1 << 23), 1), (5, None), ((1 << 23) - 1, 2), (-(1 << 23), None))
    strip = strip_of(rows, (Lead.I, Lead.II), "4")
    path = tmp_path / "railed.bdf"
    assert suffix(strip) == ".bdf"
    save(strip, None, "x", path)
    with pyedflib.EdfReader(str(path)) as reader:
        assert reader.readSignal(0, digital=True).tolist() == [row[0] for row in rows]
        notes = [(onset, text) for onset, _, text in zip(*reader.readAnnotations(), strict=True)]
        assert notes == [(0.25, "no sample@@ECG II"), (0.75, "no sample@@ECG II")]


def test_edf_begins_at_the_first_sample_to_the_microsecond(tmp_path: Path) -> None:
    begun = datetime(2026, 11, 21, 23, 59, 59, 345_678, tzinfo=UTC)
    save(SQUARE, begun, "x", tmp_path / "a.edf")
    written = (tmp_path / "a.edf").read_bytes()
    assert written[168:184] == b"21.11.2623.59.59"
    assert b"+0.345678\x14\x14" in written, "EDF+ has the part of a second as the onset of the first annotation"


def test_a_rate_that_edf_has_no_room_for_is_refused_and_not_filled_up(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rate"):
        save(strip_of(((1,),), rate_hz="129.87013"), None, "x", tmp_path / "a.edf")


# --- the command -----------------------------------------------------------------------------------------------


@pytest.fixture
def reading(tmp_path: Path) -> Path:
    device = {"name": "leads", "driver": "polar-ecg", "model": "Polar H10"}
    message = {
        "schema": "devicebridge/reading/1", "id": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "kind": "ecg",
        "site": "main-street", "room": "exam-3", "device": device, "measured_at": "2026-11-21T10:32:05-06:00",
        "received_at": "2026-11-21T10:32:16-06:00", "device_time": None, "clock": "gateway", "clock_offset_s": None,
        "origin": "live", "quality": "ok", "status": [], "context": [], "values": [], "subject": None,
        "state": "preliminary", "revision": 1, "simulated": False,
        "strip": json.loads(strip_message(SQUARE).model_dump_json()),
    }  # fmt: skip
    path = tmp_path / "readings.jsonl"
    path.write_text(f"not a reading\n{json.dumps(message)}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["ekg.svg", "ekg.pdf"])
def test_render_draws_from_a_file(reading: Path, tmp_path: Path, name: str) -> None:
    assert main(["ekg", "render", "--file", str(reading), "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_bytes()[:5] in (b"<?xml", b"%PDF-")


@pytest.mark.parametrize(
    "damage", [{"rate_hz": 0}, {"leads": []}, {"leads": [{"lead": "I", "mdc": 131329, "data": "1"}] * 2}]
)
@pytest.mark.parametrize("words", [("render", "x.svg"), ("export", "x.edf")])
def test_a_strip_that_cannot_be_one_is_refused(
    reading: Path, tmp_path: Path, damage: dict[str, object], words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    message = json.loads(reading.read_text().splitlines()[1])
    message["strip"] |= damage
    reading.write_text(json.dumps(message))
    assert main(["ekg", words[0], "--file", str(reading), "-o", str(tmp_path / words[1])]) == 65
    assert "no EKG recording that can be drawn or exported" in capsys.readouterr().err


def test_export_writes_edf_from_a_file(reading: Path, tmp_path: Path) -> None:
    assert main(["ekg", "export", "--file", str(reading), "--id", "7c9e", "-o", str(tmp_path / "ekg.edf")]) == 0
    with pyedflib.EdfReader(str(tmp_path / "ekg.edf")) as reader:
        assert reader.readSignal(0, digital=True).tolist() == [row[0] for row in SQUARE.rows]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["render", "-o", "x.svg"], "say where the strip is"),
        (["render", "--file", "FILE", "-o", "x.png"], "end --output in .svg or .pdf"),
        (["render", "--file", "FILE", "--id", "beef", "-o", "x.svg"], "no such EKG recording"),
        (["render", "--file", "missing.jsonl", "-o", "x.svg"], "cannot be read"),
        (["export", "--file", "FILE", "-o", "x.bdf"], "need .edf"),
        (["record", "leads", "--seconds", "nan", "-c", "FILE"], "from 1 to 300 seconds"),
        (["record", "leads", "--seconds=-70", "-c", "FILE"], "from 1 to 300 seconds"),
        (["record", "leads", "--seconds", "inf", "-c", "FILE"], "from 1 to 300 seconds"),
        (["export", "--file", "FILE", "-o", "/no/such/place/x.edf"], "cannot be written"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    reading: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ekg", *(str(reading) if word == "FILE" else word for word in words)]) > 0
    assert sentence in capsys.readouterr().err
