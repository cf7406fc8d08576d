"""One connection to a cuff: it indicates what it has within a second or two and hangs up."""

from __future__ import annotations

from devicebridge.sdk import GattLink, Options, Outlet, UnexpectedDevice
from devicebridge.sdk.gatt_device import Arrivals, Burst, introduce

from .codec import CUFF_PRESSURE, MEASUREMENT, Codec


async def session(link: GattLink, outlet: Outlet, _: Options) -> None:
    """Ends with LinkLost when the cuff hangs up."""
    if not link.has(MEASUREMENT):
        raise UnexpectedDevice
    # The measurement last: a cuff may hang up as soon as it has sent what it has.
    wanted = [uuid for uuid in (CUFF_PRESSURE, MEASUREMENT) if link.has(uuid)]
    arrivals = Arrivals(await link.subscribe(*wanted))
    try:
        about = await introduce(link, outlet)
        codecs = {uuid: Codec(uuid, about.identity.model, link.name) for uuid in wanted}
        burst = Burst(outlet, clock_readable=about.now is not None)
        await burst.run(arrivals, codecs, in_progress=CUFF_PRESSURE)
    finally:
        await arrivals.close()
