"""The loop that codecs share: noise in bounded pieces, and the same result however the bytes are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from devicebridge.sdk import Frame, Noise, Why
from devicebridge.sdk.framer import NOISE_BYTES, Framer

LONGEST = 8


def recognise(data: bytes, ended: bool) -> Frame | Noise | Why | None:
    """<...> is a frame, <...! is broken as a whole."""
    if data[:1] != b"<":
        return Why.UNSYNCHRONISED
    for at, byte in enumerate(data):
        if byte == ord(">"):
            return Frame(raw=data[: at + 1])
        if byte == ord("!"):
            return Noise(data[: at + 1], Why.BAD_FIELD)
    return None


def run(*pieces: bytes) -> list[tuple[str, bytes]]:
    framer = Framer(recognise, LONGEST)
    items = [*(item for piece in pieces for item in framer.feed(piece)), *framer.close()]
    return [(item.why if isinstance(item, Noise) else "frame", item.raw) for item in items]


def test_frames_and_what_lies_between_them() -> None:
    assert run(b"ab<c>d<e!<f>") == [
        (Why.UNSYNCHRONISED, b"ab"),
        ("frame", b"<c>"),
        (Why.UNSYNCHRONISED, b"d"),
        (Why.BAD_FIELD, b"<e!"),
        ("frame", b"<f>"),
    ]


def test_a_frame_is_given_with_its_last_byte() -> None:
    framer = Framer(recognise, LONGEST)
    assert [len(framer.feed(bytes((byte,)))) for byte in b"x<a>"] == [0, 0, 0, 2]


def test_what_is_left_at_the_end_is_incomplete() -> None:
    assert run(b"<ab") == [(Why.INCOMPLETE, b"<ab")]


def test_a_frame_that_does_not_end_is_too_long_and_what_follows_is_found() -> None:
    assert run(b"<123456789012<a>") == [(Why.TOO_LONG, b"<123456789012"), ("frame", b"<a>")]


def test_f03_noise_comes_in_bounded_pieces_and_little_is_held() -> None:
    framer = Framer(recognise, LONGEST)
    given = sum(len(item.raw) for item in framer.feed(b"x" * 100_000))
    assert 100_000 - given <= NOISE_BYTES
    assert [len(item.raw) for item in framer.close()] == [100_000 - given]


@given(st.text("<>!x", max_size=80).map(str.encode), st.integers(1, 9))
def test_the_same_however_the_bytes_are_cut(data: bytes, size: int) -> None:
    whole = run(data)
    assert run(*(data[i : i + size] for i in range(0, len(data), size))) == whole
    assert b"".join(raw for _, raw in whole) == data
