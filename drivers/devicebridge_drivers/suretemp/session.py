"""One session with a SureTemp Plus module: each use of the probe becomes one reading.

The record is asked for again and again. A use begins when the probe is out and active, and is a reading when the
module first says that it has concluded: final (6, 7), out of its range (8 to 11), or an error (20). Whatever it says
then is nothing new until it warms up or predicts again, except that a final temperature may follow a failure. What has
already concluded when the session begins, when the probe was in its well a moment ago, or after a request without an
answer, is a reading if the probe is out and it is not the one read last.

Published in Cel with two decimals, as the core converts Kelvin. Hosts with a display round to tenths of either scale;
the hundredth lets a chart in Fahrenheit round as they do (36.95 Cel is 98.5 [degF], but 37.0 is 98.6).

Monitor mode (12) never concludes: its temperature is right only after minutes in place (three by mouth, five under the
arm), which the module does not time; no reading is made of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto

from pydantic import ConfigDict, Field

from devicebridge.sdk import (
    ByteLink,
    DeviceIdentity,
    Frame,
    InProgress,
    Observation,
    Options,
    Outlet,
    UnexpectedDevice,
)
from devicebridge.sdk.interview import Interview

from .codec import CONCLUDED, FINAL, Command, Packet, Record, SerialNumber, State, Type, codec

_GET_SERIAL_NUMBER = bytes.fromhex("030210290001010000c0")  # p. 57
_GET_RECORD = bytes.fromhex("030210941c0100003a")  # p. 63
_KEY = "last"  # where the final temperature read last is remembered
_REFUSALS_MAX = 3
_BEGINNING = frozenset({State.NOT_READY, State.READY, State.PREDICT, State.PREDICT_DISPLAY})  # of the next use


class SureTempOptions(Options):
    """How the module is asked."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    poll_s: float = Field(default=0.25, ge=0, le=2)
    """How many seconds lie between two requests. A final temperature stands for seconds; the record changes every
    0.173 s."""
    reply_timeout_s: float = Field(default=1, gt=0, le=30)
    """How many seconds the module has to answer."""


async def session(link: ByteLink, outlet: Outlet, options: SureTempOptions) -> None:
    """Asks until the link ends."""
    interview, timeout_s = Interview(link, codec(), outlet), options.reply_timeout_s
    answer = await interview.ask(_GET_SERIAL_NUMBER, _answer_to(Command.SERIAL_NUMBER), timeout_s)
    serial = answer.serial if isinstance(answer, SerialNumber) else None
    outlet.note(DeviceIdentity(manufacturer="Welch Allyn", model="SureTemp Plus module", serial=serial))
    act, refusals = _Act(await outlet.recall(_KEY)), 0
    while True:
        answer = await interview.ask(_GET_RECORD, _answer_to(Command.TEMPERATURE), timeout_s)
        if isinstance(answer, Record):
            refusals = 0
            await _report(outlet, act, answer)
        elif answer is None:
            act.missed()
            await interview.rest(timeout_s)  # so that a late answer is not taken for the next
        else:
            refusals += 1
            if refusals == _REFUSALS_MAX:
                raise UnexpectedDevice
        await asyncio.sleep(options.poll_s)


async def _report(outlet: Outlet, act: _Act, record: Record) -> None:
    found = act.next(record)
    if isinstance(found, InProgress):
        outlet.note(found)
    elif found is not None:
        await outlet.emit(found)
        await outlet.remember(_KEY, _mark(record))


class _State(Enum):
    UNKNOWN = auto()  # nothing heard yet
    IDLE = auto()  # the probe is in its well
    MEASURING = auto()
    CONCLUDED = auto()  # with a temperature: read; the probe has not been back yet
    FAILED = auto()  # without one


_OVER = (_State.CONCLUDED, _State.FAILED)


class _Act:
    """One use of the probe after another. last: `_mark` of the record read last, in this session or before it."""

    def __init__(self, last: str | None) -> None:
        self._last = last
        self._state = _State.UNKNOWN

    def missed(self) -> None:
        """No answer: the probe may have been back and out again meanwhile."""
        if self._state in _OVER:
            self._state = _State.UNKNOWN

    def next(self, record: Record) -> Observation | InProgress | None:
        """The reading, when this record concludes a use; InProgress with the first record of a use."""
        was = self._state
        if record.state in CONCLUDED:
            self._state = _State.CONCLUDED if record.state in FINAL or was is _State.CONCLUDED else _State.FAILED
            return self._concluded(was, record)
        if not record.is_active or record.state is State.IDLE:
            self._state = _State.IDLE
            return None
        if was in _OVER and record.state not in _BEGINNING:
            return None
        self._state = _State.MEASURING
        return None if was is _State.MEASURING else InProgress()

    def _concluded(self, was: _State, record: Record) -> Observation | None:
        is_unread = record.is_active and _mark(record) != self._last
        may_be_new = was in (_State.UNKNOWN, _State.IDLE) or (was is _State.FAILED and record.state in FINAL)
        if was is not _State.MEASURING and not (is_unread and may_be_new):
            return None
        self._last = _mark(record)
        return record.group[0]


def _mark(record: Record) -> str:
    """State, however the probe is placed, and the float's own bits: no two people's temperatures agree in them all."""
    return f"{record.state.value & ~1 if record.state else '?'}/{record.data[:4].hex()}"


def _answer_to(command: Command) -> Callable[[Frame], Packet | None]:
    def accept(frame: Frame) -> Packet | None:
        is_answer = isinstance(frame, Packet) and frame.command == command and frame.packet_type is not Type.COMMAND
        return frame if is_answer and isinstance(frame, Packet) else None

    return accept
