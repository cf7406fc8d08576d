"""One connection to a monitor: what it has measured since the last one, oldest first.

It is asked for its time and then for the whole memory of the user whom its switch has selected; what is new is sent
(see devicebridge.sdk.memory). While it measures it answers with the present cycle only, whose parts are no result:
it is asked again until it has put the result into its memory. Nothing is erased, no clock is set, no name is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from devicebridge.sdk import (
    DeviceClock,
    Frame,
    GattLink,
    LinkLost,
    Loss,
    MemoryOptions,
    Observation,
    Outlet,
    UnexpectedDevice,
)
from devicebridge.sdk.gatt_device import About, Arrivals, introduce
from devicebridge.sdk.gatt_line import GattLine
from devicebridge.sdk.interview import Interview
from devicebridge.sdk.memory import Download
from devicebridge.sdk.racp import memory_key

from .codec import HISTORY, NOTIFY, READ_TIME, WRITE, Clock, Codec, End, History, Record, encode

F = TypeVar("F", bound=Frame)

ANSWER_S = 2.0
"""Without a byte. The pieces of an answer follow one another at the interval of the connection."""
TRIES = 2
AGAIN_S = 3.0
"""How long a monitor that measures is left alone."""
_SELECTED_USER = bytes(6) + b"\xfd"  # github.com/joergmlpts/blood-pressure-monitor: CMD_GET_MEASUREMENTS


async def session(link: GattLink, outlet: Outlet, options: MemoryOptions) -> None:
    """Ends with LinkLost when the monitor hangs up."""
    if not (link.has(NOTIFY) and link.has(WRITE)):
        raise UnexpectedDevice
    arrivals = Arrivals(await link.subscribe(NOTIFY))
    try:
        about = await introduce(link, outlet)
        interview = Interview(GattLine(link, arrivals, WRITE), Codec(), outlet)
        await _Monitor(interview, outlet, about).download(options)
        while True:
            await interview.rest(ANSWER_S)
    finally:
        await arrivals.close()


class _Monitor:
    def __init__(self, interview: Interview, outlet: Outlet, about: About) -> None:
        self._interview = interview
        self._outlet = outlet
        self._about = about

    async def download(self, options: MemoryOptions) -> None:
        """Raises LinkLost where the monitor does not answer."""
        clock = await self._interview.ask(encode(READ_TIME), _frame_of(Clock), ANSWER_S)
        now = clock.now if clock is not None else None
        if now is not None:
            self._outlet.note(DeviceClock(now))
        history = await self._history()
        while history.is_measuring:
            await self._interview.rest(AGAIN_S)
            history = await self._history()
        records = await self._records()
        key = await memory_key(self._outlet, self._about.identity, f"/{history.user or 0}")
        download = await Download.begin(self._outlet, key, now or self._about.now, options)
        for record in reversed(records):
            if not download.take(record):
                break
        await download.finish()

    async def _history(self) -> History:
        """The head of the memory; its records have arrived with it."""
        for _ in range(TRIES):
            question = encode(HISTORY, _SELECTED_USER)
            if (found := await self._interview.ask(question, _frame_of(History), ANSWER_S)) is not None:
                return found
        raise LinkLost(Loss.TIMEOUT)

    async def _records(self) -> list[Observation]:
        """As they lie in the memory, the oldest first."""
        records: list[Observation] = []
        while True:
            item = await self._interview.hear(_record_or_end, ANSWER_S)
            if not isinstance(item, Record):
                return records
            records += item.group


def _record_or_end(frame: Frame) -> Record | End | None:
    return frame if isinstance(frame, Record | End) else None


def _frame_of(kind: type[F]) -> Callable[[Frame], F | None]:
    return lambda frame: frame if isinstance(frame, kind) else None
