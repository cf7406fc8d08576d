"""One session with whatever meter is put on Abbott's cable: its memory is read whole, and what is new is sent.

Until a meter answers, the line is tried in turn with `$colq`, which Optium and Precision Xtra answer and then give
their memory to `$xmem`, and with `mem`, the one command of the Lite, which gives all at once. While a Precision Xtra
stays on the cable it is asked no more than `$colq`; a Lite, which has no lesser question, is read again every
`reread_s`. A memory whose sum is wrong is asked for again; nothing is sent of it. No source says in which order the
records come.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from devicebridge.sdk import ByteLink, DeviceClock, DeviceIdentity, Frame, MemoryOptions, Outlet
from devicebridge.sdk.interview import Interview
from devicebridge.sdk.memory import send_whole

from .codec import Line, Memory, codec

ANSWER_S = 2.0  # glucometerutils waits 1 s; the memory, of up to 16 s (tidepool), comes without so long a pause
TRIES = 2  # "the first command sent by the host is sometimes ignored" (freestyle-optium.md)
_XTRA, _LITE = "Precision Xtra", "FreeStyle Lite"  # the family: no meter says its model
_INFORMATION, _XTRA_MEMORY, _LITE_MEMORY = b"$colq\r\n", b"$xmem\r\n", b"mem"


class FreestyleOptions(MemoryOptions):
    """Which family is on the cable, what is read on the first meeting, and how often the cable is tried."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    family: Literal["auto", "lite", "precision"] = "auto"
    """FreeStyle Lite and Freedom Lite; Optium and Precision Xtra; or whichever answers."""
    poll_s: float = Field(default=5, ge=1, le=600)
    """How often the cable is asked whether a meter is there: more often than a test takes, lest it go unnoticed."""
    reread_s: float = Field(default=60, ge=5, le=3600)
    """How often a Lite that stays on the cable is read again."""


async def session(link: ByteLink, outlet: Outlet, options: FreestyleOptions) -> None:
    """Until the link ends."""
    interview = Interview(link, codec(), outlet)
    is_read = False  # the meter on the cable is a Precision Xtra that was read
    while True:
        pause_s = options.poll_s
        if options.family != "lite" and await _is_precision(interview):
            is_read = is_read or await _read(interview, outlet, options, _XTRA_MEMORY, _XTRA)
        else:
            is_read = False
            if options.family != "precision" and await _read(interview, outlet, options, _LITE_MEMORY, _LITE):
                pause_s = options.reread_s
        await interview.rest(pause_s)


async def _is_precision(interview: Interview) -> bool:
    for _ in range(TRIES):
        if await interview.ask(_INFORMATION, _information, ANSWER_S):
            return True
    return False


async def _read(interview: Interview, outlet: Outlet, options: FreestyleOptions, question: bytes, model: str) -> bool:
    """Whether a memory came, and whole."""
    for _ in range(TRIES):
        memory = await interview.ask(question, lambda frame: frame if isinstance(frame, Memory) else None, ANSWER_S)
        if memory is not None:
            await _send(memory, outlet, options, model)
            return True
    return False


async def _send(memory: Memory, outlet: Outlet, options: FreestyleOptions, model: str) -> None:
    identity = DeviceIdentity(manufacturer="Abbott", model=model, serial=memory.serial, firmware=memory.version)
    outlet.note(identity)
    if memory.time:
        outlet.note(DeviceClock(memory.time))
    await send_whole(outlet, memory.serial, memory.group, memory.time, options)


def _information(frame: Frame) -> bool | None:
    """The last line of the answer to `$colq`, so that all of it has come."""
    return (isinstance(frame, Line) and frame.name == "done") or None
