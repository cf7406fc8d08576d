"""The loop of a serial codec: frames one after the other, and what lies between them as noise in bounded pieces.

A driver gives the recogniser, a function of the bytes from one place on; where to look, how much to hold back, and
that the result does not depend on how the bytes are cut, is settled here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .codec import Frame, Noise, Why

NOISE_BYTES = 256
"""Noise is reported in pieces of this size at most."""

Recognise = Callable[[bytes, bool], Frame | Noise | Why | None]
"""recognise(data, ended): what begins with the first byte of `data`, which is never empty and never longer than
the longest frame. A Frame or a Noise of its own, whose `raw` is a beginning of `data`; why the first byte belongs to
no frame; or None where more bytes are needed to tell. `ended`: no more will come."""


class Framer:
    """A devicebridge Codec. longest_bytes: no frame is longer; so much is held back at most."""

    def __init__(self, recognise: Recognise, longest_bytes: int) -> None:
        self._recognise = recognise
        self._longest_bytes = longest_bytes
        self._rest = b""
        self._noise = bytearray()
        self._why = Why.UNSYNCHRONISED

    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        return self._drain(self._rest + data, ended=False)

    def close(self) -> Sequence[Frame | Noise]:
        out = self._drain(self._rest, ended=True)
        self._flush(out)
        return out

    def _drain(self, data: bytes, *, ended: bool) -> list[Frame | Noise]:
        out: list[Frame | Noise] = []
        start = 0
        while start < len(data):
            window = data[start : start + self._longest_bytes]
            found = self._recognise(window, ended and start + len(window) == len(data))
            if found is None:
                if not ended and len(window) < self._longest_bytes:
                    break
                found = Why.INCOMPLETE if ended else Why.TOO_LONG
            if isinstance(found, Why):
                self._skip(out, data[start], found)
                start += 1
            else:
                self._flush(out)
                out.append(found)
                start += len(found.raw)
        self._rest = data[start:]
        return out

    def _skip(self, out: list[Frame | Noise], byte: int, why: Why) -> None:
        if len(self._noise) >= NOISE_BYTES or (self._why is Why.UNSYNCHRONISED and why is not self._why):
            self._flush(out)
        if not self._noise:
            self._why = why
        self._noise.append(byte)

    def _flush(self, out: list[Frame | Noise]) -> None:
        if self._noise:
            out.append(Noise(bytes(self._noise), self._why))
            self._noise.clear()
