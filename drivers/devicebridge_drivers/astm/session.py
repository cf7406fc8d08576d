"""The host's side of LIS1-A: takes what an instrument sends, and acknowledges what is stored.

The acknowledgement of the frame that completes a result is held until `emit` has returned, for STORE_WITHIN_S at the
most: the sender waits 15 s. Where the disk does not take the result in that time the frame is refused (NAK), and the
sender repeats it, up to six times. Then it ends the transfer and keeps the result, to send it again later: nothing
was acknowledged that is not on disk. Nor is anything acknowledged later than that: such a reply would be taken for
the answer to another frame. A result that is sent again is known by its time and value, or, where it has no time, by
its message and the time in that one's header; without either it counts twice.

A frame with a wrong sum, one out of order, and what looks like the ruins of one are refused as well; the last frame
once more (our ACK was lost) is acknowledged again. What comes without ENQ before it is left alone: of a transfer that
was under way before we listened, the records that say "control" may have been missed. The sender begins anew.

A meter of the Contour family sends its memory and keeps it whatever is acknowledged. Its frames are acknowledged at
once, and what is new among its records is stored when the last of them (L) has come. Those with USB send the oldest
record first; of those with a serial cable no source tells, so that both orders are taken.

Nothing but ACK and NAK is ever sent, unless the option `ask_meter` is on.
"""

from __future__ import annotations

import asyncio
from collections import deque

from pydantic import ConfigDict

from devicebridge.sdk import (
    ByteLink,
    DeviceClock,
    DeviceIdentity,
    Frame,
    MemoryOptions,
    Noise,
    Observation,
    Outlet,
    Why,
)
from devicebridge.sdk.memory import send_whole

from .codec import Codec, Data, LinkControl
from .framing import BYTES, Control
from .link import FRAME_WITHIN_S, Receiver, Verdict
from .results import Header

STORE_WITHIN_S = 10.0  # less than REPLY_WITHIN_S, by what the frame's own way and our reply's may take
ENQUIRY_WITHIN_S = 10.0  # no sender asks again so soon, unless it has sent EOT: it waits 15 s for a reply
ASK_EVERY_S = 15.0  # as long as a sender waits for a reply
MEMORY_MAX_RECORDS = 4_096  # twice what the largest of these meters holds; of more, the last
_FRAME_MIN_BYTES = 7  # STX, number, ETX, sum, CR, LF


