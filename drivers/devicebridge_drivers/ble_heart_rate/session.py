"""A sensor that sends the heart rate once a second as long as it is worn.

It gives one reading for each time that it is put on: the rate, when it has held still for `steady_s` seconds (see
sdk.hold). The next reading needs the sensor off the body, as far as it says so, or silent, or connected anew.
"""

from __future__ import annotations

import math
from decimal import Decimal

from pydantic import ConfigDict, Field

from devicebridge.sdk import Context, GattLink, Options, Outlet, UnexpectedDevice
from devicebridge.sdk.gatt_device import Arrivals, introduce, read_optional
from devicebridge.sdk.hold import Hold, Stream

from .codec import LOCATION, MEASUREMENT, Codec, Location

VALUES_PER_S = 1
"""Heart Rate Service 1.0, 3.1.2: typically once per second."""
GAP_S = 10.0
"""A sensor that is worn leaves out some values, when a beat is late, but not so many."""


class HeartRateOptions(Options):
    """When the stream becomes a reading."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    steady_s: float = Field(default=5, ge=2, le=60)
    """How many seconds the rate must hold still to be a reading."""
    steady_spread_per_min: int = Field(default=10, ge=0, le=60)
    """By how much it may differ within that time, in beats per minute."""


async def session(link: GattLink, outlet: Outlet, options: HeartRateOptions) -> None:
    """Ends with LinkLost."""
    if not link.has(MEASUREMENT):
        raise UnexpectedDevice
    arrivals = Arrivals(await link.subscribe(MEASUREMENT))
    try:
        await introduce(link, outlet)
        codecs = {MEASUREMENT: Codec(MEASUREMENT, await _read_site(link))}
        hold = Hold(math.ceil(options.steady_s * VALUES_PER_S), Decimal(options.steady_spread_per_min))
        await Stream(outlet, hold, gap_s=GAP_S).run(arrivals, codecs)
    finally:
        await arrivals.close()


async def _read_site(link: GattLink) -> Context | None:
    data = await read_optional(link, LOCATION)
    items = Codec(LOCATION).feed(data) if data is not None else ()
    return next((item.site for item in items if isinstance(item, Location)), None)
