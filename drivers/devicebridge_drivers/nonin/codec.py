"""Finds Nonin's frames in a stream of bytes.

Format 2 and 13 frames and commands are known by their shape and checksum and are taken at once. The others are weak:
format 7 has a checksum but no start byte, formats 8 and 1 have nothing but the top bit of their first byte. A weak
frame is taken when it follows a frame of its format, or when enough of them follow one another (`_Weak.proof`), or, for
what is left when the stream ends, by `_Weak.lone`. No stream of one format can be proven to be another: their top
bits differ in period. Where the format is configured nothing else is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from devicebridge.sdk import Frame, Noise, Why

from .frames import (
    NO_PULSE,
    NO_SPO2,
    PACKET_FRAMES,
    PULSE_RANGE,
    SPO2_MAX,
    Sample,
    control,
    packet,
    sample,
    second,
    slow_pulse,
    spot_check,
)

DataFormat = Literal["auto", "1", "2", "7", "8", "13"]

SPOT_DATA_BYTES = range(14, 65)  # 14, or 23 with a serial number; the manual lets it grow, we let it by so much
NOISE_BYTES = 256  # noise is reported in pieces of this size at most
_HOLD_BYTES = 128  # more than any frame or proof needs
_SPOT_HEADER = bytes((0x00, 0x02, 0x00, 0x0D))
_CONTROL_DATA_BYTES = {0x70: (2, 4), 0x72: (0, 6), 0x74: (2,), 0xF2: (6,), 0xF4: (11,)}
_STARTS = frozenset((0x00, 0x01, 0x02, 0x06, 0x15, *range(0x80, 0x100)))  # of any frame
_ALIKE_SPO2, _ALIKE_PULSE = 4, 20  # what two neighbouring seconds of one finger differ by at most, as a rule


class _More(Enum):
    """More bytes are needed to tell."""

    MORE = auto()


_Verdict = int | Why | _More  # the length of the frame; why it is none
_MORE = _More.MORE
_NO = Why.UNSYNCHRONISED


class Codec:
    """A devicebridge Codec. `data_format`: the only one to look for, or "auto"."""

    def __init__(self, data_format: DataFormat) -> None:
        self._shapes = _CONTROLS + (_SHAPES[data_format] if data_format != "auto" else _AUTO)
        self._buffer = bytearray()
        self._noise = bytearray()
        self._why = _NO
        self._previous: _Shape | None = None  # of the frame that ends where the buffer begins
        self._is_clean = True  # no noise since the last frame, or the beginning
        self._is_fresh = True  # nothing found yet, neither frame nor noise
        self._samples: list[Sample] = []

    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        out: list[Frame | Noise] = []
        for start in range(0, len(data), _HOLD_BYTES):
            self._buffer += data[start : start + _HOLD_BYTES]
            self._drain(out, ended=False)
        return out

    def close(self) -> Sequence[Frame | Noise]:
        out: list[Frame | Noise] = []
        self._drain(out, ended=True)
        self._flush(out)
        return out

    def _drain(self, out: list[Frame | Noise], *, ended: bool) -> None:
        while self._buffer:
            if self._buffer[0] not in _STARTS:
                self._skip(out, _NO)
                continue
            shape, verdict = self._recognise(bytes(self._buffer), ended=ended)
            if verdict is _MORE:
                return
            if shape is None or not isinstance(verdict, int):
                self._skip(out, verdict if isinstance(verdict, Why) else _NO)
                continue
            raw = bytes(self._buffer[:verdict])
            del self._buffer[:verdict]
            self._flush(out)
            out.append(self._frame(shape, raw))
            self._previous, self._is_clean, self._is_fresh = shape, True, False

    def _recognise(self, data: bytes, *, ended: bool) -> tuple[_Shape | None, _Verdict]:
        """The shape that the beginning of `data` has, or whether to wait, or why it has none."""
        refused: _Verdict = _NO
        for shape in (self._previous, *self._shapes) if self._previous else self._shapes:
            verdict = self._verdict(shape, data, ended=ended)
            if isinstance(verdict, int):
                return shape, verdict
            if verdict is _MORE and not ended:
                return None, _MORE
            if refused is _NO:
                refused = Why.INCOMPLETE if verdict is _MORE else verdict
        return None, refused

    def _verdict(self, shape: _Shape, data: bytes, *, ended: bool) -> _Verdict:
        if shape.needs_clean and not self._is_clean:
            return _NO
        verdict = shape.fits(data)
        if shape.weak is None or shape is self._previous:
            return verdict
        if not isinstance(verdict, int):
            return _MORE if verdict is _MORE else _NO
        return _proven(shape, shape.weak, data, verdict, ended=ended, fresh=self._is_fresh)

    def _frame(self, shape: _Shape, raw: bytes) -> Frame:
        frame = shape.read(raw)
        if not isinstance(frame, Sample):
            self._samples.clear()
            return frame
        if frame.is_first or (self._samples and self._samples[0].format != frame.format):
            self._samples.clear()
        if frame.is_first or self._samples:
            self._samples.append(frame)
        if len(self._samples) < PACKET_FRAMES:
            return frame
        whole = packet(self._samples)
        self._samples.clear()
        return whole

    def _skip(self, out: list[Frame | Noise], why: Why) -> None:
        if len(self._noise) >= NOISE_BYTES or (self._why is _NO and why is not _NO):
            self._flush(out)
        if not self._noise:
            self._why = why
        self._noise.append(self._buffer.pop(0))
        self._previous, self._is_clean, self._is_fresh = None, False, False
        self._samples.clear()

    def _flush(self, out: list[Frame | Noise]) -> None:
        if self._noise:
            out.append(Noise(bytes(self._noise), self._why))
            self._noise.clear()


@dataclass(frozen=True, slots=True)
class _Weak:
    """How often a weak shape must follow itself to be believed.

    proof: among other bytes. lone, lone_fresh: where the stream ends first; the latter when it held nothing else.
    """

    proof: int
    lone: int
    lone_fresh: int
    is_sane: Callable[[bytes], bool] = lambda raw: True
    is_alike: Callable[[bytes, bytes], bool] = lambda one, other: True


@dataclass(frozen=True, slots=True)
class _Shape:
    fits: Callable[[bytes], _Verdict]
    read: Callable[[bytes], Frame]
    weak: _Weak | None = None
    needs_clean: bool = False


def _proven(shape: _Shape, weak: _Weak, data: bytes, size: int, *, ended: bool, fresh: bool) -> _Verdict:
    """`size` where enough frames follow one another; twice as many where they differ by more than a finger does."""
    run: list[bytes] = []
    alike = True
    while len(run) < weak.proof * (1 if alike else 2):
        rest = data[len(run) * size :]
        verdict = shape.fits(rest)
        if verdict is _MORE:
            enough = weak.lone_fresh if fresh else weak.lone
            return (size if len(run) >= enough and (alike or fresh) else _NO) if ended else _MORE
        if not isinstance(verdict, int) or not weak.is_sane(rest[:size]):
            return _NO
        run.append(rest[:size])
        alike = alike and (len(run) < 2 or weak.is_alike(run[-2], run[-1]))
    return size


def _fits_top_bits(size: int) -> Callable[[bytes], _Verdict]:
    """A frame whose first byte alone has its top bit set."""

    def fits(data: bytes) -> _Verdict:
        if (data and data[0] < 0x80) or any(byte >= 0x80 for byte in data[1:size]):
            return _NO
        return size if len(data) >= size else _MORE

    return fits


def _fits_format_2(data: bytes) -> _Verdict:
    if data[:1] not in (b"", b"\x01") or (len(data) > 1 and data[1] < 0x80) or (len(data) > 3 and data[3] >= 0x80):
        return _NO
    return _checked(data)


def _fits_format_7(data: bytes) -> _Verdict:
    if (data and data[0] < 0x80) or (len(data) > 3 and data[3] >= 0x80):
        return _NO
    return _checked(data)


def _checked(data: bytes) -> _Verdict:
    if len(data) < 5:
        return _MORE
    return 5 if sum(data[:4]) & 0xFF == data[4] else Why.CHECKSUM


def _fits_format_13(data: bytes) -> _Verdict:
    if not _SPOT_HEADER.startswith(data[:4]):
        return _NO
    if len(data) < 6:
        return _MORE
    size = int.from_bytes(data[4:6], "big")
    if size not in SPOT_DATA_BYTES:
        return Why.BAD_FIELD
    if len(data) < size + 8:
        return _MORE
    if sum(data[6 : 6 + size]) & 0xFF != data[6 + size]:
        return Why.CHECKSUM
    return size + 8 if data[7 + size] == 0x03 else Why.BAD_FIELD


def _fits_control(data: bytes) -> _Verdict:
    if data[0] != 0x02 or (len(data) > 1 and data[1] not in _CONTROL_DATA_BYTES):
        return _NO
    if len(data) < 3:
        return _MORE
    operation, size = data[1], data[2]
    if size not in _CONTROL_DATA_BYTES[operation]:
        return _NO
    if len(data) < size + 4:
        return _MORE
    if data[size + 3] != 0x03:
        return _NO
    is_summed = operation == 0xF4 or (operation, size) == (0x70, 4)
    if is_summed and _control_sum(operation, data[3 : 2 + size]) != data[2 + size]:
        return Why.CHECKSUM
    return size + 4


def _control_sum(operation: int, data: bytes) -> int:
    """The sum of the data, and in a command of the operation and length before them."""
    return (sum(data) + (operation + 4 if operation == 0x70 else 0)) & 0xFF


def _fits_reply(data: bytes) -> _Verdict:
    return 1 if data[0] in (0x06, 0x15) else _NO


def _is_sane_second(raw: bytes) -> bool:
    spo2, pulse = raw[2], slow_pulse(raw)
    return spo2 in (*range(SPO2_MAX + 1), NO_SPO2) and (pulse in PULSE_RANGE or pulse == NO_PULSE)


def _is_alike_second(one: bytes, other: bytes) -> bool:
    if NO_SPO2 in (one[2], other[2]) or NO_PULSE in (slow_pulse(one), slow_pulse(other)):
        return True
    return abs(one[2] - other[2]) <= _ALIKE_SPO2 and abs(slow_pulse(one) - slow_pulse(other)) <= _ALIKE_PULSE


_CONTROLS = (_Shape(_fits_control, control), _Shape(_fits_reply, control, needs_clean=True))
_SHAPES: dict[str, tuple[_Shape, ...]] = {
    "13": (_Shape(_fits_format_13, spot_check),),
    "2": (_Shape(_fits_format_2, sample),),
    "7": (_Shape(_fits_format_7, sample, _Weak(proof=2, lone=1, lone_fresh=1)),),
    "8": (_Shape(_fits_top_bits(4), second, _Weak(3, 2, 1, _is_sane_second, _is_alike_second)),),
    "1": (_Shape(_fits_top_bits(3), second, _Weak(4, 3, 2, _is_sane_second, _is_alike_second)),),
}
_AUTO = tuple(shape for shapes in _SHAPES.values() for shape in shapes)
