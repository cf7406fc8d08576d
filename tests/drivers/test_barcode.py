"""A scan is a scan: whole or not at all, never a measurement, and never shown."""

from __future__ import annotations

import asyncio
import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicebridge.commands.decode import decoded
from devicebridge.sdk import Event, Frame, Noise, Scan, Why
from devicebridge_drivers.barcode import DRIVER
from devicebridge_drivers.barcode.codec import LXI_MAX_CHARS, TEXT_MAX_CHARS, Code, Codec
from devicebridge_drivers.barcode.session import CODE_WITHIN_S, ENDS_WITHIN_S
from devicebridge_simulators.barcode import CR, CR_LF, LF, SLIP, WRISTBAND, lxi, plain
from support.cable import Heard, hear


class Kept(Heard):
    noted_s = math.inf

    def note(self, event: Event, /) -> None:
        super().note(event)
        self.noted_s = asyncio.get_running_loop().time()

    @property
    def scans(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Scan)]


def play(*pieces: bytes | float) -> Kept:
    kept = hear(DRIVER, pieces, Kept())
    assert kept.groups == [], "a scan is no measurement"
    assert kept.writes == [], "nothing is ever sent to a scanner"
    return kept


def items(data: bytes) -> list[Frame | Noise]:
    codec = Codec()
    return [*codec.feed(data), *codec.close()]


@pytest.mark.parametrize("suffix", [CR, LF, CR_LF])
def test_a_code_ends_in_cr_or_lf_or_both(suffix: bytes) -> None:
    assert play(plain(WRISTBAND, suffix), 2.0, plain(SLIP, suffix), 2.0).scans == [WRISTBAND, SLIP]


def test_a_code_byte_by_byte() -> None:
    for code in (plain(WRISTBAND), lxi(WRISTBAND)):
        pieces = [piece for byte in code for piece in (bytes((byte,)), 0.001)]
        assert play(*pieces, 2.0).scans == [WRISTBAND]


def test_the_lxis_frame() -> None:
    assert play(lxi(WRISTBAND), lxi(SLIP), 2.0).scans == [WRISTBAND, SLIP]
    (item,) = items(lxi(WRISTBAND))
    assert isinstance(item, Code)
    assert (item.is_lxi, item.length, item.text) == (True, len(WRISTBAND), WRISTBAND)


def test_a_code_that_ends_in_cr_alone_is_there_at_once() -> None:
    kept = play(plain(WRISTBAND, CR), 60.0)
    assert kept.events == [Scan(WRISTBAND)]
    assert kept.noted_s <= ENDS_WITHIN_S + 0.01


def test_half_a_code_is_not_the_beginning_of_the_next() -> None:
    kept = play(b"MRN00", CODE_WITHIN_S + 0.1, plain(SLIP), 2.0)
    assert kept.scans == [SLIP]
    assert kept.events[0] == Noise(b"MRN00", Why.INCOMPLETE)


def test_f01_half_a_code_is_nothing_when_the_cable_is_pulled() -> None:
    for cut in range(len(WRISTBAND) + 1):
        assert play(plain(WRISTBAND)[:cut]).scans == []


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"MRN\x0012\r\n", Why.BAD_FIELD),
        (b"MRN\x7f12\r\n", Why.BAD_FIELD),
        (b"MRN\xe912\r\n", Why.BAD_FIELD),
        (b"MRN\t12\r\n", Why.BAD_FIELD),
        (b"\r\n", Why.UNSYNCHRONISED),
        (lxi("A" * (LXI_MAX_CHARS + 1)), Why.TOO_LONG),
        (plain("A" * (TEXT_MAX_CHARS + 1)), Why.TOO_LONG),
    ],
)
def test_what_is_no_code_is_refused_whole(data: bytes, why: Why) -> None:
    assert items(data) == [Noise(data, why)]


def test_the_longest_codes() -> None:
    for code in (lxi("A" * LXI_MAX_CHARS), plain("A" * TEXT_MAX_CHARS), lxi("")):
        assert isinstance(items(code)[0], Code)
    assert play(lxi(""), 2.0).scans == []  # the LXi's frame may be empty; then nothing was scanned


def test_f03_an_endless_line_is_passed_over_to_its_end() -> None:
    found = items(b"0" * 5000 + b"\r\n" + plain(SLIP))
    assert {item.why for item in found[:-1] if isinstance(item, Noise)} == {Why.TOO_LONG}
    assert [item.text for item in found if isinstance(item, Code)] == [SLIP]


def test_a_new_frame_ends_a_broken_one() -> None:
    found = items(lxi(WRISTBAND)[:8] + lxi(SLIP))
    assert [item.text for item in found if isinstance(item, Code)] == [SLIP]


def test_f48_the_code_is_not_shown() -> None:
    for item in items(plain(WRISTBAND) + lxi(WRISTBAND)):
        assert WRISTBAND not in repr(item)
        assert WRISTBAND not in str(item)
    assert WRISTBAND not in repr(Scan(WRISTBAND))


def test_an_operator_may_decode_bytes_of_their_own() -> None:
    (line,) = decoded(Codec(), plain(WRISTBAND))
    assert line["frame"] == {
        "raw": plain(WRISTBAND).hex(),
        "type": "Code",
        "text": WRISTBAND,
        "length": len(WRISTBAND),
        "is_lxi": False,
    }


@given(st.lists(st.text(string.printable[:95], min_size=1, max_size=40), max_size=6), st.sampled_from([CR, LF, CR_LF]))
def test_any_printable_codes_come_back(codes: list[str], suffix: bytes) -> None:
    found = items(b"".join(plain(code, suffix) for code in codes))
    assert [item.text for item in found if isinstance(item, Code)] == codes
