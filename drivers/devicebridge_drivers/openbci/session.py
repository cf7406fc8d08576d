"""One session with a Cyton: stopped, reset, started, and read until the link ends.

The commands are those of docs.openbci.com, "Cyton SDK": "s" stops the stream, "v" resets and tells the firmware, "b"
starts the stream. No channel is configured: the board's default, gain 24, is what `gain` says unless the site has
changed it with OpenBCI's own program.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from decimal import Context, Decimal
from typing import Literal

from pydantic import ConfigDict, Field, field_validator

from devicebridge.sdk import (
    ByteLink,
    DeviceIdentity,
    Lead,
    LinkLost,
    Noise,
    Options,
    Outlet,
    UnexpectedDevice,
    Unit,
    WaveFormat,
)

from .codec import CHANNELS, NUMBERS, CytonCodec, Speech

RATE_HZ = Decimal(250)
REFERENCE_UV = Decimal(4_500_000)  # of the ADS1299
FULL_SCALE = 2**23 - 1
SCALE_DIGITS = Context(prec=10)
STOP, RESET, BEGIN = b"s", b"v", b"b"
RESET_WITHIN_S = 5.0  # it answers in one
RESETS = 3
QUIET_S = 0.9 * NUMBERS / float(RATE_HZ)  # in a longer silence the board's numbers may have come round


class OpenBciOptions(Options):
    """Which electrodes the channels have."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    leads: tuple[Lead, ...] = Field(
        default=(Lead.CH1, Lead.CH2, Lead.CH3, Lead.CH4, Lead.CH5, Lead.CH6, Lead.CH7, Lead.CH8),
        min_length=1,
        max_length=CHANNELS,
    )
    """The lead on each channel from the first on, as "I", "II", "V1"; channels beyond are not read."""
    gain: Literal[1, 2, 4, 6, 8, 12, 24] = 24
    """The amplifier's gain, of all channels."""

    @field_validator("leads")
    @classmethod
    def _each_once(cls, leads: tuple[Lead, ...]) -> tuple[Lead, ...]:
        if len(set(leads)) != len(leads):
            raise ValueError("a lead stands twice; give each channel its own")
        return leads

    @property
    def format(self) -> WaveFormat:
        return WaveFormat(
            leads=self.leads,
            rate_hz=RATE_HZ,
            unit=Unit.MICROVOLT,
            scale=SCALE_DIGITS.divide(REFERENCE_UV, Decimal(self.gain * FULL_SCALE)),
            lowest=-FULL_SCALE - 1,
            highest=FULL_SCALE,
        )


async def session(link: ByteLink, outlet: Outlet, options: OpenBciOptions) -> None:
    """Reads until the link ends. Raises UnexpectedDevice where no board answers."""
    codec = CytonCodec(options.format)
    await _reset(link, outlet, codec)
    await link.write(BEGIN)
    try:
        await _stream(link, outlet, codec)
    except asyncio.CancelledError:
        with suppress(LinkLost):
            await link.write(STOP)
        raise


async def _reset(link: ByteLink, outlet: Outlet, codec: CytonCodec) -> None:
    for _ in range(RESETS):
        await link.write(STOP + RESET)
        with suppress(TimeoutError):
            async with asyncio.timeout(RESET_WITHIN_S):
                while True:
                    for item in codec.feed(await link.read()):
                        if isinstance(item, Speech):
                            outlet.note(_identity(item.text))
                            return
                        if isinstance(item, Noise):
                            outlet.note(item)
    raise UnexpectedDevice


async def _stream(link: ByteLink, outlet: Outlet, codec: CytonCodec) -> None:
    heard_s = asyncio.get_running_loop().time()
    while True:
        data = await link.read()
        now_s = asyncio.get_running_loop().time()
        for item in codec.feed(data):
            if isinstance(item, Noise):
                outlet.note(item)
            elif item.wave is not None:
                outlet.wave(replace(item.wave, after_unknown_gap=now_s - heard_s > QUIET_S))
                heard_s = now_s


def _identity(text: str) -> DeviceIdentity:
    """The answer to a reset, from firmware 2 on, names it in a line of its own: "Firmware: v3.1.2"."""
    lines = (line.partition("Firmware:") for line in text.splitlines())
    firmware = next((value.strip(" $") for _, found, value in lines if found), None)
    return DeviceIdentity(manufacturer="OpenBCI", model="Cyton", firmware=firmware)
