"""One connection to a cuff: it indicates what it has within a second or two and hangs up.

What of its memory is published at the first meeting, and how old what it sends is: see sdk.burst. Its clock is set only
where the site has turned that on: after the last value, by an Omron's own first word of its time, and on an A&D at each
connection, as it wants, before what has come is read: all of that is still dated by the clock as it was.
"""

from __future__ import annotations

from devicebridge.sdk import GattLink, MemoryOptions, Outlet, UnexpectedDevice
from devicebridge.sdk.and_medical import habits_of
from devicebridge.sdk.bluetooth import CURRENT_TIME
from devicebridge.sdk.burst import Burst
from devicebridge.sdk.clock_setting import ClockOptions, ClockSetter, Moment
from devicebridge.sdk.gatt_device import STRANGER, Arrivals, finished, introduce

from .codec import CUFF_PRESSURE, MEASUREMENT, Codec, Quirk, quirk_of


class CuffOptions(MemoryOptions, ClockOptions):
    """What is read of a memory on the first meeting, and whether the clock is set."""


async def session(link: GattLink, outlet: Outlet, options: CuffOptions) -> None:
    """Ends with LinkLost when the cuff hangs up."""
    if not link.has(MEASUREMENT):
        raise UnexpectedDevice
    # The measurement last: a cuff may hang up as soon as it has sent what it has.
    measuring = [uuid for uuid in (CUFF_PRESSURE, MEASUREMENT) if link.has(uuid)]
    quirk = quirk_of(link.name) or Quirk()
    time = [CURRENT_TIME] if quirk.notifies_time and link.has(CURRENT_TIME) else []
    arrivals = Arrivals(await link.subscribe(*time, *measuring))
    try:
        about = await finished(introduce(link, outlet), STRANGER)
        codecs = {uuid: Codec(uuid, about.identity.model, link.name) for uuid in measuring}
        habits = habits_of(link.name, about.identity.model)
        moment = Moment.ASKED if time else habits.clock_at
        burst = Burst(outlet, about, options, ClockSetter(link, outlet, options, moment))
        await burst.run(
            arrivals,
            codecs,
            in_progress=CUFF_PRESSURE,
            begin=lambda: habits.begin(link),
            when_quiet=lambda: habits.end(link),
        )
    finally:
        await arrivals.close()
