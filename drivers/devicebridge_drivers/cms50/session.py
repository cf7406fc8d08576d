"""One session with a Contec oximeter: it is asked for its live data, and each finger becomes one reading.

The live data go through the rule of `devicebridge.sdk.steady`, at sixty packages a second, or one of the short frames;
a search for the pulse is not steady. A stream that has stopped ends the finger: whose comes next is not known. The
device stops by itself if the host is not heard, so it is told now and then that the host is there, and asked again
when it is silent.

Its recordings are not asked for (see `frames`): they are no spot checks. Nothing is set or erased.
"""

from __future__ import annotations

import asyncio

from devicebridge.sdk import ByteLink, DeviceIdentity, Frame, InProgress, Noise, Outlet
from devicebridge.sdk.steady import Act, SteadyOptions

from .codec import codec
from .frames import Live, Measurement, Model
from .packages import command

QUIET_S = 1.0  # sixty packages late
SHORT_QUIET_S = 2.5  # more than one short frame late, where no waves are sent between them
LIVE_PER_S = 60
HEARTBEAT_PACKAGES = 5 * LIVE_PER_S  # V7.0 wants one every five seconds

_QUERY_MODEL, _START_LIVE, _HEARTBEAT = command(0xA8), command(0xA1), command(0xAF)


class Cms50Options(SteadyOptions):
    """When a stream of values becomes a reading."""


async def session(link: ByteLink, outlet: Outlet, options: Cms50Options) -> None:
    """Reads until the link ends."""
    frames, act, model = codec(), Act(options), ""
    packages, quiet_s = 0, QUIET_S
    await link.write(_QUERY_MODEL + _START_LIVE)
    while True:
        for item in frames.feed(await _read(link, act, quiet_s)):
            if isinstance(item, Noise):
                outlet.note(item)
                act.disturbed()
            elif isinstance(item, Model):
                model = _named(outlet, model, item)
            elif isinstance(item, Live | Measurement):
                await _report(outlet, act, item, LIVE_PER_S if isinstance(item, Live) else 1)
                packages += isinstance(item, Live)
                quiet_s = QUIET_S if isinstance(item, Live) else SHORT_QUIET_S
        if packages >= HEARTBEAT_PACKAGES:
            packages = 0
            await link.write(_HEARTBEAT)


async def _read(link: ByteLink, act: Act, quiet_s: float) -> bytes:
    """What arrives; asks again as long as nothing does."""
    while True:
        try:
            async with asyncio.timeout(quiet_s):
                return await link.read()
        except TimeoutError:
            act.ended()
            await link.write(_START_LIVE)


async def _report(outlet: Outlet, act: Act, frame: Frame, per_s: int) -> None:
    reading = act.next(frame.group[0], per_s)
    if isinstance(reading, InProgress):
        outlet.note(reading)
    elif reading is not None:
        await outlet.emit(reading)


def _named(outlet: Outlet, so_far: str, part: Model) -> str:
    """The model's name comes in two parts, of which the second ends it."""
    if part.index == 0:
        return part.text
    name = (so_far + part.text).strip()
    if name:
        outlet.note(DeviceIdentity(model=name))
    return ""
