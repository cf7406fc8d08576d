"""Whether a device that sends its memory unasked was met before.

It is remembered by its serial number, and for this configured device where the number cannot be read; then the first
number that can be is taken for its.
"""

from __future__ import annotations

from .outlet import DeviceIdentity, Outlet

_MET, _UNNAMED = "met", "unnamed"


class Acquaintance:
    """With one device."""

    def __init__(self, outlet: Outlet, identity: DeviceIdentity) -> None:
        serial = "".join(c for c in identity.serial or "" if c.isprintable())
        self._outlet = outlet
        self._key = f"{_MET} {serial}"[:64] if serial else _MET

    async def is_made(self) -> bool:
        known = await self._outlet.recall(_MET)
        if self._key == _MET:
            return known is not None
        return known == _UNNAMED or await self._outlet.recall(self._key) is not None

    async def make(self) -> None:
        if self._key == _MET:
            if await self._outlet.recall(_MET) is None:
                await self._outlet.remember(_MET, _UNNAMED)
            return
        for each in (self._key, _MET):
            if await self._outlet.recall(each) != _MET:
                await self._outlet.remember(each, _MET)
