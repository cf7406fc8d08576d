"""OpenView packets: `0A FA length(2) type payload 00 0B`, low bytes first, no checksum and no number.

github.com/Protocentral/protocentral_openview2, lib/plotSerial.dart. A payload may hold the first bytes of a packet, so
in step the length is believed; after noise a packet is believed only where the next one follows it. What is lost leaves
no trace but noise: the samples after it follow a gap of unknown length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from devicebridge.sdk import Frame, Noise, Wave, WaveFormat, Why
from devicebridge.sdk.framer import Framer

from .boards import Layout

START, END = b"\x0a\xfa", b"\x00\x0b"
HEAD_BYTES = 5
ZEROS_OFF = 25
"""So many samples of exactly zero, a fifth of a second, are no heart: the firmware sends them without electrodes."""
_SPO2_NONE = (0, -999 & 0xFF)
"""The firmware's -999, for no SpO2, is sent as one byte."""
_HEART_RATE_MAX = 250
"""Where the firmware ends."""

Layouts = Mapping[tuple[int, int], tuple[Layout, WaveFormat | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet(Frame):
    """The vital signs in it are what the board says at this moment, and no readings; None: it says none.

    electrodes_off: as far as the board tells.
    """

    layout: Layout
    electrodes_off: bool
    spo2_percent: int | None
    heart_rate_per_min: int | None
    respiration_per_min: int | None
    temperature_cel: Decimal | None


class OpenViewCodec:
    """A devicebridge Codec. layouts: the packets of the board, with the format of their samples."""

    def __init__(self, layouts: Layouts) -> None:
        self._layouts = layouts
        longest = HEAD_BYTES + max(length for _, length in layouts) + len(END)
        self._framer = Framer(self._recognise, longest + len(START))
        self._is_in_step = True
        self._has_lost = False
        self._next_index = 0
        self._zeros = 0

    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        return self._framer.feed(data)

    def close(self) -> Sequence[Frame | Noise]:
        return self._framer.close()

    def _recognise(self, data: bytes, ended: bool) -> Frame | Why | None:
        found = self._packet(data, ended)
        if found is not None:
            self._is_in_step = isinstance(found, Frame)
            self._has_lost |= not self._is_in_step
        return self._placed(found) if isinstance(found, Packet) else found

    def _packet(self, data: bytes, ended: bool) -> Packet | Why | None:
        if not START.startswith(data[:2]):
            return Why.UNSYNCHRONISED
        if len(data) < HEAD_BYTES:
            return None
        length = int.from_bytes(data[2:4], "little")
        layout, _ = self._layouts.get((data[4], length), (None, None))
        if layout is None:
            return Why.BAD_FIELD
        size = HEAD_BYTES + length + len(END)
        raw, after = data[:size], data[size : size + len(START)]
        if len(raw) < size:
            return None
        if not raw.endswith(END):
            return Why.BAD_FIELD
        if not self._is_in_step and not ended and after != START:
            return None if START.startswith(after) else Why.UNSYNCHRONISED
        return _read(raw, layout)

    def _placed(self, packet: Packet) -> Packet:
        layout = packet.layout
        _, format_ = self._layouts[packet.raw[4], len(packet.raw) - HEAD_BYTES - len(END)]
        if format_ is None:
            return packet
        rows = _rows(packet.raw[HEAD_BYTES:], layout, len(format_.leads))
        self._zeros = 0 if any(map(any, rows)) else self._zeros + len(rows)
        is_off = packet.electrodes_off or (layout.zero_is_off and self._zeros >= ZEROS_OFF)
        wave = Wave(
            format=format_,
            first_index=self._next_index,
            rows=rows,
            after_unknown_gap=self._has_lost and self._next_index > 0,
            leads_off=frozenset(format_.leads if is_off else ()),
        )
        self._next_index += len(rows)
        self._has_lost = False
        if is_off:
            packet = replace(packet, heart_rate_per_min=None, respiration_per_min=None)
        return replace(packet, wave=wave, electrodes_off=is_off)


def _read(raw: bytes, layout: Layout) -> Packet:
    payload = raw[HEAD_BYTES:]
    off, rate, spo2, cel = layout.electrodes_at, layout.heart_rate_at, layout.spo2_at, layout.temperature_at
    breaths = layout.respiration_at
    hundredths = 0 if cel is None else int.from_bytes(payload[cel : cel + 2], "little", signed=True)
    return Packet(
        raw=raw,
        layout=layout,
        electrodes_off=off is not None and payload[off] != 0,
        spo2_percent=None if spo2 is None or payload[spo2] in _SPO2_NONE or payload[spo2] > 100 else payload[spo2],
        heart_rate_per_min=payload[rate] if rate is not None and 0 < payload[rate] <= _HEART_RATE_MAX else None,
        respiration_per_min=payload[breaths] or None if breaths is not None else None,
        temperature_cel=Decimal(hundredths).scaleb(-2) if hundredths else None,
    )


def _rows(payload: bytes, layout: Layout, channels: int) -> tuple[tuple[int, ...], ...]:
    size = layout.sample_bytes
    numbers = [
        int.from_bytes(payload[at : at + size], "little", signed=True)
        for at in range(0, layout.periods * channels * size, size)
    ]
    return tuple(tuple(numbers[at : at + channels]) for at in range(0, len(numbers), channels))
