"""A stand-in for BlueZ: `org.bluez` on a private D-Bus, over the simulated radio.

    with private_bus(folder) as address:            # to be set as DBUS_SYSTEM_BUS_ADDRESS
        async with Ether() as ether, stand_in(ether, address) as bluez: ...

Unmodified bleak talks to it as to the real thing. What bleak and devicebridge do not use is left out: BR/EDR,
AcquireNotify and AcquireWrite, advertisement monitors, the expiry of devices that were not heard again.
Needs Linux with dbus-daemon, and the `demo` extra.
"""

from __future__ import annotations

from .bus import find_dbus_daemon, private_bus
from .service import StandIn, stand_in

__all__ = ["StandIn", "find_dbus_daemon", "private_bus", "stand_in"]
