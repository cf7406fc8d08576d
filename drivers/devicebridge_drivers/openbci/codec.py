"""The frames of an OpenBCI Cyton: docs.openbci.com, "Cyton Data Format", binary format.

33 bytes: 0xA0; the sample number, counting from 0 to 255 and again; eight channels of 24 bits, signed, big-endian; six
bytes of auxiliary data; 0xC0 to 0xCF. There is no checksum, so after noise a frame is believed only where the next one
follows it. What the board says in words ends with "$$$".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from devicebridge.sdk import Frame, Noise, Wave, WaveFormat, Why
from devicebridge.sdk.framer import Framer

FRAME_BYTES = 33
CHANNELS, CHANNEL_BYTES = 8, 3
NUMBERS = 256
SPEECH_BYTES = 512  # the longest answer, to "?", comes in lines
START, ENDS = 0xA0, range(0xC0, 0xD0)
_END_OF_SPEECH = b"$$$"
_LETTERS = frozenset((*b"\t\r\n", *range(0x20, 0x7F)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Frame):
    """One sample of each channel. number: the board's own, 0 to 255. aux: as sent."""

    number: int
    counts: tuple[int, ...]
    aux: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech(Frame):
    """What the board says in words, as after a reset."""

    text: str


class CytonCodec:
    """A devicebridge Codec. `format_`: its leads are the first channels, in order.

    Samples are placed by the board's number; one that comes twice is counted once. More than 255 lost ones cannot be
    told from fewer: the session says where the stream was silent.
    """

    def __init__(self, format_: WaveFormat) -> None:
        self._format = format_
        self._framer = Framer(self._recognise, SPEECH_BYTES)
        self._is_in_step = True
        self._last: tuple[int, int] | None = None  # the last sample's number and index

    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        return self._framer.feed(data)

    def close(self) -> Sequence[Frame | Noise]:
        return self._framer.close()

    def _recognise(self, data: bytes, ended: bool) -> Frame | Why | None:
        found = self._speech(data) if data[0] in _LETTERS else self._sample(data, ended)
        if found is not None:
            self._is_in_step = isinstance(found, Frame)
        return found

    def _sample(self, data: bytes, ended: bool) -> Frame | Why | None:
        if data[0] != START:
            return Why.UNSYNCHRONISED
        if len(data) < FRAME_BYTES:
            return None
        if data[FRAME_BYTES - 1] not in ENDS:
            return Why.BAD_FIELD
        if not self._is_in_step and not ended:
            if len(data) == FRAME_BYTES:
                return None
            if data[FRAME_BYTES] != START:
                return Why.UNSYNCHRONISED
        return self._placed(data[:FRAME_BYTES])

    def _placed(self, raw: bytes) -> Sample:
        number = raw[1]
        counts = tuple(
            int.from_bytes(raw[at : at + CHANNEL_BYTES], "big", signed=True)
            for at in range(2, 2 + CHANNELS * CHANNEL_BYTES, CHANNEL_BYTES)
        )
        last_number, last_index = self._last or (number - 1, -1)
        ahead = (number - last_number) % NUMBERS
        index = last_index + ahead
        self._last = number, index
        row = counts[: len(self._format.leads)]
        wave = Wave(format=self._format, first_index=index, rows=(row,)) if ahead else None
        return Sample(raw=raw, wave=wave, number=number, counts=counts, aux=raw[-7:-1])

    def _speech(self, data: bytes) -> Speech | Why | None:
        end = data.find(_END_OF_SPEECH)
        said = data if end < 0 else data[: end + len(_END_OF_SPEECH)]
        if not _LETTERS.issuperset(said):
            return Why.UNSYNCHRONISED
        return None if end < 0 else Speech(raw=said, text=said.decode("ascii"))
