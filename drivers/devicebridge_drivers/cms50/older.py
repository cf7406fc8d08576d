"""The download of the older protocol, 19,200 baud 8O1: CMS50D+ up to firmware 4.5, CMS50E and CMS50F before.

Triplets: three times a header (0xF2, hour, minute of the beginning), a length, then one a second with bit 7 of the
pulse rate in the first byte. Sources: atbrask/CMS50Dplus, cms50dplus.py and unittests.py; OSCAR, cms50_loader.cpp; the
capture in the apneaboard.com wiki, "Contec CMS50X Data Format".
"""

from __future__ import annotations

from devicebridge.sdk import Frame, Why

from .frames import Header, spoken, stored

_HEADER = 0xF2
_COMMANDS = {b"\xf5\xf5": "start-download", b"\xf6\xf6\xf6": "stop-download"}
STARTS = frozenset({0xF0, 0xF1, _HEADER, 0xF5, 0xF6})


def recognise(data: bytes, ended: bool) -> Frame | Why | None:
    if data[0] > _HEADER:
        return spoken(data, _COMMANDS)
    if (len(data) > 1 and data[1] < 0x80) or (len(data) > 2 and data[2] >= 0x80):
        return Why.UNSYNCHRONISED
    if len(data) < 3:
        return None
    return _header(data, ended) if data[0] == _HEADER else _record(data, ended)


def _record(data: bytes, ended: bool) -> Frame | Why | None:
    """Believed if another triplet or nothing stands behind it: there is no checksum."""
    if len(data) == 3 and not ended:
        return None
    if data[3:] and data[3] < 0xF0:
        return Why.UNSYNCHRONISED
    return stored(data[:3], ((data[2], (data[0] & 1) << 7 | data[1] & 0x7F),))


def _header(data: bytes, ended: bool) -> Frame | None:
    """Three of them and the length are one frame; one alone, where others are missing, is one too."""
    one = data[:3]
    hour, minute = one[1] & 0x7F, one[2]
    if len(data) < 12 and not ended and (one * 3).startswith(data[:9]):
        return None
    length = data[9:12]
    if data[:9] == one * 3 and len(length) == 3 and 0x80 <= length[0] < 0xF0 and length[1] >= 0x80 > length[2]:
        size = (length[0] & 0x7F) << 14 | (length[1] & 0x7F) << 7 | length[2]
        return Header(raw=data[:12], hour=hour, minute=minute, seconds=(size + 1) // 3)
    return Header(raw=one, hour=hour, minute=minute)
