"""One session with an oximeter of five-byte packets: one reading for each finger, nothing sent.

The packets go through the rule of `devicebridge.sdk.steady`; a search for the pulse is not steady. The seconds are
counted in packets, which have no time of their own; a stream that has stopped ends the finger. Over Bluetooth LE the
packets come as over a cable, four in a value.
"""

from __future__ import annotations

from pydantic import Field

from devicebridge.sdk import ByteLink, GattLink, InProgress, Noise, Outlet
from devicebridge.sdk.gatt_line import line
from devicebridge.sdk.steady import Act, SteadyOptions, read_while_on

from .codec import NOTIFY, WRITE, codec


class BciOptions(SteadyOptions):
    """When a stream of packets becomes a reading."""

    packets_per_s: int = Field(default=100, ge=10, le=200)
    """How many packets the oximeter sends in a second: BerryMed 100, Contec 60. If too high, the wait is longer."""


async def session(link: ByteLink | GattLink, outlet: Outlet, options: BciOptions) -> None:
    """Reads until the link ends."""
    if isinstance(link, GattLink):
        async with line(link, outlet, NOTIFY, WRITE) as (uart, _):
            await _read(uart, outlet, options)
    else:
        await _read(link, outlet, options)


async def _read(link: ByteLink, outlet: Outlet, options: BciOptions) -> None:
    packets, act = codec(), Act(options)
    while True:
        for item in packets.feed(await read_while_on(link, act, options.packets_per_s)):
            if isinstance(item, Noise):
                outlet.note(item)
                act.disturbed()
                continue
            reading = act.next(item.group[0], options.packets_per_s)
            if isinstance(reading, InProgress):
                outlet.note(reading)
            elif reading is not None:
                await outlet.emit(reading)
