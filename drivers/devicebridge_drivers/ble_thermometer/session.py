"""One connection to a thermometer: it indicates what it has within a second or two and hangs up.

One that measures by itself, every minute or more often (2A21), sends a stream: it gives one reading for each time that
it is put on, when its values have held still (see sdk.hold), and its clock is never set. Of one that does so less often
every value is a reading. What of a memory is published at the first meeting, how old what comes is, and when a clock is
set, if the site has turned that on: see sdk.burst.
"""

from __future__ import annotations

from decimal import Decimal

from pydantic import ConfigDict, Field

from devicebridge.sdk import Context, GattLink, MemoryOptions, Outlet, UnexpectedDevice
from devicebridge.sdk.and_medical import habits_of
from devicebridge.sdk.burst import Burst
from devicebridge.sdk.clock_setting import ClockOptions, ClockSetter
from devicebridge.sdk.gatt_device import STRANGER, About, Arrivals, finished, introduce, read_optional
from devicebridge.sdk.hold import Backlog, Hold, Stream

from .codec import INTERMEDIATE, INTERVAL, MEASUREMENT, TYPE, Codec, Interval, TemperatureType

STREAM_INTERVAL_MAX_S = 60
GAP_INTERVALS = 3
"""Values left out, after which the thermometer has been taken off."""


class ThermometerOptions(MemoryOptions, ClockOptions):
    """When the stream of a thermometer that measures by itself becomes a reading; its memory and its clock."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    steady_values: int = Field(default=5, ge=2, le=60)
    """How many values in a row must hold still."""
    steady_spread: Decimal = Field(default=Decimal("0.1"), ge=0, le=2)
    """By how much these may differ, in the thermometer's own unit."""


async def session(link: GattLink, outlet: Outlet, options: ThermometerOptions) -> None:
    """Ends with LinkLost when the thermometer hangs up."""
    if not link.has(MEASUREMENT):
        raise UnexpectedDevice
    # Before any value can come: a stream whose link breaks early must not be taken for readings, one by one.
    interval_s = await _read_interval(link)
    # The measurement last: a thermometer may hang up as soon as it has sent what it has.
    wanted = [uuid for uuid in (INTERMEDIATE, MEASUREMENT) if link.has(uuid)]
    arrivals = Arrivals(await link.subscribe(*wanted))
    try:
        about, site = await finished(_read(link, outlet), (STRANGER, None))
        habits = habits_of(link.name, about.identity.model)
        codecs = {uuid: Codec(uuid, site) for uuid in wanted}
        if 0 < interval_s <= STREAM_INTERVAL_MAX_S:
            hold = Hold(options.steady_values, options.steady_spread)
            backlog = Backlog(outlet, about, options)
            stream = Stream(outlet, hold, gap_s=GAP_INTERVALS * interval_s + 1, is_final=True, backlog=backlog)
            await stream.run(arrivals, codecs)
        burst = Burst(outlet, about, options, ClockSetter(link, outlet, options, habits.clock_at))
        await burst.run(
            arrivals,
            codecs,
            in_progress=INTERMEDIATE,
            begin=lambda: habits.begin(link),
            when_quiet=lambda: habits.end(link),
        )
    finally:
        await arrivals.close()


async def _read(link: GattLink, outlet: Outlet) -> tuple[About, Context | None]:
    return await introduce(link, outlet), await _read_site(link)


async def _read_site(link: GattLink) -> Context | None:
    data = await read_optional(link, TYPE)
    items = Codec(TYPE).feed(data) if data is not None else ()
    return next((item.site for item in items if isinstance(item, TemperatureType)), None)


async def _read_interval(link: GattLink) -> int:
    data = await read_optional(link, INTERVAL)
    items = Codec(INTERVAL).feed(data) if data is not None else ()
    return next((item.interval_s for item in items if isinstance(item, Interval)), 0)
