"""The Acme electrocardiograph, a device invented for this example: twelve leads at 500 Hz, as fast as resting EKGs go.

A frame of 32 bytes: `EK`, the sample's number in four bytes, twelve samples of 16 bits in 2.5 uV, one byte of flags of
which the lowest says that electrodes are off, and the sum of all before it modulo 256. Low bytes come first.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from decimal import Decimal

from devicebridge.sdk import (
    ByteLink,
    DeviceClockKind,
    Driver,
    Evidence,
    Frame,
    Kind,
    Lead,
    Manifest,
    Model,
    Noise,
    Options,
    Outlet,
    Rhythm,
    SerialSpec,
    Unit,
    Wave,
    WaveFormat,
    Why,
)
from devicebridge.sdk.framer import Framer

START = b"EK"
LAYOUT = struct.Struct("<2sI12hBB")
LEADS_OFF = 0x01
FORMAT = WaveFormat(
    leads=(
        Lead.I, Lead.II, Lead.III, Lead.AVR, Lead.AVL, Lead.AVF,
        Lead.V1, Lead.V2, Lead.V3, Lead.V4, Lead.V5, Lead.V6,
    ),
    rate_hz=Decimal(500),
    unit=Unit.MICROVOLT,
    scale=Decimal("2.5"),
    lowest=-32768,
    highest=32767,
    filters="0.05 Hz to 150 Hz",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Frame):
    number: int


class Codec(Framer):
    def __init__(self) -> None:
        super().__init__(self._recognise_frame, LAYOUT.size)
        self._first: int | None = None

    def _recognise_frame(self, data: bytes, _ended: bool) -> Frame | Why | None:
        if not START.startswith(data[:2]):
            return Why.UNSYNCHRONISED
        if len(data) < LAYOUT.size:
            return None
        if sum(data[:-1]) % 256 != data[-1]:
            return Why.CHECKSUM
        _, number, *row, flags, _ = LAYOUT.unpack(data)
        self._first = number if self._first is None else self._first
        off = frozenset(FORMAT.leads) if flags & LEADS_OFF else frozenset()
        wave = Wave(format=FORMAT, first_index=max(0, number - self._first), rows=(tuple(row),), leads_off=off)
        return Sample(raw=data, wave=wave, number=number)


async def session(link: ByteLink, outlet: Outlet, _options: Options) -> None:
    codec = Codec()
    while True:
        for item in codec.feed(await link.read()):
            if isinstance(item, Noise):
                outlet.note(item)
            elif item.wave is not None:
                outlet.wave(item.wave)


DRIVER = Driver(
    manifest=Manifest(
        id="acme-ekg",
        title="Acme electrocardiograph",
        kinds=frozenset({Kind.ECG}),
        models=(Model(name="Acme 12", evidence=Evidence.VENDOR_DOCUMENT, source="this file: the device is invented"),),
        links=(SerialSpec(baud=230_400),),
        clock=DeviceClockKind.NONE,
        rhythm=Rhythm(idle_timeout_s=5),
    ),
    options=Options,
    session=session,
    codec=lambda _options, _model, _characteristic: Codec(),
)
