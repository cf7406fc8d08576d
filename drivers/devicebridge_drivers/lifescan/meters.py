"""The families of meters, as what can be asked of them. None is the answer of a meter that gave none in time."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from devicebridge.sdk import Frame, LinkLost, Loss
from devicebridge.sdk.interview import Interview

from .codec import ACKNOWLEDGES, DISCONNECTS, ULTRAMINI, VERIO, Packet, encode, time_of

RADIO_ANSWER_S = 2.0  # tidepool-org/uploader, oneTouchVerioBLE.js
ANSWER_S = 1.0  # tidepool-org/uploader; the traces show answers within 0.7 s
_NOT_ALLOWED = 0x07  # xDrip, VerioHelper.java: "check pairing"; 8 not supported, 9 not understood; none is "no record"
_COUNT_RECORD = 501  # no UltraMini has it: the answer is how many there are (tidepool, oneTouchUltraMini.js)


class Meter(Protocol):
    async def clock(self) -> datetime | None: ...

    async def count(self) -> int | None: ...

    async def record(self, index: int) -> Packet | None:
        """0 is the newest. What has no group is no record, and keeps its place; one that is refused may be one."""
        ...


class CabledMeter(Meter, Protocol):
    model: str

    async def serial(self) -> str | None: ...


class UltraMini:
    """Each message is acknowledged, and carries the last bit of the sender's count: so a repeated one is known."""

    model = "OneTouch UltraMini"

    def __init__(self, interview: Interview) -> None:
        self._interview = interview
        self._sent = 0
        self._expected = 0

    async def serial(self) -> str | None:
        """Begins the dialogue anew: both counts from zero."""
        self._sent = self._expected = 0
        done = await self._interview.ask(encode(DISCONNECTS), _disconnected, ANSWER_S)
        reply = await self._command(bytes.fromhex("050b0200000000846ae87300"), "text") if done else None
        return reply.text if reply else None

    async def clock(self) -> datetime | None:
        reply = await self._command(bytes.fromhex("05200200000000"), "clock", "number")
        return _clock(reply, ULTRAMINI)

    async def count(self) -> int | None:
        reply = await self._command(b"\x05\x1f" + _COUNT_RECORD.to_bytes(2, "little"), "count")
        return reply.number if reply else None

    async def record(self, index: int) -> Packet | None:
        return await self._command(b"\x05\x1f" + index.to_bytes(2, "little"), "record")

    async def _command(self, message: bytes, *names: str) -> Packet | None:
        interview = self._interview
        if await interview.ask(encode(self._link, message), _acknowledged, ANSWER_S) is None:
            return None
        self._sent ^= 1
        reply = await interview.hear(self._next, ANSWER_S)
        if reply is None:
            return None
        self._expected ^= 1
        await interview.tell(encode(self._link | ACKNOWLEDGES))
        return reply if reply.name in names else None

    @property
    def _link(self) -> int:
        return self._sent | self._expected << 1

    def _next(self, frame: Frame) -> Packet | None:
        """The message after the last one; a repeated one is passed over."""
        is_next = isinstance(frame, Packet) and bool(frame.message) and frame.sequence == self._expected
        return frame if is_next and isinstance(frame, Packet) and not frame.is_acknowledgement else None


class Verio:
    """Nothing says to which question a record is the answer: so after each the count is asked, which must be as before.

    Then all earlier answers have come, and no test has shifted the records meanwhile.
    """

    model = "OneTouch Verio IQ"

    def __init__(self, interview: Interview) -> None:
        self._interview = interview
        self._count: int | None = None

    async def serial(self) -> str | None:
        reply = await self._command(b"\x03\x0b\x01\x02", "text")
        return reply.text if reply else None

    async def clock(self) -> datetime | None:
        reply = await self._command(b"\x03\x20\x02", "clock", "number")
        return _clock(reply, VERIO[0])

    async def count(self) -> int | None:
        reply = await self._command(b"\x03\x27\x00", "count")
        self._count = reply.number if reply else None
        return self._count

    async def record(self, index: int) -> Packet | None:
        before = self._count
        reply = await self._command(b"\x03\x21" + index.to_bytes(2, "little"), "record")
        return reply if reply and await self.count() == before else None

    async def _command(self, message: bytes, *names: str) -> Packet | None:
        def answer(frame: Frame) -> Packet | None:
            return frame if isinstance(frame, Packet) and frame.name in names else None

        return await self._interview.ask(encode(0, message), answer, ANSWER_S)


class VerioOverRadio:
    """Its records are known by their numbers, of which the newest has that of all tests made so far (tidepool-org/
    uploader, oneTouchVerioBLE.js); else as Verio."""

    def __init__(self, interview: Interview) -> None:
        self._interview = interview
        self._count: int | None = None
        self._newest = 0

    async def clock(self) -> datetime | None:
        return _clock(await self._command(b"\x03\x20\x02", "clock", "number"), VERIO[0])

    async def count(self) -> int | None:
        self._count = await self._stored()
        reply = await self._command(b"\x03\x0a\x02\x06", "number")
        self._newest = reply.number or 0 if reply else 0
        return self._count if reply else None

    async def record(self, index: int) -> Packet | None:
        number = (self._newest - index) & 0xFFFF
        question = b"\x03\xb3" + number.to_bytes(2, "little")
        reply = await self._command(question, "record", "ok", "refused")
        return reply if reply and await self._stored() == self._count else None

    async def _stored(self) -> int | None:
        reply = await self._command(b"\x03\x27\x00", "count")
        return reply.number if reply else None

    async def _command(self, message: bytes, *names: str) -> Packet | None:
        """Raises LinkLost where the meter says that it must be bonded first."""

        def answer(frame: Frame) -> Packet | None:
            if isinstance(frame, Packet) and frame.name == "refused" and frame.number == _NOT_ALLOWED:
                raise LinkLost(Loss.BOND_REQUIRED)
            return frame if isinstance(frame, Packet) and frame.name in names else None

        return await self._interview.ask(encode(0, message), answer, RADIO_ANSWER_S)


def _clock(reply: Packet | None, family: int) -> datetime | None:
    """A clock that was never set counts from the epoch: then its time looks like a small number."""
    if reply is None:
        return None
    return reply.time or time_of(family, reply.number or 0)


def _acknowledged(frame: Frame) -> bool | None:
    return (isinstance(frame, Packet) and frame.name == "acknowledge") or None


def _disconnected(frame: Frame) -> bool | None:
    return (isinstance(frame, Packet) and frame.name == "disconnected") or None
