"""A meter is asked for its memory over a serial line: one question at a time, answers of one frame or of many.

A line keeps the order of its bytes. What had arrived before a question is never its answer, and a driver asks so that
two questions in a row have answers of different shapes: then neither a late nor a repeated answer is taken for the
next one. Who gets no answer begins anew with another question than the one that was left without.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from .codec import Codec, Frame, Noise
from .links import ByteLink, UnexpectedDevice
from .outlet import Outlet

T = TypeVar("T")

STRANGER_BYTES = 512
"""So much noise without an answer or a silence is no meter being plugged in: something else is on the line."""

ANSWER_MAX_BYTES = 65_536
"""Four times the longest answer there is, a meter's whole memory."""


class Interview:
    """The host's side. Noise is noted; every frame is shown to the question that is being asked, and then forgotten."""

    def __init__(self, link: ByteLink, codec: Codec, outlet: Outlet) -> None:
        self._link = link
        self._codec = codec
        self._outlet = outlet
        self._arrived: deque[Frame] = deque()
        self._strange_bytes = 0

    async def ask(self, question: bytes, answer: Callable[[Frame], T | None], silence_s: float) -> T | None:
        """What `answer` makes of the first frame it does not refuse with None; None after `silence_s` without a byte.

        Raises UnexpectedDevice where what comes is not this protocol.
        """
        self._arrived.clear()
        await self._link.write(question)
        return await self.hear(answer, silence_s)

    async def tell(self, message: bytes) -> None:
        """Says what needs no answer, and forgets nothing."""
        await self._link.write(message)

    async def hear(self, answer: Callable[[Frame], T | None], silence_s: float) -> T | None:
        """As `ask`, without a question: the next part of an answer."""
        heard_bytes = 0
        while True:
            while self._arrived:
                if (found := answer(self._arrived.popleft())) is not None:
                    self._strange_bytes = 0
                    return found
            data = await self._read(silence_s)
            heard_bytes += len(data)
            if not data:
                self._strange_bytes = 0
                return None
            if heard_bytes > ANSWER_MAX_BYTES:
                raise UnexpectedDevice
            self._take(data)

    async def rest(self, seconds: float) -> None:
        """Asks nothing until the line has been silent for so long; what is said meanwhile is nobody's answer."""
        await self.hear(lambda _: None, seconds)

    async def _read(self, silence_s: float) -> bytes:
        try:
            async with asyncio.timeout(silence_s):
                return await self._link.read()
        except TimeoutError:
            return b""

    def _take(self, data: bytes) -> None:
        for item in self._codec.feed(data):
            if isinstance(item, Noise):
                self._outlet.note(item)
                self._strange_bytes += len(item.raw)
            else:
                self._arrived.append(item)
        if self._strange_bytes > STRANGER_BYTES:
            raise UnexpectedDevice
