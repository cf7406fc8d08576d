"""Pages as files: SVG by the standard library, PDF by fpdf2. Both are in millimetres, at true scale."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from .page import HEIGHT_MM, WIDTH_MM, Page

MM_PER_POINT = 25.4 / 72
LETTER_MM = 0.72
"""Height of a capital letter of Helvetica, as a share of the font's size."""


def svg(page: Page) -> bytes:
    """One page."""
    root = ElementTree.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        width=f"{WIDTH_MM}mm",
        height=f"{HEIGHT_MM}mm",
        viewBox=f"0 0 {WIDTH_MM} {HEIGHT_MM}",
    )
    ElementTree.SubElement(root, "rect", width="100%", height="100%", fill="#ffffff")
    for line in page.lines:
        points = " ".join(f"{x:g},{y:g}" for x, y in line.points)
        style = {"fill": "none", "stroke": line.colour, "stroke-width": f"{line.width_mm:g}"}
        ElementTree.SubElement(root, "polyline", {"points": points, **style})
    for words in page.words:
        size = f"{words.height_mm / LETTER_MM:.2f}"
        place = {"x": f"{words.at[0]:g}", "y": f"{words.at[1]:g}", "font-size": size}
        text = ElementTree.SubElement(root, "text", {**place, "font-family": "Helvetica, Arial, sans-serif"})
        text.text = words.text
    drawn: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return drawn


def pdf(pages: Sequence[Page], title: str) -> bytes:
    """All pages. Raises ModuleNotFoundError without the extra "ekg"."""
    from fpdf import FPDF

    document = FPDF(orientation="L", unit="mm", format="A4")
    document.set_auto_page_break(False)
    document.set_title(title)
    for page in pages:
        document.add_page()
        for line in page.lines:
            document.set_draw_color(line.colour)
            document.set_line_width(line.width_mm)
            document.polyline(list(line.points))
        for words in page.words:
            document.set_font("Helvetica", size=words.height_mm / LETTER_MM / MM_PER_POINT)
            document.text(*words.at, words.text.encode("latin-1", "replace").decode("latin-1"))
    return bytes(document.output())
