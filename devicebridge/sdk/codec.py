"""Codecs: bytes in, frozen values out. A codec knows no clock, no link and no log.

The contract, which the conformance suite tries on every installed driver:
it never raises on input; its buffer is bounded; a stream codec gives the same result however the bytes are cut;
every byte it was fed ends in exactly one Frame or one Noise (the rest by `close`); after noise it finds its
place again within one frame. A GATT codec is fed one whole characteristic value a call and answers with one item;
that of a characteristic which the driver lists in `streams`, whose values are pieces of one stream of bytes cut
anywhere, is a stream codec.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from .values import Observation
from .wave import Wave


class Why(StrEnum):
    """Why bytes were not understood."""

    UNSYNCHRONISED = "unsynchronised"
    CHECKSUM = "checksum"
    TOO_SHORT = "too-short"
    TOO_LONG = "too-long"
    BAD_FIELD = "bad-field"
    INCOMPLETE = "incomplete"
    UNKNOWN_CHARACTERISTIC = "unknown-characteristic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A recognised frame. Drivers subclass it with the fields they read.

    `group` is what can be said with this frame in hand: one clinical act, or nothing. `wave` is the samples in it.
    """

    raw: bytes
    group: tuple[Observation, ...] = ()
    wave: Wave | None = None


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that are no frame."""

    raw: bytes
    why: Why


class Codec(Protocol):
    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        """Takes what arrived, gives what is now complete."""
        ...

    def close(self) -> Sequence[Frame | Noise]:
        """The link has ended: gives what was still held back, as noise if it is no frame."""
        ...


class ValueCodec:
    """The codec of a characteristic: one whole value a call, one item back. decode: None for an unknown one."""

    def __init__(self, decode: Callable[[bytes], Frame | Noise] | None) -> None:
        self._decode = decode

    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        return (self._decode(data) if self._decode else Noise(data, Why.UNKNOWN_CHARACTERISTIC),)

    def close(self) -> Sequence[Frame | Noise]:
        return ()
