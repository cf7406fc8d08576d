"""One session with whatever OneTouch Ultra is put on the cable: its memory is read each time it is connected.

While nothing answers the cable is asked for a serial number again and again. When a meter answers, its clock and then
its whole memory is read (it can only be had whole, newest first), and what is new is sent, oldest first. A line whose
sum is wrong spoils nothing but itself: the others are sent, and the memory counts as unread, so that it is read again
at the next connection. A connected meter cannot measure; it is read again when it has been away.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ConfigDict, Field

from devicebridge.sdk import ByteLink, DeviceClock, DeviceIdentity, Frame, MemoryOptions, Outlet, UnexpectedDevice
from devicebridge.sdk.interview import Interview
from devicebridge.sdk.memory import Download

from .codec import Line, Record, codec

ANSWER_S = 2.0  # tidepool-org/uploader waits so long; the trace shows answers after 0.1 to 1 s
_SERIAL, _CLOCK, _MEMORY = b"\x11\rDM@", b"\x11\rDMF", b"\x11\rDMP"
_MODELS = {"Y": "OneTouch Ultra2", "T": "OneTouch Ultra"}  # by the last character of the serial number


class UltraOptions(MemoryOptions):
    """What is read on the first meeting, and how often the cable is tried."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    poll_s: float = Field(default=5, ge=1, le=600)
    """How often the cable is asked whether a meter is there: more often than a test takes, lest it go unnoticed."""


async def session(link: ByteLink, outlet: Outlet, options: UltraOptions) -> None:
    """Until the link ends."""
    interview = Interview(link, codec(), outlet)
    read: str | None = None  # the meter that is on the cable and was read
    while True:
        answer = await interview.ask(_SERIAL, _named("serial"), ANSWER_S)
        if answer is None or answer.serial is None:
            read = None
        elif answer.serial != read:
            read = answer.serial if await _read(interview, outlet, options, answer.serial) else None
        await interview.rest(options.poll_s)


async def _read(interview: Interview, outlet: Outlet, options: UltraOptions, serial: str) -> bool:
    """Whether the meter stayed until its memory was read."""
    outlet.note(DeviceIdentity(manufacturer="LifeScan", model=_MODELS.get(serial[-1]), serial=serial))
    clock = await interview.ask(_CLOCK, _named("clock"), ANSWER_S)
    if clock is None:
        return False
    if clock.time:
        outlet.note(DeviceClock(clock.time))
    header = await interview.ask(_MEMORY, _named("count"), ANSWER_S)
    if header is None:
        return False
    if header.serial != serial:
        raise UnexpectedDevice
    count = header.count or 0
    records = await _records(interview, count)
    await _send(await Download.begin(outlet, serial, clock.time, options), records, is_whole=len(records) == count)
    return True


async def _records(interview: Interview, count: int) -> list[Record]:
    """Newest first; fewer than `count` where lines were spoilt."""
    records: list[Record] = []
    while len(records) < count:
        record = await interview.hear(lambda frame: frame if isinstance(frame, Record) else None, ANSWER_S)
        if record is None:
            break
        records.append(record)
    return records


async def _send(download: Download, records: list[Record], *, is_whole: bool) -> None:
    for record in records:
        if record.group and not download.take(record.group[0]):
            break
    await download.finish(is_whole=is_whole)


def _named(name: str) -> Callable[[Frame], Line | None]:
    return lambda frame: frame if isinstance(frame, Line) and frame.name == name else None
