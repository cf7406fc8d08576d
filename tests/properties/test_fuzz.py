"""Every codec, the config loader, the control endpoint, what a broker or a publisher may send, and the small files
beside the outbox: bytes of any kind, and sound ones with a few mistakes. What must hold is in `support.fuzzing`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.fuzzing import Target, targets

EXAMPLES = 200
SLOW = {"control", "broker", "config"}
"""Over a socket or through a file: fewer of these."""


@st.composite
def damaged(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed with a few pieces taken out, put in or replaced."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 3))):
        at, size = draw(st.integers(0, len(data))), draw(st.integers(0, 8))
        data = data[:at] + draw(st.binary(max_size=8)) + data[at + size :]
    return data


@pytest.mark.parametrize("target", tuple(targets()), ids=lambda target: target.name)
def test_whatever_the_bytes_are(target: Target) -> None:
    with target.open() as once:

        @settings(max_examples=EXAMPLES // 4 if target.name in SLOW else EXAMPLES)
        @given(st.binary(max_size=300) | damaged(target.seeds or (b"",)))
        def holds(data: bytes) -> None:
            once(data)

        holds()
