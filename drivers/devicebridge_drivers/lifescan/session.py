"""One session with whatever OneTouch meter is put on the cable: its memory is read each time it is connected.

While nothing answers, the line is tried with the question of each family in turn. When a meter answers, its clock, the
number of its records and then the records are read, from the newest back to the last one that is known, and what is
new is sent, oldest first. An answer that does not come ends that, and nothing is sent of it: all is asked anew, from
the serial number on. A connected meter cannot measure; it is read again when it has been away.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from devicebridge.sdk import ByteLink, DeviceClock, DeviceIdentity, MemoryOptions, Outlet
from devicebridge.sdk.interview import Interview
from devicebridge.sdk.memory import Download

from .codec import codec
from .meters import Meter, UltraMini, Verio

RECORDS_MAX = 2_000  # a Verio IQ keeps 750, an UltraMini 500


class LifescanOptions(MemoryOptions):
    """Which family is on the cable, what is read on the first meeting, and how often the cable is tried."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    family: Literal["auto", "ultramini", "verio"] = "auto"
    """UltraMini and UltraEasy (9600 baud), Verio IQ (38400 baud), or whichever answers. The baud rate is the port's."""
    poll_s: float = Field(default=5, ge=1, le=600)
    """How often the cable is asked whether a meter is there: more often than a test takes, lest it go unnoticed."""


async def session(link: ByteLink, outlet: Outlet, options: LifescanOptions) -> None:
    """Until the link ends."""
    interview = Interview(link, codec(), outlet)
    meters: list[Meter] = []
    if options.family != "ultramini":
        meters.append(Verio(interview))
    if options.family != "verio":
        meters.append(UltraMini(interview))
    read: str | None = None  # the meter that is on the cable and was read
    while True:
        meter, serial = await _meet(meters)
        if meter is None or serial is None:
            read = None
        elif serial != read:
            meters.sort(key=lambda other: other is not meter)
            read = serial if await _read(meter, serial, outlet, options) else None
        await interview.rest(options.poll_s)


async def _meet(meters: list[Meter]) -> tuple[Meter | None, str | None]:
    for meter in meters:
        if serial := await meter.serial():
            return meter, serial
    return None, None


async def _read(meter: Meter, serial: str, outlet: Outlet, options: LifescanOptions) -> bool:
    """Whether every answer came."""
    outlet.note(DeviceIdentity(manufacturer="LifeScan", model=meter.model, serial=serial))
    now = await meter.clock()
    count = await meter.count() if now else None
    if now is None or count is None or count > RECORDS_MAX:
        return False
    outlet.note(DeviceClock(now))
    download = await Download.begin(outlet, serial, now, options)
    for index in range(count):
        record = await meter.record(index)
        if record is None:
            return False
        if not download.take(record.group[0]):
            break
    await download.finish()
    return True
