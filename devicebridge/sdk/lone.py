"""A record without its frame, as manuals and other projects quote them: for reading bytes offline, not off a link."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .codec import Codec, Frame, Noise

Items = Sequence[Frame | Noise]


class Lone:
    """A stream codec that reads a stream which is nothing but one bare record, and any other as `codec` does.

    head_bytes, begins: how many bytes tell whether a frame begins there. read: what the bytes are if they are all
    there is; None for no record. Bytes that begin no frame are held back, up to longest_bytes, until the end.
    """

    def __init__(
        self,
        codec: Codec,
        *,
        head_bytes: int,
        begins: Callable[[bytes], bool],
        read: Callable[[bytes], Items | None],
        longest_bytes: int,
    ) -> None:
        self._codec = codec
        self._head_bytes = head_bytes
        self._begins = begins
        self._read = read
        self._longest_bytes = longest_bytes
        self._held: bytes | None = b""  # None once it is known for a stream of frames

    def feed(self, data: bytes, /) -> Items:
        if self._held is None:
            return self._codec.feed(data)
        self._held += data
        if len(self._held) < self._head_bytes or not self._is_stream(self._held):
            return ()
        held, self._held = self._held, None
        return self._codec.feed(held)

    def close(self) -> Items:
        held, self._held = self._held, None
        if not held:
            return self._codec.close()
        found = self._read(held)
        return found if found is not None else (*self._codec.feed(held), *self._codec.close())

    def _is_stream(self, held: bytes) -> bool:
        return len(held) > self._longest_bytes or self._begins(held[: self._head_bytes])
