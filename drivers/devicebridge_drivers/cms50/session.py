"""One session with a Contec oximeter: it is asked for its live data, and each finger becomes one reading.

The live data go through the rule of `devicebridge.sdk.steady`, at sixty packages a second, or one of the short frames;
a search for the pulse is not steady. A stream that has stopped ends the finger: whose comes next is not known. The
device stops by itself if the host is not heard, so it is told now and then that the host is there, and asked again
when it is silent. Over a cable it is asked in the current protocol, over Bluetooth LE in that of the short frames.

Its recordings are not asked for (see `frames`): they are no spot checks. Nothing is set or erased.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from devicebridge.sdk import ByteLink, DeviceIdentity, Frame, GattLink, InProgress, Noise, Outlet
from devicebridge.sdk.gatt_line import line
from devicebridge.sdk.steady import Act, SteadyOptions

from .codec import codec
from .frames import Live, Measurement, Model
from .packages import command
from .short import HEARTBEAT, NOTIFY, START_LIVE, WRITE

QUIET_S = 1.0  # sixty packages late
SHORT_QUIET_S = 2.5  # more than one short frame late, where no waves are sent between them
LIVE_PER_S = 60
HEARTBEAT_S = 5  # V7.0 wants one every five seconds
RADIO_HEARTBEAT_S = 2  # five do for some, others are sent one more often (EMAY SleepO2: every second and a half)

_MODELS = {  # by the advertised name: OSCAR, contec_ble_protocol.cpp; com.contec.phms (CMS50D)
    "SpO201": "CMS50EW",
    "SpO202": "CMS50FW",
    "SpO206": "CMS50IW",
    "SpO208": "CMS50D-BT",
    "SpO211": "CMS50S",
    "SpO212": "CMS60D1",
    "SpO213": "CMS50S+",
    "CMS50D": "CMS50D-BT",
}


class Cms50Options(SteadyOptions):
    """When a stream of values becomes a reading."""


@dataclass(frozen=True, slots=True)
class _Words:
    """What the host says over one kind of link. values: the frames whose seconds are counted for the heartbeat."""

    greeting: bytes
    start_live: bytes
    heartbeat: bytes
    heartbeat_s: int
    values: type[Frame]


_CABLE = _Words(command(0xA8) + command(0xA1), command(0xA1), command(0xAF), HEARTBEAT_S, Live)
_RADIO = _Words(START_LIVE, START_LIVE, HEARTBEAT, RADIO_HEARTBEAT_S, Measurement)


async def session(link: ByteLink | GattLink, outlet: Outlet, options: Cms50Options) -> None:
    """Reads until the link ends."""
    if not isinstance(link, GattLink):
        await _Oximeter(link, outlet, options, _CABLE).read()
        return
    async with line(link, outlet, NOTIFY, WRITE) as (short_frames, about):
        model = next((model for name, model in _MODELS.items() if link.name.startswith(name)), None)
        if model is not None and about.identity.model is None:
            outlet.note(replace(about.identity, manufacturer="Contec", model=model))
        await _Oximeter(short_frames, outlet, options, _RADIO).read()


class _Oximeter:
    def __init__(self, link: ByteLink, outlet: Outlet, options: Cms50Options, words: _Words) -> None:
        self._link = link
        self._outlet = outlet
        self._words = words
        self._act = Act(options)
        self._quiet_s = QUIET_S if words.values is Live else SHORT_QUIET_S
        self._model = ""

    async def read(self) -> None:
        frames, values = codec(), 0
        await self._link.write(self._words.greeting)
        while True:
            for item in frames.feed(await self._arriving()):
                await self._take(item)
                values += isinstance(item, self._words.values)
            if values >= self._words.heartbeat_s * _per_s(self._words.values):
                values = 0
                await self._link.write(self._words.heartbeat)

    async def _arriving(self) -> bytes:
        """What arrives; asks again as long as nothing does."""
        while True:
            try:
                async with asyncio.timeout(self._quiet_s):
                    return await self._link.read()
            except TimeoutError:
                self._act.ended()
                await self._link.write(self._words.start_live)

    async def _take(self, item: Frame | Noise) -> None:
        if isinstance(item, Noise):
            self._outlet.note(item)
            self._act.disturbed()
        elif isinstance(item, Model):
            self._name(item)
        elif isinstance(item, Live | Measurement):
            self._quiet_s = QUIET_S if isinstance(item, Live) else SHORT_QUIET_S
            await self._report(item)

    async def _report(self, frame: Frame) -> None:
        reading = self._act.next(frame.group[0], _per_s(type(frame)))
        if isinstance(reading, InProgress):
            self._outlet.note(reading)
        elif reading is not None:
            await self._outlet.emit(reading)

    def _name(self, part: Model) -> None:
        """The model's name comes in two parts, of which the second ends it."""
        if part.index == 0:
            self._model = part.text
            return
        if name := (self._model + part.text).strip():
            self._outlet.note(DeviceIdentity(model=name))
        self._model = ""


def _per_s(values: type[Frame]) -> int:
    return LIVE_PER_S if values is Live else 1