class AstmOptions(MemoryOptions):
    """What the instrument is, where that cannot be seen from what it sends."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    data_link: bool = True
    """False for an instrument that sends bare records, without frames, sums and acknowledgements."""
    ask_meter: bool = False
    """Asks a Contour meter for its memory when it is connected (EOT, which any other instrument ignores)."""
    header_time_is_now: bool = False
    """A laboratory instrument's header carries its present time, by which its clock is then corrected. Leave it off
    for one that composes messages when it measures and sends them later. Of a Contour meter it is always so."""


async def session(link: ByteLink, outlet: Outlet, options: AstmOptions) -> None:
    """Receives until the link ends."""
    host = _Host(link, outlet, options)
    while True:
        await host.receive()


class _Host:
    def __init__(self, link: ByteLink, outlet: Outlet, options: AstmOptions) -> None:
        self._link = link
        self._outlet = outlet
        self._options = options
        self._receiver = Receiver()
        self._codec = self._fresh_codec()
        self._meter: Header | None = None  # that now sends its memory
        self._memory: deque[Observation] = deque(maxlen=MEMORY_MAX_RECORDS)
        self._unstored: Data | None = None  # taken but not acknowledged
        self._enquired_s = 0.0  # when the transfer under way began
        self._asks = options.ask_meter
        self._asked = False

    async def receive(self) -> None:
        """What arrives next, or that nothing has."""
        if self._asks and not self._asked:
            self._asked = True
            await self._link.write(BYTES[Control.EOT])
        try:
            async with asyncio.timeout(self._patience_s()):
                data = await self._link.read()
        except TimeoutError:
            self._give_up()
            return
        for item in self._codec.feed(data):
            await self._take(item)

    def _patience_s(self) -> float | None:
        if self._receiver.is_receiving:
            return FRAME_WITHIN_S
        return ASK_EVERY_S if self._asks else None

    def _give_up(self) -> None:
        """Nothing has come for as long as the standard says: what there is of a message is dropped."""
        for item in self._codec.close():
            if isinstance(item, Noise):
                self._outlet.note(item)
        self._codec = self._fresh_codec()
        self._end()
        self._asked = False

    def _fresh_codec(self) -> Codec:
        return Codec(bare=not self._options.data_link)

    async def _take(self, item: Frame | Noise) -> None:
        match item:
            case Noise():
                self._outlet.note(item)
                if _is_ruin(item):
                    await self._refuse()
            case LinkControl(control=Control.ENQ):
                await self._begin()
            case LinkControl(control=Control.EOT):
                self._end()
            case Data(number=None):
                await self._store(item)
                await self._finish(item)
            case Data():
                await self._take_frame(item)

    async def _take_frame(self, frame: Data) -> None:
        assert frame.number is not None
        match self._receiver.judge(frame.number, is_repeat=frame.is_repeat):
            case Verdict.TAKE:
                self._unstored = frame
                await self._answer()
            case Verdict.REPEAT:
                await self._answer()
            case Verdict.REFUSE:
                await self._refuse()
            case Verdict.IGNORE:
                pass

    async def _answer(self) -> None:
        """ACK when the last frame taken is stored, NAK when it cannot be in time."""
        frame, self._unstored = self._unstored, None
        if frame is None:
            await self._acknowledge()
            return
        try:
            async with asyncio.timeout(STORE_WITHIN_S):
                await self._store(frame)
        except TimeoutError:
            self._unstored = frame
            await self._refuse()
            return
        await self._acknowledge()
        await self._finish(frame)

    async def _store(self, frame: Data) -> None:
        if frame.header is not None:
            self._meet(frame.header)
        if self._meter is not None:
            self._memory.extend(frame.group)
        elif frame.group:
            await self._outlet.emit(*frame.group)

    def _meet(self, header: Header) -> None:
        self._memory.clear()
        self._meter = header if header.is_meter else None
        identity = DeviceIdentity(model=header.instrument, serial=header.serial, firmware=header.firmware)
        self._outlet.note(identity)
        if header.time and (header.is_meter or self._options.header_time_is_now):
            self._outlet.note(DeviceClock(header.time))

    async def _finish(self, frame: Data) -> None:
        """Stores what is new in the meter's memory, where the frame ends it."""
        meter = self._meter
        if meter is None or "L" not in frame.records:
            return
        key = meter.serial or meter.instrument or "meter"
        await send_whole(self._outlet, key, tuple(self._memory), meter.time, self._options)
        self._meter, self._asks = None, False

    async def _begin(self) -> None:
        """A second ENQ that comes at once is noise: one more ACK would be taken for that of the frame to come."""
        now_s = asyncio.get_running_loop().time()
        if self._receiver.is_receiving and now_s - self._enquired_s < ENQUIRY_WITHIN_S:
            return
        self._enquired_s = now_s
        self._end()
        self._receiver.begin()
        await self._acknowledge()

    def _end(self) -> None:
        self._receiver.end()
        self._meter = self._unstored = None

    async def _acknowledge(self) -> None:
        await self._link.write(BYTES[Control.ACK])

    async def _refuse(self) -> None:
        if self._receiver.is_receiving and self._receiver.may_refuse():
            await self._link.write(BYTES[Control.NAK])
        else:  # a sender that was refused so often has ended the transfer
            self._end()


def _is_ruin(noise: Noise) -> bool:
    """Whether a frame has just ended in these bytes, so that its sender waits for a reply."""
    return noise.why is Why.CHECKSUM or (noise.raw.endswith(b"\n") and len(noise.raw) >= _FRAME_MIN_BYTES)
