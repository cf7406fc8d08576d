"""One session with a Nonin oximeter: the stream of a measurement becomes one reading.

The streaming formats go by the rule of `devicebridge.sdk.steady`: a value counts while the sensor is on the finger, in
track and free of artifact; a stream that has stopped ends the finger.

Format 13 sends finished measurements, each of which is a reading. Its description (6470-000-01, pp. 6-7) has the
oximeter send and forget: there is no acknowledgement, and the receivers of MediPi and OpenTele send none either.
"""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from devicebridge.sdk import (
    Battery,
    ByteLink,
    DeviceClock,
    DeviceIdentity,
    Frame,
    InProgress,
    Noise,
    Observation,
    Outlet,
    Status,
)
from devicebridge.sdk.steady import Act, SteadyOptions, read_while_on

from .codec import Codec, DataFormat
from .frames import Control, Sample, SpotCheck

_SELECTABLE = ("2", "7", "8", "13")  # 6470-000-01, "Selecting a data format"
_GET_TIME = bytes((0x02, 0x72, 0x00, 0x03))  # 6470-000-01, "Retrieving the time"
_PACKETS_PER_S = 3  # formats 2 and 7; formats 1 and 8 speak once a second


class NoninOptions(SteadyOptions):
    """When a stream of values becomes a reading, and whether the device is told anything."""

    data_format: DataFormat = "auto"
    """The format the oximeter is set to; "auto" recognises it."""
    select_format: bool = False
    """Tells the oximeter, at each connection, to use `data_format`, which it keeps. Nothing is sent otherwise."""
    read_clock: bool = False
    """Asks the oximeter for its time at each connection, so that format 13's times can be corrected by it."""

    @model_validator(mode="after")
    def _names_what_to_select(self) -> Self:
        if self.select_format and self.data_format not in _SELECTABLE:
            raise ValueError(f"select_format needs the data_format to select: {', '.join(_SELECTABLE)}")
        return self


async def session(link: ByteLink, outlet: Outlet, options: NoninOptions) -> None:
    """Reads until the link ends."""
    if options.select_format:
        await link.write(bytes((0x02, 0x70, 0x02, 0x02, int(options.data_format), 0x03)))
    if options.read_clock:
        await link.write(_GET_TIME)
    codec, act = Codec(options.data_format), Act(options)
    has_low_battery, per_s = False, 1
    while True:
        for item in codec.feed(await read_while_on(link, act, per_s)):
            if isinstance(item, Noise):
                outlet.note(item)
                act.disturbed()
                continue
            _note_facts(outlet, item)
            if item.group:
                has_low_battery = _note_battery(outlet, item.group[0], has_low_battery)
                per_s = _PACKETS_PER_S if isinstance(item, Sample) else 1
                await _report(outlet, act, item, per_s)


async def _report(outlet: Outlet, act: Act, frame: Frame, per_s: int) -> None:
    if isinstance(frame, SpotCheck):
        await outlet.emit(*frame.group)
        return
    reading = act.next(frame.group[0], per_s)
    if isinstance(reading, InProgress):
        outlet.note(reading)
    elif reading is not None:
        await outlet.emit(reading)


def _note_facts(outlet: Outlet, frame: Frame) -> None:
    if isinstance(frame, SpotCheck | Control) and frame.serial is not None:
        outlet.note(DeviceIdentity(manufacturer="Nonin", serial=frame.serial))
    if isinstance(frame, Control) and frame.name == "time" and frame.time is not None:
        outlet.note(DeviceClock(frame.time))


def _note_battery(outlet: Outlet, observation: Observation, was_low: bool) -> bool:
    is_low = Status.LOW_BATTERY in observation.status
    if is_low != was_low:
        outlet.note(Battery(low=is_low))
    return is_low
