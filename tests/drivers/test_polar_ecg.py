"""Polar H10: what conformance and vectors do not try."""

from __future__ import annotations

from devicebridge.sdk import Frame
from devicebridge_drivers.polar_ecg.codec import DataCodec

CAPTURED_TIMES = ("91f770aa30495208", "7c3bdecb30495208", "ad574bed30495208", "54c3b80e31495208", "012f263031495208")
"""Of consecutive frames of 73 samples of a real H10 (github.com/phdiethelm/h10_ecg, exploration/gatttool.md)."""


def first_indices(*times: str, samples: int = 73) -> list[tuple[int, bool] | None]:
    codec = DataCodec()
    found: list[tuple[int, bool] | None] = []
    for time in times:
        (item,) = codec.feed(bytes.fromhex(f"00{time}00{'010000' * samples}"))
        assert isinstance(item, Frame)
        found.append((item.wave.first_index, item.wave.after_unknown_gap) if item.wave else None)
    return found


def test_frames_of_a_real_strap_follow_one_another() -> None:
    assert first_indices(*CAPTURED_TIMES) == [(0, False), (73, False), (146, False), (219, False), (292, False)]


def test_a_frame_that_is_missing_is_a_gap_of_its_length() -> None:
    first, _, third, *_ = CAPTURED_TIMES
    assert first_indices(first, third) == [(0, False), (146, False)]


def test_a_frame_that_comes_twice_counts_once() -> None:
    first, second, *_ = CAPTURED_TIMES
    assert first_indices(first, first, second) == [(0, False), None, (73, False)]


def test_a_clock_that_was_set_back_leaves_a_gap_nobody_knows() -> None:
    first, second, *_ = CAPTURED_TIMES
    assert first_indices(second, first) == [(0, False), (73, True)]


def test_a_clock_that_was_set_forward_leaves_a_gap_nobody_knows() -> None:
    """Another app may set it, from 2019 to today; a real silence of that length would have ended the session."""
    first, second, *_ = CAPTURED_TIMES
    later = (int.from_bytes(bytes.fromhex(second), "little") + 7 * 365 * 86_400 * 10**9).to_bytes(8, "little").hex()
    assert first_indices(first, later) == [(0, False), (73, True)]
