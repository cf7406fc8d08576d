"""One session with a ProtoCentral board, which sends by itself: it is only listened to.

The EKG is passed on as it comes. SpO2, the rates of heart and breath and the temperature become readings by the rule of
`vitals`. Not read: a HealthyPi 5's rates, which its firmware goes on sending without electrodes and without a finger
(data_module.c; HPIAcq.cpp), so that they may be another person's; and the blood pressure in a HealthyPi 4's packets,
which is 80 and 120 for everybody.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

from devicebridge.sdk import ByteLink, DeviceIdentity, Frame, Noise, Observation, Outlet, UnexpectedDevice, Wave

from .codec import OpenViewCodec, Packet
from .options import HealthyPiOptions
from .vitals import Vitals

QUIET_S = 1.0
"""Boards send a hundred packets a second; one that was silent for so long has lost some, or was started anew."""
STRANGER_BYTES = 4096
"""More than an ESP32 says while it starts."""


async def session(link: ByteLink, outlet: Outlet, options: HealthyPiOptions) -> None:
    """Reads until the link ends. Raises UnexpectedDevice where something else speaks."""
    await _Board(outlet, options).listen(link)


class _Board:
    def __init__(self, outlet: Outlet, options: HealthyPiOptions) -> None:
        self._outlet = outlet
        self._codec = OpenViewCodec(options.layouts)
        self._vitals = Vitals(options)
        self._identity = DeviceIdentity(manufacturer="ProtoCentral", model=options.spec.model)
        self._heard_s: float | None = None  # when the last packet came,
        self._shown_s = math.inf  # and when the last with samples of the EKG
        self._strange_bytes = 0

    async def listen(self, link: ByteLink) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data = await link.read()
            now_s = loop.time()
            for item in self._codec.feed(data):
                await self._take(item, now_s)
            if self._strange_bytes > STRANGER_BYTES:
                raise UnexpectedDevice

    async def _take(self, item: Frame | Noise, now_s: float) -> None:
        if isinstance(item, Noise):
            self._strange_bytes += len(item.raw)
            self._vitals.disturbed()
            self._outlet.note(item)
        elif isinstance(item, Packet):
            self._strange_bytes = 0
            self._hear(now_s)
            if item.wave is not None:
                self._show(item.wave, now_s)
            for found in self._vitals.next(item):
                if isinstance(found, Observation):
                    await self._outlet.emit(found)
                else:
                    self._outlet.note(found)

    def _hear(self, now_s: float) -> None:
        if self._heard_s is None:
            self._outlet.note(self._identity)
        elif now_s - self._heard_s > QUIET_S:
            self._vitals.end()
        self._heard_s = now_s

    def _show(self, wave: Wave, now_s: float) -> None:
        gap = wave.after_unknown_gap or now_s - self._shown_s > QUIET_S
        self._outlet.wave(replace(wave, after_unknown_gap=gap))
        self._shown_s = now_s
