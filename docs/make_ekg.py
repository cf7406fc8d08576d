"""Makes docs/ekg.svg, the README's picture: a simulated heart in twelve leads, of which four are derived.

python docs/make_ekg.py           writes it
python docs/make_ekg.py --check   says whether it is not fresh, and ends with 1
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

from devicebridge.ekg.drawing import svg
from devicebridge.ekg.page import pages
from devicebridge.sdk import Lead, Strip, Unit, WaveFormat
from devicebridge.sdk.heart import Heart

PICTURE = Path(__file__).with_name("ekg.svg")
LEADS = (Lead.I, Lead.II, Lead.V1, Lead.V2, Lead.V3, Lead.V4, Lead.V5, Lead.V6)
RATE_HZ, SECONDS, PULSE_PER_MIN = 125, 10, 72
GAP = range(800, 850)  # samples that a radio lost
HEADING = ("SIMULATED heart, never chart it", "drawn by docs/make_ekg.py")


def picture() -> bytes:
    format_ = WaveFormat(
        leads=LEADS, rate_hz=Decimal(RATE_HZ), unit=Unit.MICROVOLT, scale=Decimal(1), lowest=-32768, highest=32767
    )
    heart = Heart(PULSE_PER_MIN)
    rows = tuple(
        tuple(None if n in GAP else round(heart.millivolts(lead, n / RATE_HZ) * 1000) for lead in LEADS)
        for n in range(RATE_HZ * SECONDS)
    )
    return svg(pages(Strip(format=format_, rows=rows), HEADING)[0])


if __name__ == "__main__":
    drawn = picture()
    if sys.argv[1:] != ["--check"]:
        PICTURE.write_bytes(drawn)
    elif PICTURE.read_bytes() != drawn:
        sys.exit(f"{PICTURE.name} is not fresh")
