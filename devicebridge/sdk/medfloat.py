"""IEEE 11073-20601 SFLOAT (16 bit) and FLOAT (32 bit), little-endian as Bluetooth sends them.

A word is a signed decimal exponent above a signed mantissa. Five words are not numbers; they are tested before
anything is scaled (11073-20601:2014, 6.3 and annex; Bluetooth GATT Specification Supplement, "medfloat16/32").
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from .values import Absent

KEPT_WORDS = 4096
"""Vital signs come in a few hundred different words, again and again; each is taken apart once, in half a megabyte."""

_SFLOAT_SPECIAL = {
    0x07FF: Absent.NOT_A_NUMBER,
    0x0800: Absent.ERROR,  # NRes: not at this resolution
    0x07FE: Absent.POSITIVE_INFINITY,
    0x0802: Absent.NEGATIVE_INFINITY,
    0x0801: Absent.ERROR,  # reserved
}
_FLOAT_SPECIAL = {
    0x007FFFFF: Absent.NOT_A_NUMBER,
    0x00800000: Absent.ERROR,
    0x007FFFFE: Absent.POSITIVE_INFINITY,
    0x00800002: Absent.NEGATIVE_INFINITY,
    0x00800001: Absent.ERROR,
}


@lru_cache(KEPT_WORDS)
def sfloat(data: bytes) -> Decimal | Absent:
    """Two bytes to a Decimal with the digits sent, or the reason why they are no number.

    Raises ValueError unless there are exactly two.
    """
    return _decode(data, 2, 12, _SFLOAT_SPECIAL)


@lru_cache(KEPT_WORDS)
def float32(data: bytes) -> Decimal | Absent:
    """Four bytes to a Decimal with the digits sent, or the reason why they are no number.

    Raises ValueError unless there are exactly four.
    """
    return _decode(data, 4, 24, _FLOAT_SPECIAL)


def _decode(data: bytes, size: int, mantissa_bits: int, special: dict[int, Absent]) -> Decimal | Absent:
    if len(data) != size:
        raise ValueError(f"expected {size} bytes, got {len(data)}")
    word = int.from_bytes(data, "little")
    if word in special:
        return special[word]
    mantissa = _signed(word & ((1 << mantissa_bits) - 1), mantissa_bits)
    exponent = _signed(word >> mantissa_bits, size * 8 - mantissa_bits)
    return Decimal(mantissa).scaleb(exponent)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value
