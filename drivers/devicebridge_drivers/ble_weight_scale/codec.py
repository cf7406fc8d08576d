"""The characteristics of a scale, of which two are measurements.

Bluetooth SIG, Weight Scale Service 1.0 (2A9D, 2A9E), Body Composition Service 1.0 (2A9C, 2A9B), User Data Service 1.1
(2A9F) and GATT Specification Supplement: flags, then what the flags announce, in their order. A&D scales of before the
standard have a characteristic of their own, laid out like 2A9D with one decimal.

A value must be exactly as long as its flags say; reserved flags announce nothing. 0xFFFF is a failure to measure. A
zero is a field that the scale did not fill. A share of more than the whole was laid out by other rules than these: the
value is noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from devicebridge.sdk import Frame, Noise, Why
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.codec import ValueCodec

from .fields import BadField
from .measurements import AND_TENTHS, STANDARD, Composition, Weight, composition, weight

MEASUREMENT = uuid16(0x2A9D)
FEATURE = uuid16(0x2A9E)
COMPOSITION = uuid16(0x2A9C)
COMPOSITION_FEATURE = uuid16(0x2A9B)
USER_CONTROL = uuid16(0x2A9F)
AND_MEASUREMENT = "23434101-1fe4-1eff-80cb-00ff78297d8b"
CHARACTERISTICS = (MEASUREMENT, FEATURE, COMPOSITION, COMPOSITION_FEATURE, USER_CONTROL, AND_MEASUREMENT)

REGISTER, CONSENT, RESPONSE = 0x01, 0x02, 0x20
SUCCESS = 1
_REQUEST_BYTES = {REGISTER: 3, CONSENT: 4}

_MASS_RESOLUTION_G = {1: 500, 2: 200, 3: 100, 4: 50, 5: 20, 6: 10, 7: 5}
_HEIGHT_RESOLUTION_MM = {1: 10, 2: 5, 3: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature(Frame):
    """What the scale can do, as its bits, and how finely it weighs. The values are not in units of this."""

    bits: int
    mass_resolution_g: int | None
    height_resolution_mm: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRequest(Frame):
    """What a host asks of the user control point."""

    opcode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlResponse(Frame):
    """The answer: 1 success, 2 not supported, 3 invalid parameter, 4 failed, 5 not authorized."""

    request: int
    result: int

    @property
    def is_refusal(self) -> bool:
        return self.request == CONSENT and self.result != SUCCESS


class Codec(ValueCodec):
    """One whole characteristic value a call, one item back."""

    def __init__(self, characteristic: str | None = None) -> None:
        read = _READERS.get(characteristic or MEASUREMENT)
        super().__init__(read and partial(_decode, read))


def _decode(read: Callable[[bytes], Frame], data: bytes) -> Frame | Noise:
    try:
        return read(data)
    except BadField as bad:
        return Noise(data, bad.why)


def _weight(data: bytes) -> Weight:
    return weight(data, STANDARD)


def _and_weight(data: bytes) -> Weight:
    return weight(data, AND_TENTHS)


def _composition(data: bytes) -> Composition:
    return composition(data)


def _feature(data: bytes) -> Feature:
    return _features(data, mass_bit=3, height_bit=7)


def _composition_feature(data: bytes) -> Feature:
    return _features(data, mass_bit=11, height_bit=15)


def _features(data: bytes, *, mass_bit: int, height_bit: int) -> Feature:
    _check_length(data, 4)
    bits = int.from_bytes(data, "little")
    return Feature(
        raw=data,
        bits=bits,
        mass_resolution_g=_MASS_RESOLUTION_G.get(bits >> mass_bit & 0xF),
        height_resolution_mm=_HEIGHT_RESOLUTION_MM.get(bits >> height_bit & 0x7),
    )


def _user_control(data: bytes) -> ControlRequest | ControlResponse:
    if not data:
        raise BadField(Why.TOO_SHORT)
    if data[0] != RESPONSE:
        _check_length(data, _REQUEST_BYTES.get(data[0], len(data)))
        return ControlRequest(raw=data, opcode=data[0])
    if len(data) < 3:
        raise BadField(Why.TOO_SHORT)
    return ControlResponse(raw=data, request=data[1], result=data[2])


def _check_length(data: bytes, length: int) -> None:
    if len(data) != length:
        raise BadField(Why.TOO_SHORT if len(data) < length else Why.TOO_LONG)


_READERS: Mapping[str, Callable[[bytes], Frame]] = {
    MEASUREMENT: _weight,
    FEATURE: _feature,
    COMPOSITION: _composition,
    COMPOSITION_FEATURE: _composition_feature,
    USER_CONTROL: _user_control,
    AND_MEASUREMENT: _and_weight,
}
