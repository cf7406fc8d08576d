"""The three kinds of frames, how they are checked, and what the host sends.

- Older rings: `AA command ~command block(2) length(2) data crc` from the host, `55 status ~status ...` back; the answer
  does not say to what.
- Lepu's second version: `A5 command ~command direction number length(2) data crc`, direction 0 of the host, 1 of an
  answer, another of a refusal. Both: low bytes first, CRC-8 with the polynomial 07, from 0.
- PC-60FW and relatives: `AA 55 token length data crc`, CRC-8/MAXIM; the length counts the crc.

Sources: github.com/MackeyStingray/o2r, o2pkt.py; github.com/chalimov/viatom_bp2_ha, LP-BP2W_PROTOCOL.md;
github.com/sza2/viatom_pc60fw.
"""

from __future__ import annotations

from enum import IntEnum

RING_HOST, RING_DEVICE, LEPU, CLIP = 0xAA, 0x55, 0xA5, b"\xaa\x55"
HEAD_BYTES = 7
CLIP_HEAD_BYTES = 4
TOKENS = (0x0F, 0xF0)
DATA_MAX_BYTES = 2048
"""More is the length of no answer (viatom_bp2_ha); a ring's answers are shorter."""
LONGEST_BYTES = HEAD_BYTES + DATA_MAX_BYTES + 1


class RingAsk(IntEnum):
    """What an older ring is asked."""

    INFO = 0x14
    SENSORS = 0x17


class CuffAsk(IntEnum):
    """What a cuff is asked: each of these was tried and changes nothing (viatom_bp2_ha, 4.2 and 4.3).

    04, 09, 0A, 24, 25, 39, E2 and E3 inflate, switch off or erase: they are not in this list.
    """

    STATE = 0x00
    INFO = 0xE1
    FILE_OPEN = 0xF2
    FILE_READ = 0xF3
    FILE_CLOSE = 0xF4


class RingSAsk(IntEnum):
    """What an O2Ring-S is asked. Its LIVE is another thing to a cuff, which has another service."""

    INFO = 0xE1
    BATTERY = 0xE4
    LIVE = 0x04


class EcgAsk(IntEnum):
    """What an EKG device is asked besides its INFO (LepuBle, UniversalBleCmd.java). 04 sets it, E2 and E3 erase."""

    LIVE = 0x03


def ask_ring(ask: RingAsk) -> bytes:
    return _sealed(bytes((RING_HOST, ask, ask ^ 0xFF, 0, 0, 0, 0)))


def ask_lepu(ask: CuffAsk | RingSAsk | EcgAsk, number: int, data: bytes = b"") -> bytes:
    """number: comes back with the answer."""
    return _sealed(bytes((LEPU, ask, ask ^ 0xFF, 0, number)) + len(data).to_bytes(2, "little") + data)


def crc8(data: bytes) -> int:
    """Polynomial x8 + x2 + x + 1, from 0, highest bit first."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc


def crc8_maxim(data: bytes) -> int:
    """Polynomial x8 + x5 + x4 + 1, from 0, lowest bit first."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8C if crc & 1 else crc >> 1
    return crc


def _sealed(body: bytes) -> bytes:
    return body + bytes((crc8(body),))
