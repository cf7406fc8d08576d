"""One session with a Health o meter scale: the packets of one stepping on become one reading.

While its weight is locked the scale repeats it about once a second; older firmware and the baby scales send every
second, also while it moves. The rule is that of `devicebridge.sdk.weighing`: a weight that came `steady_values` times
in a row is read, once, with the height and body-mass index of the same packets in the same group; a height that is
typed in later is read when it has come as often. Stepping off is a weight of zero, or silence for `step_off_s`. Noise
starts the counting anew: there is no checksum, and one flipped bit must change nothing.

Nothing is ever sent. What the scale reports from its memory is passed on as it comes, as stored and without a time: the
documents do not say how its time is written.
"""

from __future__ import annotations

from pydantic import ConfigDict, Field

from devicebridge.sdk import ByteLink, InProgress, Noise, Options, Origin, Outlet
from devicebridge.sdk.weighing import StepOn, read_while_on

from .codec import make_codec
from .frames import Weighing


class HealthometerOptions(Options):
    """When the scale's packets become a reading."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    steady_values: int = Field(default=3, ge=1, le=20)
    """How many equal weights in a row make a reading."""
    step_off_s: float = Field(default=3, ge=0.1, le=60)
    """After so many seconds without a packet nobody is on the scale."""
    new_weight_percent: float = Field(default=3, ge=0, le=50)
    """A steady weight that differs by more from the one read is another reading, even if nobody seemed to step off."""


async def session(link: ByteLink, outlet: Outlet, options: HealthometerOptions) -> None:
    """Reads until the link ends."""
    codec, scale = make_codec(), StepOn(options.steady_values, options.new_weight_percent)
    while True:
        for item in codec.feed(await read_while_on(link, scale, options.step_off_s)):
            if isinstance(item, Noise):
                outlet.note(item)
                scale.disturbed()
            elif isinstance(item, Weighing):
                await _report(outlet, scale, item)


async def _report(outlet: Outlet, scale: StepOn, frame: Weighing) -> None:
    if frame.group and frame.group[0].origin is Origin.STORED:
        await outlet.emit(*frame.group)
        return
    if frame.group and scale.is_off:
        outlet.note(InProgress())
    if reading := scale.next(frame.group, frame.copies):
        await outlet.emit(*reading)
