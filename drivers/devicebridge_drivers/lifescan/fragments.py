"""LifeScan's packets over Bluetooth LE: in fragments, each of which is acknowledged.

A value begins with a byte of its own. Below 0x40: so many fragments make the packet that begins here; 0x40: one of its
others; 0x80: the receipt of one, which stands alone. What a value lacks of its packet has been in those before it.
Sources: dezi/xavaro, BlueToothGlucoseOneTouch.java; Gadgetbridge, OneTouchSupport.kt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from devicebridge.sdk import ByteLink, Frame, Noise, Why

from .codec import PACKET_BYTES, Packet, recognise

SERVICE = "af9df7a1-e595-11e3-96b4-0002a5d5c51b"
WRITE = "af9df7a2-e595-11e3-96b4-0002a5d5c51b"
NOTIFY = "af9df7a3-e595-11e3-96b4-0002a5d5c51b"

ALONE, CONTINUES, RECEIPT = 0x01, 0x40, 0x80
NUMBER = 0x3F


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment(Frame):
    """A piece of a packet that is not whole yet."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Frame):
    """The other side has a fragment."""

    number: int


class FragmentCodec:
    """A value a call; the last fragment gives the packet."""

    def __init__(self) -> None:
        self._packet = b""
        self._left = 0

    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        return (self._value(data),)

    def close(self) -> Sequence[Frame | Noise]:
        return ()

    def _value(self, value: bytes) -> Frame | Noise:
        if not value or (len(value) == 1 and value[0] < RECEIPT):
            return Noise(value, Why.TOO_SHORT)
        header = value[0]
        if header >= RECEIPT:
            is_alone = len(value) == 1
            return Receipt(raw=value, number=header & NUMBER) if is_alone else Noise(value, Why.TOO_LONG)
        if header < CONTINUES:
            self._packet, self._left = b"", header
        if not self._left:
            return Noise(value, Why.UNSYNCHRONISED)
        self._packet += value[1:]
        self._left -= 1
        found = self._whole()
        if found is None:
            return Fragment(raw=value, number=header & NUMBER)
        self._left = 0
        return replace(found, raw=value) if isinstance(found, Packet) else Noise(value, found)

    def _whole(self) -> Packet | Why | None:
        """None where there is more to come."""
        if len(self._packet) >= PACKET_BYTES.stop:
            return Why.TOO_LONG
        found = recognise(self._packet, self._left == 0)
        if isinstance(found, Packet):
            return found if len(found.raw) == len(self._packet) else Why.TOO_LONG
        return found.why if isinstance(found, Noise) else found


class ReceiptLine:
    """A ByteLink of whole values, on which each fragment gets its receipt; what is written fits into one."""

    def __init__(self, values: ByteLink) -> None:
        self._values = values

    async def read(self) -> bytes:
        value = await self._values.read()
        if value[0] < RECEIPT:
            await self._values.write(bytes((RECEIPT | value[0] & NUMBER,)))
        return value

    async def write(self, data: bytes, /) -> None:
        await self._values.write(bytes((ALONE,)) + data)
