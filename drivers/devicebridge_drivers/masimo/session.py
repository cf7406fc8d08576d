"""One session with a Masimo oximeter: one reading for each time its sensor is put on.

Its line of each second goes through the rule of `devicebridge.sdk.steady`. Pulse search is not steady; low signal IQ,
interference, ambient light and low perfusion do not stop a reading but stand on it if they were said while it held
still. What it shows with the sensor off the patient are leftovers, and no values. A line with the stamp of the line
before it is a repeat, not another second. Lines that stop, or whose stamps jump, end the sensor's time on a patient:
who comes next is not known.

Trend lines are its recording, which may be of anybody and is no spot check: they make no reading. Nothing is sent; the
port has no commands.
"""

from __future__ import annotations

from datetime import timedelta

from devicebridge.sdk import Battery, ByteLink, DeviceClock, DeviceIdentity, InProgress, Noise, Outlet, Status
from devicebridge.sdk.steady import Act, SteadyOptions, read_while_on

from .codec import Line, codec

_LINES_PER_S = 1
_JUMP = timedelta(seconds=3)  # a line or two may be lost


class MasimoOptions(SteadyOptions):
    """When the line of each second becomes a reading."""


async def session(link: ByteLink, outlet: Outlet, options: MasimoOptions) -> None:
    """Reads until the link ends."""
    lines, act = codec(), Act(options)
    before: Line | None = None
    while True:
        for item in lines.feed(await read_while_on(link, act, _LINES_PER_S)):
            if isinstance(item, Noise):
                outlet.note(item)
                act.disturbed()
            elif isinstance(item, Line) and not item.is_trend and not _repeats(item, before):
                if _jumps(item, before):
                    act.ended()
                _note_facts(outlet, item, before)
                before = item
                await _report(outlet, act, item)


async def _report(outlet: Outlet, act: Act, line: Line) -> None:
    reading = act.next(line.group[0], _LINES_PER_S)
    if isinstance(reading, InProgress):
        outlet.note(reading)
    elif reading is not None:
        if line.time is not None:
            outlet.note(DeviceClock(line.time))
        await outlet.emit(reading)


def _repeats(line: Line, before: Line | None) -> bool:
    return before is not None and line.time is not None and line.time == before.time


def _jumps(line: Line, before: Line | None) -> bool:
    if before is None or line.time is None or before.time is None:
        return False
    return not timedelta(0) <= line.time - before.time <= _JUMP


def _note_facts(outlet: Outlet, line: Line, before: Line | None) -> None:
    """The serial number and the battery, where they are not as before."""
    if line.serial is not None and (before is None or line.serial != before.serial):
        outlet.note(DeviceIdentity(manufacturer="Masimo", serial=line.serial))
    is_low, was_low = _is_low(line), before is not None and _is_low(before)
    if is_low != was_low:
        outlet.note(Battery(low=is_low))


def _is_low(line: Line) -> bool:
    return Status.LOW_BATTERY in line.group[0].status
