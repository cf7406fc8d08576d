"""A simulated radio: Bluetooth LE without hardware, with real ATT, GATT, L2CAP, SMP and HCI (Bumble).

    async with Ether() as ether:
        cuff = await ether.add(SIMULATOR, "normal", period_s=60)
        async with ether.radio() as backend: ...            # in this process
        async with radio(await ether.serve_tcp()) as backend: ...   # from another process

The Backend goes to `devicebridge.links.gatt.Radio` or to bleak itself; no code under test knows the difference.
Needs the `demo` extra.
"""

from __future__ import annotations

from .backends import backend, radio
from .central import Central
from .ether import Ether
from .peripheral import Peripheral
from .security import Answer, Manner, Security

__all__ = ["Answer", "Central", "Ether", "Manner", "Peripheral", "Security", "backend", "radio"]
