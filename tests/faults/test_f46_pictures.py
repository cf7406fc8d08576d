"""F46, as far as there is anything that a browser shows: a device's words are text in a picture of an EKG, whatever
they say."""

from __future__ import annotations

from decimal import Decimal
from xml.etree import ElementTree

from devicebridge.ekg.drawing import svg
from devicebridge.ekg.page import pages
from devicebridge.sdk import Lead, Strip, Unit, WaveFormat

HOSTILE = """</text><script>alert(1)</script><image href="x" onerror='alert(2)'/>&lt;"""
FORMAT = WaveFormat(
    leads=(Lead.II,), rate_hz=Decimal(100), unit=Unit.MICROVOLT, scale=Decimal(1), lowest=-9999, highest=9999
)
DRAWN = {"svg", "rect", "polyline", "text"}


def test_f46_a_script_in_a_devices_name_is_text_in_the_picture() -> None:
    root = ElementTree.fromstring(svg(pages(Strip(format=FORMAT, rows=((0,),) * 1000), (HOSTILE,))[0]))
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == DRAWN
    assert not any(name.startswith("on") or "href" in name for element in root.iter() for name in element.attrib)
    assert HOSTILE in " ".join(element.text or "" for element in root.iter())
