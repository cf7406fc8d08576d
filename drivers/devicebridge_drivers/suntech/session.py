"""One session with a SunTech module: each new result becomes one reading.

The cuff pressure is asked for, and, while there is none in the cuff, the last result: `acts` says whether it is new.

The module measures when its host tells it to. This driver does so only with `start`, once when the session begins and
never twice within five minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, TypeVar

from pydantic import ConfigDict, Field

from devicebridge.sdk import (
    ByteLink,
    Frame,
    InProgress,
    Options,
    Outlet,
    UnexpectedDevice,
)
from devicebridge.sdk.cuff import may_start
from devicebridge.sdk.interview import Interview

from .acts import Results
from .codec import Acknowledgement, Reply, Result, Word, codec

T = TypeVar("T", bound=Frame)

_GET_PRESSURE = bytes.fromhex("3a79050048")  # this, the next and the first start: DesktopFX, NIBPRequest.java
_GET_RESULT = bytes.fromhex("3a7903004a")
_START = {"adult": bytes.fromhex("3a20a6"), "pediatric": bytes.fromhex("3a873f"), "neonate": bytes.fromhex("3a289e")}
_ABORT = bytes.fromhex("3a7901004c")
_KEY = "last"
_INFLATED_MMHG = range(15, 400)  # more than an empty cuff has, and no more than there can be
_UNDEFINED_MAX = 3
_REFUSALS = frozenset({Reply.BUSY, Reply.ERROR, Reply.NOT_DEFINED, Reply.NOT_RECOGNISED, Reply.ASLEEP, Reply.TIMEOUT})
_UNDEFINED = frozenset({Reply.NOT_DEFINED, Reply.NOT_RECOGNISED})


class SunTechOptions(Options):
    """How the module is asked, and whether it may be told to measure."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    start: Literal["never", "adult", "pediatric", "neonate"] = "never"
    """Inflates the cuff, for a patient of this size, once when the session begins. The module is never told to
    measure otherwise."""
    start_timeout_s: float = Field(default=180, gt=0, le=300)
    """How long a measurement that this driver has started may keep pressure in the cuff before it is aborted."""
    poll_s: float = Field(default=1, ge=0, le=10)
    """How many seconds lie between two requests."""
    reply_timeout_s: float = Field(default=2, gt=0, le=30)
    """How many seconds the module has to answer."""


async def session(link: ByteLink, outlet: Outlet, options: SunTechOptions) -> None:
    """Asks until the link ends."""
    module = _Module(Interview(link, codec(), outlet), options.reply_timeout_s)
    watch = _Watch(module, outlet, Results(await outlet.recall(_KEY)))
    await watch.look()  # what stands there before anything is started
    deadline_s = await _start(module, outlet, options)
    while True:
        await asyncio.sleep(options.poll_s)
        await watch.look()
        if deadline_s is not None and asyncio.get_running_loop().time() > deadline_s:
            deadline_s = None
            if watch.is_inflated:
                await module.ask(_ABORT, _acknowledgement)


async def _start(module: _Module, outlet: Outlet, options: SunTechOptions) -> float | None:
    """When what was started must be over; None where nothing was."""
    if options.start == "never" or not await may_start(outlet):
        return None
    await module.ask(_START[options.start], _acknowledgement)
    return asyncio.get_running_loop().time() + options.start_timeout_s


class _Watch:
    """Looks at the cuff, and, where there is no pressure in it, at the result."""

    def __init__(self, module: _Module, outlet: Outlet, results: Results) -> None:
        self._module = module
        self._outlet = outlet
        self._results = results
        self.is_inflated = False

    async def look(self) -> None:
        pressure = await self._module.ask(_GET_PRESSURE, _word)
        if pressure is not None:
            was_inflated, self.is_inflated = self.is_inflated, pressure.value in _INFLATED_MMHG
            if self.is_inflated and not was_inflated:
                self._outlet.note(InProgress())
            if self.is_inflated:
                self._results.inflated(pressure.value, asyncio.get_running_loop().time())
        if self.is_inflated:
            return
        result = await self._module.ask(_GET_RESULT, _result)
        if result is not None:
            await self._report(result)

    async def _report(self, result: Result) -> None:
        before = self._results.last
        observation = self._results.next(result)
        if observation is not None:
            await self._outlet.emit(observation)
        last = self._results.last
        if last is not None and last != before:
            await self._outlet.remember(_KEY, last)


class _Module:
    """Asks; raises UnexpectedDevice where what answers does not know the questions."""

    def __init__(self, interview: Interview, timeout_s: float) -> None:
        self._interview = interview
        self._timeout_s = timeout_s
        self._undefined = 0

    async def ask(self, request: bytes, accept: Callable[[Frame], T | None]) -> T | None:
        """None where there is no answer, or none but that the module is busy, asleep or in error."""

        def hear(frame: Frame) -> T | Reply | None:
            return _refusal(frame) or accept(frame)

        answer: T | Reply | None = await self._interview.ask(request, hear, self._timeout_s)
        if answer is None:
            await self._interview.rest(self._timeout_s)  # so that a late answer is not taken for the next
            return None
        if not isinstance(answer, Reply):
            self._undefined = 0
            return answer
        self._undefined += answer in _UNDEFINED
        if self._undefined == _UNDEFINED_MAX:
            raise UnexpectedDevice
        return None


def _refusal(frame: Frame) -> Reply | None:
    return frame.reply if isinstance(frame, Acknowledgement) and frame.reply in _REFUSALS else None


def _acknowledgement(frame: Frame) -> Acknowledgement | None:
    return frame if isinstance(frame, Acknowledgement) else None


def _word(frame: Frame) -> Word | None:
    return frame if isinstance(frame, Word) else None


def _result(frame: Frame) -> Result | None:
    return frame if isinstance(frame, Result) else None
