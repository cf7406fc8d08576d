"""One session with whatever OneTouch meter is put on the cable: its memory is read each time it is connected.

While nothing answers, the line is tried with the question of each family in turn. When a meter answers, its clock, the
number of its records and then the records are read, from the newest back to the last one that is known, and what is
new is sent, oldest first. An answer that does not come ends that, and nothing is sent of it: all is asked anew, from
the serial number on. A connected meter cannot measure; it is read again when it has been away.

Over Bluetooth LE a meter is read once, at the beginning: to measure it hangs up.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from devicebridge.sdk import ByteLink, DeviceClock, DeviceIdentity, GattLink, LinkLost, Loss, MemoryOptions, Outlet
from devicebridge.sdk.gatt_line import line
from devicebridge.sdk.interview import Interview
from devicebridge.sdk.memory import Download
from devicebridge.sdk.racp import memory_key

from .codec import codec
from .fragments import NOTIFY, WRITE, FragmentCodec, ReceiptLine
from .meters import CabledMeter, Meter, UltraMini, Verio, VerioOverRadio

RECORDS_MAX = 2_000  # a Verio IQ keeps 750, an UltraMini 500
RADIO_TRIES = 2
REST_S = 60.0


class LifescanOptions(MemoryOptions):
    """Which family is on the cable, what is read on the first meeting, and how often the cable is tried."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    family: Literal["auto", "ultramini", "verio"] = "auto"
    """UltraMini and UltraEasy (9600 baud), Verio IQ (38400 baud), or whichever answers. The baud rate is the port's."""
    poll_s: float = Field(default=5, ge=1, le=600)
    """How often the cable is asked whether a meter is there: more often than a test takes, lest it go unnoticed."""


async def session(link: ByteLink | GattLink, outlet: Outlet, options: LifescanOptions) -> None:
    """Until the link ends. Over Bluetooth LE raises LinkLost where the meter does not answer."""
    if isinstance(link, GattLink):
        await _over_radio(link, outlet, options)
    else:
        await _on_cable(link, outlet, options)


async def _over_radio(link: GattLink, outlet: Outlet, options: LifescanOptions) -> None:
    async with line(link, outlet, NOTIFY, WRITE) as (values, about):
        interview = Interview(ReceiptLine(values), FragmentCodec(), outlet)
        meter, key = VerioOverRadio(interview), await memory_key(outlet, about.identity)
        for _ in range(RADIO_TRIES):
            if await _read(meter, key, outlet, options):
                break
        else:
            raise LinkLost(Loss.TIMEOUT)
        while True:
            await interview.rest(REST_S)


async def _on_cable(link: ByteLink, outlet: Outlet, options: LifescanOptions) -> None:
    interview = Interview(link, codec(), outlet)
    meters: list[CabledMeter] = []
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
            outlet.note(DeviceIdentity(manufacturer="LifeScan", model=meter.model, serial=serial))
            read = serial if await _read(meter, serial, outlet, options) else None
        await interview.rest(options.poll_s)


async def _meet(meters: list[CabledMeter]) -> tuple[CabledMeter | None, str | None]:
    for meter in meters:
        if serial := await meter.serial():
            return meter, serial
    return None, None


async def _read(meter: Meter, key: str, outlet: Outlet, options: LifescanOptions) -> bool:
    """Whether every answer came. key: whose memory. Raises LinkLost where a record was refused, after the others have
    been sent: it is asked for again."""
    now = await meter.clock()
    count = await meter.count() if now else None
    if now is None or count is None or count > RECORDS_MAX:
        return False
    outlet.note(DeviceClock(now))
    download, is_whole = await Download.begin(outlet, key, now, options), True
    for index in range(count):
        record = await meter.record(index)
        if record is None:
            return False
        is_whole = is_whole and record.name != "refused"
        if record.group and not download.take(record.group[0]):
            break
    await download.finish(is_whole=is_whole)
    if not is_whole:
        raise LinkLost(Loss.FAILED)
    return True
