"""A BP2: its results, out of its memory, which is only read.

The memory is a file, and the cuff gives it once a connection (github.com/chalimov/viatom_bp2_ha, coordinator.py). So it
is read when the cuff is at rest or shows a result; after a further measurement the link is given up, to be made anew.
What the cuff shows while the file is read was measured just now: it is sent as such, and all else as stored. If the
memory does not tell which record that is (see ring.py), all that it may be are sent as stored. The records' times are
of a zone that the cuff does not tell, so no clock is noted, and on the first meeting with `first_download` "recent"
only the newest record counts. A result that is still shown when the link is made anew is known by its record. While the
cuff works its values are progress.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn, TypeVar

from devicebridge.sdk import Frame, InProgress, LinkLost, Loss, MemoryOptions, Origin, Outlet, Skipped
from devicebridge.sdk.interview import Interview

from . import pressure
from .answers import Answer, FileOpened, FilePart, Info, State
from .codec import BUSY, SHOWS_RESULT
from .frames import CuffAsk, ask_lepu
from .ring import Ring, recall, remember

F = TypeVar("F", bound=Frame)

INFO = CuffAsk.INFO
FIRST = 1
ANSWER_S = 3.0
"""For a part of the file at the slowest connection."""
POLL_S = 2.0
"""How often the cuff is asked what it is doing; its screen does not show that it is."""
FILE_MAX_BYTES = 65_536
"""More than the thousand records that no model keeps."""
_FILE = b"bp2nibp.list".ljust(20, b"\0")


async def run(interview: Interview, outlet: Outlet, options: MemoryOptions, info: Info) -> NoReturn:
    """Until LinkLost."""
    await _Cuff(interview, outlet).run(options, info.serial or "records")


class _Cuff:
    def __init__(self, interview: Interview, outlet: Outlet) -> None:
        self._interview = interview
        self._outlet = outlet
        self._number = FIRST

    async def run(self, options: MemoryOptions, key: str) -> NoReturn:
        was_busy, state = await self._until_at_rest()
        records = await self._read()
        memory = Ring(records, await recall(self._outlet, key))
        await self._send(memory, is_fresh=was_busy or state in SHOWS_RESULT, wants=options.first_download)
        await remember(self._outlet, key, records)
        while True:
            was_busy, _ = await self._until_at_rest()
            if was_busy:
                raise LinkLost(Loss.DISCONNECTED)  # by us
            await asyncio.sleep(POLL_S)

    async def _until_at_rest(self) -> tuple[bool, int]:
        """Whether the cuff was at work meanwhile, and its state now."""
        was_busy = False
        while (state := (await self._ask(CuffAsk.STATE, State)).state) in BUSY:
            if not was_busy:
                self._outlet.note(InProgress())
            was_busy = True
            await asyncio.sleep(POLL_S)
        return was_busy, state

    async def _read(self) -> list[bytes]:
        """The records, as they lie in the file."""
        size = (await self._ask(CuffAsk.FILE_OPEN, FileOpened, _FILE)).size
        if size > FILE_MAX_BYTES:
            raise LinkLost(Loss.UNEXPECTED_DATA)
        data = b""
        while len(data) < size:
            part = (await self._ask(CuffAsk.FILE_READ, FilePart, len(data).to_bytes(4, "little"))).data
            if not part:
                raise LinkLost(Loss.FAILED)
            data += part
        await self._ask(CuffAsk.FILE_CLOSE, Answer)
        if len(data) != size or not pressure.is_file(data):
            raise LinkLost(Loss.UNEXPECTED_DATA)
        return list(pressure.records(data))

    async def _send(self, memory: Ring, *, is_fresh: bool, wants: str) -> None:
        """At a first meeting only what is wanted; what is shown always is."""
        shown = memory.newest if is_fresh and len(memory.newest) == 1 else ()
        wants_newest = is_fresh or wants == "recent"
        for record in memory.new():
            observation = pressure.observe_record(record)
            if record in shown:
                await self._outlet.emit(replace(observation, origin=Origin.LIVE))
            elif not memory.is_first or wants == "all" or (wants_newest and record in memory.newest):
                await self._outlet.emit(observation)
            else:
                self._outlet.note(Skipped())

    async def _ask(self, ask: CuffAsk, kind: type[F], data: bytes = b"") -> F:
        """Raises LinkLost where there is no answer, or a refusal."""
        self._number = self._number % 254 + 1
        question = ask_lepu(ask, self._number, data)
        found = await self._interview.ask(question, _answer(kind, self._number), ANSWER_S)
        if found is None:
            raise LinkLost(Loss.TIMEOUT)
        return found


def _answer(kind: type[F], number: int) -> Callable[[Frame], F | None]:
    return lambda frame: frame if isinstance(frame, kind) and getattr(frame, "seq", None) == number else None
