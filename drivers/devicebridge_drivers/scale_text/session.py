"""One session with a scale that prints lines.

A print is a finished weighing: each is a reading, with its height and body-mass index in one group; the same line once
more within `repeat_s` is the same weighing, printed again. Scales that send SMA
lines all the time are read by the rule of `devicebridge.sdk.weighing`: a weight that the scale calls settled and that
came `steady_values` times in a row is read, once, until the scale is empty, silent for `step_off_s`, or shows, as
steadily, another weight. Nothing is ever sent; a scale that only answers is asked by pressing its key.
"""

from __future__ import annotations

import asyncio

from pydantic import ConfigDict, Field

from devicebridge.sdk import ByteLink, DeviceIdentity, InProgress, Noise, Options, Outlet
from devicebridge.sdk.weighing import StepOn, read_while_on

from .codec import Codec
from .frames import Printed, Streamed


class ScaleTextOptions(Options):
    """When a scale's lines become a reading."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    repeat_s: float = Field(default=5, ge=0, le=60)
    """The same line within so many seconds is the same weighing, printed twice."""
    steady_values: int = Field(default=3, ge=1, le=100)
    """Of a scale that sends all the time: how many equal, settled weights in a row make a reading."""
    step_off_s: float = Field(default=3, ge=0.1, le=60)
    """After so many seconds without a line nobody is on the scale."""
    new_weight_percent: float = Field(default=3, ge=0, le=50)
    """A steady weight that differs by more from the one read is another reading, even if nobody seemed to step off."""


async def session(link: ByteLink, outlet: Outlet, options: ScaleTextOptions) -> None:
    """Reads until the link ends."""
    codec, scale = Codec(), StepOn(options.steady_values, options.new_weight_percent)
    prints = _Prints(options.repeat_s)
    while True:
        for item in codec.feed(await read_while_on(link, scale, options.step_off_s)):
            if isinstance(item, Noise):
                outlet.note(item)
                scale.disturbed()
            elif isinstance(item, Streamed):
                await _stream(outlet, scale, item)
            elif isinstance(item, Printed) and prints.is_new(item):
                if item.model or item.serial:
                    outlet.note(DeviceIdentity(manufacturer="Tanita", model=item.model, serial=item.serial))
                await outlet.emit(*item.group)


class _Prints:
    """Knows the last print again."""

    def __init__(self, repeat_s: float) -> None:
        self._repeat_s = repeat_s
        self._last = b""
        self._last_s = 0.0

    def is_new(self, printed: Printed) -> bool:
        now_s, raw = asyncio.get_running_loop().time(), printed.group[0].raw
        is_repeat = raw == self._last and now_s - self._last_s <= self._repeat_s
        self._last, self._last_s = raw, now_s
        return not is_repeat


async def _stream(outlet: Outlet, scale: StepOn, frame: Streamed) -> None:
    if frame.is_moving and frame.group:
        scale.disturbed()
        return
    if frame.group and scale.is_off:
        outlet.note(InProgress())
    if reading := scale.next(frame.group):
        await outlet.emit(*reading)
