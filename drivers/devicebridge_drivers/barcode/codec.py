"""Finds scanned codes in a stream of bytes.

A code is a line of printable ASCII that ends in CR, LF or CR LF; or what the Spot Vital Signs LXi asks of its scanner:
STX SOH DC2, 0 to 20 printable characters, CR LF (Service Manual p. 39, where longer ones are invalid). There is no
sum, so that a line with anything else in it is refused whole.

A code may be a person's number. It is in a frame's `text` and `raw`, which are not shown where a frame is printed or
logged; `devicebridge decode`, with which an operator looks into bytes of their own, prints the fields of a frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from devicebridge.sdk import Frame, Noise, Why

TEXT_MAX_CHARS = 128  # a wristband or a visit slip has 20 or 30; the longest linear code in use (GS1-128) has 48
LXI_MAX_CHARS = 20
_LXI_PREFIX = b"\x02\x01\x12"
_HELD_MAX_BYTES = len(_LXI_PREFIX) + TEXT_MAX_CHARS
_STX, _CR, _LF = 0x02, 0x0D, 0x0A
_STOP = re.compile(rb"[\r\n]|(?<!^)\x02")
_PRINTABLE = re.compile(rb"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Code(Frame):
    """One scan. is_lxi: in the frame of the LXi. text may be empty; it and raw are not shown."""

    raw: bytes = field(repr=False)
    text: str = field(repr=False)
    length: int
    is_lxi: bool


class Codec:
    """A devicebridge Codec. `is_waiting`: bytes are held back for those that should follow at once."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._is_overlong = False  # passing over the rest of a line that is too long

    @property
    def is_waiting(self) -> bool:
        return bool(self._buffer) or self._is_overlong

    @property
    def is_ended(self) -> bool:
        """Whether what is held back is a whole line, but for the LF that some scanners add."""
        return self._buffer.endswith(b"\r")

    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        out: list[Frame | Noise] = []
        for start in range(0, len(data), _HELD_MAX_BYTES):
            self._buffer += data[start : start + _HELD_MAX_BYTES]
            out += self._drain(ended=False)
        return out

    def close(self) -> Sequence[Frame | Noise]:
        """Ends the line where it is: without CR or LF it is half a code, and none."""
        out = list(self._drain(ended=True))
        self._is_overlong = False
        return out

    def _drain(self, *, ended: bool) -> Iterator[Frame | Noise]:
        while self._buffer:
            stop = _STOP.search(self._buffer)
            at = len(self._buffer) if stop is None else stop.start()
            if at > _HELD_MAX_BYTES:
                size: int | None = _HELD_MAX_BYTES + 1
            elif stop is None or self._buffer[at] == _STX:
                size = at if stop or ended else None
            else:
                size = self._line_size(at, ended=ended)
            if size is None:
                return
            raw = bytes(self._buffer[:size])
            del self._buffer[:size]
            yield self._item(raw, at)

    def _line_size(self, at: int, *, ended: bool) -> int | None:
        """The line with its end; None where an LF may still follow the CR."""
        if self._buffer[at] == _LF:
            return at + 1
        if len(self._buffer) == at + 1:
            return at + 1 if ended else None
        return at + 2 if self._buffer[at + 1] == _LF else at + 1

    def _item(self, raw: bytes, at: int) -> Frame | Noise:
        """A line with its end, or what there is of one."""
        is_ended = at < len(raw)
        was_overlong = self._is_overlong and raw[0] != _STX
        self._is_overlong = not is_ended and len(raw) > _HELD_MAX_BYTES
        if was_overlong or self._is_overlong:
            return Noise(raw, Why.TOO_LONG)
        if not is_ended:
            return Noise(raw, Why.INCOMPLETE)
        is_lxi = raw.startswith(_LXI_PREFIX)
        text = raw[len(_LXI_PREFIX) : at] if is_lxi else raw[:at]
        if not _PRINTABLE.fullmatch(text):
            return Noise(raw, Why.BAD_FIELD)
        if not text and not is_lxi:
            return Noise(raw, Why.UNSYNCHRONISED)
        if len(text) > (LXI_MAX_CHARS if is_lxi else TEXT_MAX_CHARS):
            return Noise(raw, Why.TOO_LONG)
        return Code(raw=raw, text=text.decode("ascii"), length=len(text), is_lxi=is_lxi)
