"""The 18-byte blocks that a DINAMAP PRO 1000 sends fifty times a second in native binary mode.

Layout and captures: Zeriam/dinamap-reader (dinamap_reader.c, dinamap_data.txt). That the checksum is a CRC-8 (x8 + x7
+ x2 + 1, reflected, over the 14 bytes after the sequence number) was found from those captures, which agree with it.
What the parameter bytes mean is not public, so no value is read from a block.
"""

from __future__ import annotations

from dataclasses import dataclass

from devicebridge.sdk import Frame, Noise, Why

BLOCK_BYTES = 18
_SEQUENCE_COUNT = 200
_CRC_REFLECTED = 0xA1


@dataclass(frozen=True, slots=True, kw_only=True)
class Block(Frame):
    """seq: 0 to 199. wf_status: waveform status. ecg_samples: four of the second channel, 5 ms apart, 10 bits each."""

    seq: int
    wf_status: int
    ecg_samples: tuple[int, ...]
    parameters: bytes


def may_be_block(data: bytes) -> bool:
    """Whether a block may begin here, as far as its bytes have come."""
    return len(data) < BLOCK_BYTES and data[0] < _SEQUENCE_COUNT


def block(data: bytes) -> Block | Noise | None:
    """The block that the bytes begin with; noise where its checksum is wrong; None where there is none."""
    raw = data[:BLOCK_BYTES]
    if len(raw) < BLOCK_BYTES or raw[0] >= _SEQUENCE_COUNT or raw[0] ^ raw[17] != 0xFF or raw[15] ^ raw[16] != 0xFF:
        return None
    if _crc(raw[1:15]) != raw[15]:
        return Noise(raw, Why.CHECKSUM)
    return Block(raw=raw, seq=raw[0], wf_status=raw[1], ecg_samples=_samples(raw[7:12]), parameters=raw[12:15])


def _samples(data: bytes) -> tuple[int, ...]:
    packed = int.from_bytes(data, "big")
    return tuple(packed >> shift & 0x3FF for shift in (30, 20, 10, 0))


def _crc(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CRC_REFLECTED if crc & 1 else 0)
    return crc
