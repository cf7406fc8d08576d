"""The device's end of a serial line, with the troubles a cable can have."""

from __future__ import annotations

import random
import time

from devicebridge.sdk.simulation import SerialPort
from devicebridge.testing.serial_host import HungUp

GARBAGE_BYTES = 200
SPOILT_READINGS = 2
"""The one that was hit, and the next: what is left of a broken frame ends only in the midst of it."""
LATE_S = 0.5
"""A device that is a second behind has stopped, for all its host can tell; this one is then the simulation's doing."""


class Cable:
    """Of one device; lines come and go. A new line is the only one: there is one socket for one plug."""

    def __init__(self, rng: random.Random, *, has_sums: bool, speed: float) -> None:
        """has_sums: the host can see a flipped bit. Of a device without, bits stay as they are."""
        self._rng = rng
        self.speed = speed
        self._has_sums = has_sums
        self._line: Line | None = None
        self._spoilt = 0
        self.is_unplugged = False
        self.is_silent = False
        self.cuts = self.halves = self.flips = 0
        """How many of the next writes are to suffer it."""
        self.garbage = 0

    def plug(self, port: SerialPort) -> Line:
        if self.is_unplugged:
            raise HungUp
        self._line = Line(self, port)
        return self._line

    def mend(self) -> None:
        self.is_unplugged = self.is_silent = False
        self.cuts = self.halves = self.flips = self.garbage = 0

    def spoil(self) -> None:
        self._spoilt = SPOILT_READINGS

    def begin_reading(self) -> None:
        self._spoilt = max(0, self._spoilt - 1)

    @property
    def is_spoilt(self) -> bool:
        """The reading under way was damaged on its way, or what came just before it."""
        return self._spoilt > 0

    def is_plugged(self, line: Line) -> bool:
        return line is self._line and not self.is_unplugged

    def damaged(self, data: bytes) -> tuple[bytes, bool]:
        """What goes over the wire instead, and whether the cable is pulled after it."""
        before = (self.garbage, self.flips, self.halves, self.cuts, self.is_silent)
        if self.flips and self._has_sums:
            self.flips -= 1
            place = self._rng.randrange(len(data))
            data = data[:place] + bytes((data[place] ^ 1 << self._rng.randrange(8),)) + data[place + 1 :]
        if self.halves:
            self.halves -= 1
            data = data[: self._rng.randrange(len(data))]
        is_cut = self.cuts > 0
        if is_cut:
            self.cuts -= 1
            self.is_unplugged = True
            data = data[: self._rng.randrange(len(data))]
        if self.garbage:
            self.garbage -= 1
            data = self._rng.randbytes(self._rng.randint(1, GARBAGE_BYTES)) + data
        if self.is_silent:
            data = b""
        if before != (self.garbage, self.flips, self.halves, self.cuts, False):
            self.spoil()
        return data, is_cut


class Line:
    """One connection. Raises HungUp when it has ended."""

    def __init__(self, cable: Cable, port: SerialPort) -> None:
        self._cable = cable
        self._port = port
        self.opened_s = time.monotonic()

    async def read(self) -> bytes:
        self._check()
        data = await self._port.read()
        self._check()
        return b"" if self._cable.is_silent else data

    async def write(self, data: bytes, /) -> None:
        self._check()
        damaged, is_cut = self._cable.damaged(data)
        if damaged:
            await self._port.write(damaged)
        if is_cut:
            raise HungUp

    async def pause(self, seconds: float, /) -> None:
        self._check()
        began_s = time.monotonic()
        await self._port.pause(seconds)
        if time.monotonic() - began_s > seconds / self._cable.speed + LATE_S:
            self._cable.spoil()

    def _check(self) -> None:
        if not self._cable.is_plugged(self):
            raise HungUp
