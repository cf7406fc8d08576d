"""The Nonin codec: what tells its formats apart. The frames are the simulator's, which has an encoder of its own."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicebridge.sdk import Frame, Name, Noise, Why
from devicebridge_drivers.nonin.codec import Codec, DataFormat
from devicebridge_drivers.nonin.frames import Sample, Second, SpotCheck
from devicebridge_simulators.nonin import CLOCK, Signal, format_1, format_2, format_7, format_8, format_13

ENCODERS: dict[int, Callable[[Signal], bytes]] = {1: format_1, 2: format_2, 7: format_7, 8: format_8}

signals = st.one_of(
    st.just(Signal()),
    st.builds(
        Signal,
        spo2=st.integers(0, 100),
        pulse=st.integers(18, 321),
        artifact=st.booleans(),
        out_of_track=st.booleans(),
        low_perfusion=st.booleans(),
        smart_point=st.booleans(),
        low_battery=st.booleans(),
    ),
)
junk = st.binary(max_size=40)


def decode(data: bytes, data_format: DataFormat = "auto", size: int | None = None) -> list[Frame | Noise]:
    codec = Codec(data_format)
    pieces = [data[i : i + size] for i in range(0, len(data), size)] if size else [data]
    return [*(item for piece in pieces for item in codec.feed(piece)), *codec.close()]


def numbers(items: list[Frame | Noise]) -> list[tuple[int | None, ...]]:
    """(SpO2, pulse rate) of all that was said."""
    return [
        tuple(None if v.value is None else int(v.value) for v in observation.values)
        for item in items
        if isinstance(item, Frame)
        for observation in item.group
    ]


def formats(items: list[Frame | Noise]) -> set[int]:
    return {item.format for item in items if isinstance(item, Sample | Second)}


def sent(signal: Signal) -> tuple[int | None, ...]:
    return (None, None) if signal == Signal() else (signal.spo2, signal.pulse)


pieces = st.lists(
    st.one_of(
        junk,
        *(st.builds(encode, signals) for encode in (format_1, format_8)),
        st.builds(lambda s: format_13(s, CLOCK), signals),
        st.builds(lambda s, n: format_2(s)[:n], signals, st.integers(0, 140)),
        st.builds(lambda s, n: format_7(s)[:n], signals, st.integers(0, 140)),
    ),
    max_size=12,
).map(b"".join)


@given(pieces, st.integers(1, 9))
def test_every_byte_is_in_one_item_however_they_are_cut(data: bytes, size: int) -> None:
    whole = decode(data)
    assert b"".join(item.raw for item in whole) == data
    assert decode(data, size=size) == whole


@given(pieces, st.sampled_from(["1", "2", "7", "8", "13"]))
def test_the_same_where_the_format_is_named(data: bytes, data_format: DataFormat) -> None:
    whole = decode(data, data_format)
    assert b"".join(item.raw for item in whole) == data
    assert decode(data, data_format, size=3) == whole
    assert formats(whole) <= {int(data_format)}
    assert data_format == "13" or not any(isinstance(item, SpotCheck) for item in whole)


@pytest.mark.parametrize("data_format", [1, 8])
@given(data=st.data())
def test_a_slow_stream_is_never_taken_for_another(data_format: int, data: st.DataObject) -> None:
    """Joined anywhere, with any values: only what was sent is said, and after ten seconds it is said."""
    said = data.draw(st.lists(signals, min_size=12, max_size=20))
    stream = b"".join(map(ENCODERS[data_format], said))
    joined = data.draw(st.integers(0, 12))
    items = decode(stream[joined:])
    got = numbers(items)
    assert got == [sent(s) for s in said][len(said) - len(got) :]
    assert len(got) >= len(said) - 10
    assert {item.format for item in items if isinstance(item, Second)} == {data_format}


@pytest.mark.parametrize("data_format", [2, 7])
@settings(max_examples=30)
@given(data=st.data())
def test_a_fast_stream_is_never_taken_for_another(data_format: int, data: st.DataObject) -> None:
    said = data.draw(st.lists(signals, min_size=2, max_size=3))
    stream = b"".join(map(ENCODERS[data_format], said))
    joined = data.draw(st.integers(0, 374))
    items = decode(stream[joined:])
    assert set(numbers(items)) <= set(map(sent, said))
    assert not any(isinstance(item, Second | SpotCheck) for item in items)
    assert len(numbers(items)) >= 3 * (len(said) - 1)


@given(signals, junk.filter(lambda b: not b.endswith((b"\0", b"\2"))))
def test_a_spot_check_is_found_behind_junk(signal: Signal, before: bytes) -> None:
    record = format_13(signal, CLOCK)
    assert decode(before + record)[-1].raw == record


@given(signals, st.integers(0, 22 * 8 - 1))
def test_no_flipped_bit_in_a_spot_check_is_believed(signal: Signal, bit: int) -> None:
    """The sum covers the data; the header must be as it is; only the length's low byte may promise more to come."""
    record = bytearray(format_13(signal, CLOCK))
    record[bit // 8] ^= 0x80 >> bit % 8
    assert numbers(decode(bytes(record))) == []


@pytest.mark.parametrize("seed", range(4))
def test_f02_line_noise_says_nothing(seed: int) -> None:
    noise = random.Random(seed).randbytes(65_536)
    assert numbers(decode(noise)) == []
    assert sum(len(i.raw) for i in decode(noise) if isinstance(i, Noise)) > 65_000


def test_f02_a_wrong_baud_rate_says_nothing() -> None:
    """Half the rate: of two bits one is seen, and framing makes most bytes 0x00, 0x80 or 0xFF."""
    rng = random.Random(1)
    seen = bytes(rng.choice((0x00, 0x80, 0xFF, 0xE0, 0x78)) for _ in range(20_000))
    assert numbers(decode(seen)) == []


def test_f03_noise_comes_in_bounded_pieces() -> None:
    items = decode(b"\x55" * 10_000)
    assert max(len(item.raw) for item in items) <= 256
    assert {item.why for item in items if isinstance(item, Noise)} == {Why.UNSYNCHRONISED}


def test_a_packet_with_a_frame_missing_says_nothing() -> None:
    one_second = format_2(Signal(97, 72))
    for frame in range(25):
        short = one_second[: frame * 5] + one_second[frame * 5 + 5 : 125]
        assert numbers(decode(short)) == [], f"without frame {frame + 1}"


def test_what_is_sent_while_a_format_runs_is_given_at_once() -> None:
    """A weak format needs proof at first; then each second is given when its last byte has come."""
    codec = Codec("auto")
    counts = [len(codec.feed(format_8(Signal(97, 72)))) for _ in range(8)]
    assert sum(counts[:3]) == 3
    assert counts[3:] == [1] * 5


def test_impossible_numbers_are_no_values() -> None:
    """F10: a Nonin shows 0 to 100 % and 18 to 321 beats per minute."""
    for spo2, pulse in ((101, 72), (126, 72), (97, 17), (97, 322), (97, 510), (97, 0)):
        items = decode(format_8(Signal(97, 72)) * 3 + format_8(Signal(spo2, pulse)))
        assert len(numbers(items)) == 4
        last = items[-1]
        assert isinstance(last, Frame)
        said = {v.name: v for v in last.group[0].values}
        assert (said[Name.SPO2].value is None) == (spo2 > 100)
        assert (said[Name.PULSE_RATE].value is None) == (pulse not in range(18, 322))
