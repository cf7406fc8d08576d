"""OpenBCI Cyton: what conformance and vectors do not try."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError

from devicebridge.sdk import DeviceIdentity, UnexpectedDevice, Wave
from devicebridge_drivers.openbci import DRIVER
from devicebridge_drivers.openbci.session import QUIET_S, OpenBciOptions
from devicebridge_simulators.openbci import BANNER, RAIL, frame
from support.asked import Asked, Kept
from support.virtual_time import run

ROW = (1, 2, 3, 4, 5, 6, 7, 8)


class Traced(Kept):
    def __init__(self) -> None:
        super().__init__()
        self.waves: list[Wave] = []

    def wave(self, wave: Wave, /) -> None:
        self.waves.append(wave)


async def played(pieces: list[bytes], pause_s: float = 0.0) -> tuple[Asked, Traced]:
    board = Asked(lambda command: [BANNER] if b"v" in command else [])
    kept = Traced()
    session = asyncio.ensure_future(DRIVER.session(board, kept, OpenBciOptions()))
    for piece in pieces:
        await asyncio.sleep(pause_s or 0.01)
        board.send(piece)
    await asyncio.sleep(0.01)
    session.cancel()
    await asyncio.gather(session, return_exceptions=True)
    return board, kept


def test_it_is_stopped_reset_begun_and_stopped_again() -> None:
    board, kept = run(played([frame(0, ROW)]))
    assert board.written == [b"sv", b"b", b"s"]
    assert kept.events == [DeviceIdentity(manufacturer="OpenBCI", model="Cyton", firmware="v3.1.2")]


def test_after_a_silence_nobody_knows_how_many_samples_are_missing() -> None:
    _, kept = run(played([frame(0, ROW), frame(5, ROW)], QUIET_S * 1.1))
    assert [(w.first_index, w.after_unknown_gap) for w in kept.waves] == [(0, True), (5, True)]
    _, kept = run(played([frame(0, ROW), frame(5, ROW)], QUIET_S * 0.9))
    assert [w.after_unknown_gap for w in kept.waves] == [False, False]


def test_a_line_where_nobody_answers_is_another_device() -> None:
    with pytest.raises(UnexpectedDevice):
        run(DRIVER.session(Asked(lambda _: []), Kept(), OpenBciOptions()))


def test_a_lead_stands_on_one_channel() -> None:
    with pytest.raises(ValidationError, match="a lead stands twice"):
        OpenBciOptions.model_validate({"leads": ["I", "I"]})


def test_the_scale_is_that_of_the_converter() -> None:
    """ADS1299 data sheet (SBAS499), 9.5.1: full scale is the reference, 4.5 V, divided by the gain."""
    format_ = OpenBciOptions(gain=24).format
    assert float(format_.scale * RAIL) == pytest.approx(187_500)


@pytest.mark.parametrize(
    "after",
    [
        [frame(5, ROW)[:7], frame(5, ROW)[7:]],
        [b"\x00", b"\x00", frame(5, ROW) + frame(6, ROW)],
        [frame(0, ROW), frame(5, ROW)],
    ],
    ids=["half a frame first", "noise meanwhile", "the same number when it comes round"],
)
def test_a_silence_is_counted_from_sample_to_sample(after: list[bytes]) -> None:
    """A serial port gives what has arrived: after a silence that is as likely as not half a frame."""

    async def scene() -> list[Wave]:
        board = Asked(lambda command: [BANNER] if b"v" in command else [])
        kept = Traced()
        session = asyncio.ensure_future(DRIVER.session(board, kept, OpenBciOptions()))
        await asyncio.sleep(0.01)
        board.send(frame(0, ROW))
        for piece in after:
            await asyncio.sleep(QUIET_S * 0.7 if len(after) == 3 else QUIET_S * 1.1 if piece is after[0] else 0.01)
            board.send(piece)
        await asyncio.sleep(0.01)
        session.cancel()
        await asyncio.gather(session, return_exceptions=True)
        return kept.waves

    assert [w.after_unknown_gap for w in run(scene())][:2] == [False, True]
