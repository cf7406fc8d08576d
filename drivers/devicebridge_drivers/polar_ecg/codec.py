"""The Polar Measurement Data service: its control point (FB005C81) and its data (FB005C82).

Polar, "Polar Measurement Data Specification for 3rd Party" (polar-ble-sdk, technical_documentation). A data frame: the
measurement's type, 0 for EKG; the time of the last sample in nanoseconds; the frame's type, 0 for samples of 24 bits,
signed, low byte first, in microvolts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from devicebridge.sdk import Codec, Frame, Lead, Noise, Unit, Wave, WaveFormat, Why
from devicebridge.sdk.codec import ValueCodec

SERVICE = "fb005c80-02e7-f387-1cad-8acd2d8df0c8"
CONTROL = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"
CHARACTERISTICS = (DATA, CONTROL)

ECG, PLAIN = 0, 0
HEADER_BYTES, SAMPLE_BYTES = 10, 3
RATE_HZ = 130
FORMAT = WaveFormat(
    leads=(Lead.ECG,),
    rate_hz=Decimal(RATE_HZ),
    unit=Unit.MICROVOLT,
    scale=Decimal(1),
    lowest=-(1 << 23),
    highest=(1 << 23) - 1,
)
_ANSWER, _FEATURES = 0xF0, 0x0F
_NS_PER_S = 1_000_000_000
_GAP_MAX_S = 10  # no session lasts through a longer silence: see the manifest's rhythm


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples(Frame):
    """A data frame. time_ns: of its last sample, since the strap's clock was set. microvolts: empty for other types."""

    measurement: int
    frame_type: int
    time_ns: int
    microvolts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Frame):
    """Of the control point. error: 0 success, 6 already in that state."""

    opcode: int
    measurement: int
    error: int
    parameters: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Features(Frame):
    """What a read of the control point gives. measurements: the types that the strap has."""

    measurements: frozenset[int]


def codec(characteristic: str | None) -> Codec:
    if characteristic in (None, DATA):
        return DataCodec()
    return ValueCodec(_control if characteristic == CONTROL else None)


class DataCodec:
    """Places each frame's samples by the strap's own time.

    Its crystal is not exactly that of the declared rate, so two frames belong together unless more than a quarter of a
    frame seems to be missing between them; then as many are missing as its time says.
    """

    def __init__(self) -> None:
        self._next_index = 0
        self._last_ns: int | None = None

    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        if len(data) < HEADER_BYTES:
            return (Noise(data, Why.TOO_SHORT),)
        measurement, frame_type = data[0], data[9]
        time_ns = int.from_bytes(data[1:9], "little")
        if (measurement, frame_type) != (ECG, PLAIN):
            return (self._frame(data, measurement, frame_type, time_ns),)
        if len(data) == HEADER_BYTES or (len(data) - HEADER_BYTES) % SAMPLE_BYTES:
            return (Noise(data, Why.TOO_SHORT),)
        return (self._placed(data, time_ns),)

    def close(self) -> Sequence[Frame | Noise]:
        return ()

    def _frame(self, data: bytes, measurement: int, frame_type: int, time_ns: int) -> Samples:
        return Samples(raw=data, measurement=measurement, frame_type=frame_type, time_ns=time_ns, microvolts=())

    def _placed(self, data: bytes, time_ns: int) -> Samples:
        microvolts = tuple(
            int.from_bytes(data[at : at + SAMPLE_BYTES], "little", signed=True)
            for at in range(HEADER_BYTES, len(data), SAMPLE_BYTES)
        )
        lost = self._lost(time_ns, len(microvolts))
        wave = None
        if lost is None or lost >= 0:
            first = self._next_index + (lost or 0)
            rows = tuple((sample,) for sample in microvolts)
            wave = Wave(format=FORMAT, first_index=first, rows=rows, after_unknown_gap=lost is None)
            self._next_index, self._last_ns = first + len(microvolts), time_ns
        return Samples(raw=data, wave=wave, measurement=ECG, frame_type=PLAIN, time_ns=time_ns, microvolts=microvolts)

    def _lost(self, time_ns: int, count: int) -> int | None:
        """How many samples are missing before this frame; -1 for a frame that came before; None if nobody knows."""
        if self._last_ns is None:
            return 0
        if time_ns == self._last_ns:
            return -1
        if time_ns < self._last_ns:
            return None  # the strap's clock was set
        lost = round((time_ns - self._last_ns) * RATE_HZ / _NS_PER_S) - count
        if lost > _GAP_MAX_S * RATE_HZ:
            return None  # it was set forward
        return lost if lost > count / 4 else 0


def _control(data: bytes) -> Frame | Noise:
    if not data:
        return Noise(data, Why.TOO_SHORT)
    if data[0] == _FEATURES:
        bits = int.from_bytes(data[1:3], "little")
        return Features(raw=data, measurements=frozenset(n for n in range(16) if bits >> n & 1))
    if data[0] != _ANSWER:
        return Noise(data, Why.BAD_FIELD)
    if len(data) < 4:
        return Noise(data, Why.TOO_SHORT)
    return Answer(raw=data, opcode=data[1], measurement=data[2], error=data[3], parameters=data[5:])
