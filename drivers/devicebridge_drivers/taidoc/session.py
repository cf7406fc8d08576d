"""One session with a TaiDoc or FORA device: what is new in its memory is sent, and looked for again and again.

Every `poll_s` the device is asked for its model, serial number, time and number of records, and then for records from
the newest back to the last one that is known; what is new is sent, oldest first. A record is two questions, its time
and its value, so that no answer is taken for that to the question after it; a scale's record is one, after which the
number of records is asked for, which must be as before. A device that is off is silent. Nothing is started, set or
erased.

Over Bluetooth LE, where each question keeps the device from switching itself off, it is read once, and again only when
it announces (54) that it has measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import ConfigDict, Field

from devicebridge.sdk import (
    ByteLink,
    DeviceClock,
    DeviceIdentity,
    Frame,
    GattLink,
    LinkLost,
    Loss,
    MemoryOptions,
    Observation,
    Outlet,
    UnexpectedDevice,
)
from devicebridge.sdk.gatt_line import line
from devicebridge.sdk.interview import Interview
from devicebridge.sdk.memory import Download

from .codec import CHARACTERISTIC, Message, codec, encode
from .records import Measures, measures

ANSWER_S = 2.0  # tidepool-org/uploader, glucoRxDriver.js
TRIES = 2  # a device that is just waking announces itself (54) and forgets the question
RECORDS_MAX = 2_000  # no device is known to keep more than 1,000
LISTEN_S = 60.0  # a device that is not asked anything hangs up sooner

_CONNECT, _COMMUNICATING = 0x22, 0x54
_ONLY_USERS = {  # models that keep one user, but not as user 0
    "3128": 1,  # medical_ble_toolkit, FORA first-party protocol, 6.2
    "3280": 1,
    "4183": 1,  # fora6_connect, tests of its history probe
}


class TaidocOptions(MemoryOptions):
    """Whose memory is read, what of it on the first meeting, and how often."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    users: tuple[Annotated[int, Field(ge=0, le=4)], ...] = Field(default=(0,), min_length=1, max_length=5)
    """The users, 1 to 4, whose memories are read on a device that keeps several; 0 where it keeps one."""
    poll_s: float = Field(default=5, ge=1, le=600)
    """How often the device is asked for new records."""


async def session(link: ByteLink | GattLink, outlet: Outlet, options: TaidocOptions) -> None:
    """Until the link ends. Over Bluetooth LE raises LinkLost where the device falls silent."""
    if isinstance(link, GattLink):
        async with line(link, outlet, CHARACTERISTIC, CHARACTERISTIC) as (uart, _):
            await _over_radio(Interview(uart, codec(None), outlet), outlet, options)
    else:
        await _on_cable(Interview(link, codec(None), outlet), outlet, options)


async def _on_cable(interview: Interview, outlet: Outlet, options: TaidocOptions) -> None:
    device = _Device(interview, outlet)
    while True:
        await device.read(options)
        await interview.rest(options.poll_s)


async def _over_radio(interview: Interview, outlet: Outlet, options: TaidocOptions) -> None:
    device = _Device(interview, outlet)
    await interview.ask(encode(_CONNECT), _is(_CONNECT), ANSWER_S)
    while await device.read(options):
        while await interview.hear(_is(_COMMUNICATING), LISTEN_S) is None:
            pass
    raise LinkLost(Loss.TIMEOUT)


class _NoAnswer(Exception):
    """The device is off, or has fallen silent."""


class _Device:
    def __init__(self, interview: Interview, outlet: Outlet) -> None:
        self._interview = interview
        self._outlet = outlet
        self._identity: DeviceIdentity | None = None

    async def read(self, options: TaidocOptions) -> bool:
        """Sends what is new; nothing of a memory whose reading was broken off. False where it was."""
        try:
            model = (await self._ask(0x24)).model or ""
            if (what := measures(model)) is None:
                raise UnexpectedDevice
            serial = await self._serial(model)
            now = (await self._ask(0x23)).time
            if now:
                self._outlet.note(DeviceClock(now))
            for user in options.users:
                key = f"{serial}/{user}" if user else serial
                download = await Download.begin(self._outlet, key, now, options)
                await self._take(download, what, user or _ONLY_USERS.get(model, 0))
                await download.finish()
        except _NoAnswer:
            return False
        return True

    async def _serial(self, model: str) -> str:
        end = (await self._ask(0x27)).text or ""
        serial = ((await self._ask(0x28)).text or "") + end
        identity = DeviceIdentity(manufacturer="TaiDoc", model=f"TD-{model}", serial=serial)
        if identity != self._identity:
            self._identity = identity
            self._outlet.note(identity)
        return serial

    async def _take(self, download: Download, what: Measures, user: int) -> None:
        count = await self._count(user)
        for index in range(count):
            is_scale = what is Measures.WEIGHT
            record = await (self._weighing(index, user, count) if is_scale else self._record(index, user))
            if record is not None and not download.take(record):
                return

    async def _count(self, user: int) -> int:
        count = (await self._ask(0x2B, bytes((user, 0, 0, 0)))).count or 0
        if count > RECORDS_MAX:
            raise _NoAnswer
        return count

    async def _record(self, index: int, user: int) -> Observation | None:
        """None for a record that is no person's, as the temperature of a room."""
        which = index.to_bytes(2, "little") + bytes((0, user))
        await self._ask(0x25, which)
        value = await self._ask(0x26, which)
        return value.group[0] if value.group else None

    async def _weighing(self, index: int, user: int, count: int) -> Observation | None:
        question = bytes((0x51, 0x71, 2)) + index.to_bytes(2, "little") + b"\xa3"
        answer = await self._said(question + bytes((sum(question) & 0xFF,)), _is(0x71))
        if await self._count(user) != count:
            raise _NoAnswer
        return answer.group[0] if answer.group else None

    async def _ask(self, command: int, data: bytes = bytes(4)) -> Message:
        return await self._said(encode(command, data), _is(command))

    async def _said(self, question: bytes, answer: Callable[[Frame], Message | None]) -> Message:
        for _ in range(TRIES):
            if (found := await self._interview.ask(question, answer, ANSWER_S)) is not None:
                return found
        raise _NoAnswer


def _is(command: int) -> Callable[[Frame], Message | None]:
    def answer(frame: Frame) -> Message | None:
        is_answer = isinstance(frame, Message) and frame.is_from_meter and frame.command == command
        return frame if is_answer and isinstance(frame, Message) else None

    return answer
