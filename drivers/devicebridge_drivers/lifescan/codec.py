"""LifeScan's binary packets: STX, length of all, link, message, ETX, CRC-16 (CCITT-FALSE, low byte first).

The message begins with the family (5: UltraMini and UltraEasy; 3 or 4: Verio) and, from the meter, 6 for success; what
a reply means is told by its length. Sources: those of the manifest; glucometers-tech/glucometer-protocols,
src/lifescan/shared-binary-protocol.md and onetouch-verio-iq.md; tidepool-org/uploader, lib/drivers/onetouch/
oneTouchVerioIQ.js and oneTouchVerioBLE.js (the record of 11 bytes); Gadgetbridge, OneTouchMessage.kt and its tests (the
record of 16, which tells its place and number).
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from devicebridge.sdk import (
    Absent,
    Comparator,
    Context,
    Frame,
    Kind,
    Name,
    Noise,
    Observation,
    Origin,
    Status,
    Unit,
    Value,
    Why,
)
from devicebridge.sdk.framer import Framer

STX, ETX = 0x02, 0x03
PACKET_BYTES = range(6, 65)  # the longest known has 34
ULTRAMINI, VERIO = 0x05, (0x03, 0x04)
SUCCESS, COUNT = 0x06, 0x0F
SEQUENCE, EXPECTS, ACKNOWLEDGES, DISCONNECTS, MORE = 0x01, 0x02, 0x04, 0x08, 0x10  # ue_link.c
HIGHEST_MG_DL, LOWEST_MG_DL = 600, 20  # what the meters can show (tidepool-org/uploader, docs/oneTouchVerioIQ.md)

_UNKNOWN_LINK = 0xE0
_OVERHEAD_BYTES = 6
_EPOCHS = {ULTRAMINI: datetime(1970, 1, 1), **dict.fromkeys(VERIO, datetime(2000, 1, 1))}
_FIRST_TIME = 100_000  # a smaller number is a setting or a counter (oneTouchVerioBLE.js)
_RECORD_BYTES = {ULTRAMINI: (10,), **dict.fromkeys(VERIO, (12, 13, 18))}  # 13 and 18 over Bluetooth
_NUMBERED_BYTES = 16
_MEALS = {1: Context.BEFORE_MEAL, 2: Context.AFTER_MEAL}
_REQUESTS: Mapping[bytes, str] = {
    b"\x05\x0b\x02": "read-serial",
    b"\x05\x0d\x02": "read-firmware",
    b"\x05\x09\x02": "read-setting",
    b"\x05\x08\x02": "read-setting",
    b"\x05\x20\x02": "read-clock",
    b"\x05\x20\x01": "set-clock",
    b"\x05\x1f": "read-record",
    b"\x05\x1a": "erase",
    b"\x03\x0b": "read-serial",
    b"\x03\x0d\x01": "read-firmware",
    b"\x03\x09\x02": "read-setting",
    b"\x03\x0a\x02": "read-counter",
    b"\x03\x20\x02": "read-clock",
    b"\x03\x20\x01": "set-clock",
    b"\x03\x27\x00": "read-count",
    b"\x03\x21": "read-record",
    b"\x03\xb3": "read-record",
    b"\x03\x31\x02": "read-record",
    b"\x03\x1a": "erase",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet(Frame):
    """One packet of either side. `name` says what it is, `number`, `time` and `text` what is in it, where known."""

    link: int
    message: bytes
    name: str
    number: int | None = None
    time: datetime | None = None
    text: str | None = None

    @property
    def sequence(self) -> int:
        return self.link & SEQUENCE

    @property
    def is_acknowledgement(self) -> bool:
        return bool(self.link & ACKNOWLEDGES)

    @property
    def is_disconnect(self) -> bool:
        return bool(self.link & DISCONNECTS)


def codec() -> Framer:
    return Framer(recognise, PACKET_BYTES.stop - 1)


def encode(link: int, message: bytes = b"") -> bytes:
    """A packet as the host sends it."""
    packet = bytes((STX, len(message) + _OVERHEAD_BYTES, link)) + message + bytes((ETX,))
    return packet + _crc(packet).to_bytes(2, "little")


def time_of(family: int, seconds: int) -> datetime:
    """The meter's local time."""
    return _EPOCHS[family] + timedelta(seconds=seconds)


def recognise(data: bytes, ended: bool) -> Packet | Noise | Why | None:
    if not _is_head(data):
        return Why.UNSYNCHRONISED
    if len(data) < 2 or len(data) < data[1]:
        return Why.INCOMPLETE if ended else None
    raw = data[: data[1]]
    if raw[-3] != ETX:
        return Why.UNSYNCHRONISED
    if _crc(raw[:-2]) != int.from_bytes(raw[-2:], "little"):
        return Noise(raw, Why.CHECKSUM)
    return _packet(raw, raw[2], raw[3:-3])


def _crc(data: bytes) -> int:
    """CRC-16/CCITT-FALSE."""
    return crc_hqx(data, 0xFFFF)


def _is_head(data: bytes) -> bool:
    """Whether the first four bytes, as far as they are there, can begin a packet."""
    if data[0] != STX or (len(data) > 1 and data[1] not in PACKET_BYTES):
        return False
    if len(data) > 2 and data[2] & _UNKNOWN_LINK:
        return False
    return len(data) < 4 or data[3] in ((ETX,) if data[1] == _OVERHEAD_BYTES else (ULTRAMINI, *VERIO))


def _packet(raw: bytes, link: int, message: bytes) -> Packet:
    if not message:
        names = {0: "empty", ACKNOWLEDGES: "acknowledge", DISCONNECTS: "disconnect"}
        name = names.get(link & (ACKNOWLEDGES | DISCONNECTS), "disconnected")
        return Packet(raw=raw, link=link, message=message, name=name)
    return _reply(raw, link, message) or Packet(raw=raw, link=link, message=message, name=_request_name(message))


def _request_name(message: bytes) -> str:
    key = message if message[0] == ULTRAMINI else b"\x03" + message[1:]
    return next((name for head, name in _REQUESTS.items() if key.startswith(head)), "unknown")


def _reply(raw: bytes, link: int, message: bytes) -> Packet | None:
    """What the meter says; None where it is the host that speaks."""
    family, body = message[0], message[2:]
    if message[:2] == bytes((ULTRAMINI, COUNT)) and len(body) == 2:
        return Packet(raw=raw, link=link, message=message, name="count", number=int.from_bytes(body, "little"))
    if len(message) < 2 or message[1] != SUCCESS:
        is_refusal = len(message) == 2 and _request_name(message) == "unknown"
        return Packet(raw=raw, link=link, message=message, name="refused", number=message[1]) if is_refusal else None
    if len(message) in _RECORD_BYTES[family] and (record := _record(raw, family, body)):
        return Packet(raw=raw, link=link, message=message, name="record", time=record.device_time, group=(record,))
    if len(body) in (2, 4):
        return _number(raw, link, message)
    text = body[1:].strip(b"\0") if body and body[0] < 0x20 else body.partition(b"\0")[0]
    is_text = bool(text) and all(0x20 <= byte <= 0x7E for byte in text)
    name = "text" if is_text else "data" if body else "ok"
    return Packet(raw=raw, link=link, message=message, name=name, text=text.decode() if is_text else None)


def _number(raw: bytes, link: int, message: bytes) -> Packet:
    """A count in two bytes; in four a time, or a setting or counter, which is smaller than any time."""
    number = int.from_bytes(message[2:], "little")
    if len(message) == 4:
        return Packet(raw=raw, link=link, message=message, name="count", number=number)
    if number < _FIRST_TIME:
        return Packet(raw=raw, link=link, message=message, name="number", number=number)
    return Packet(raw=raw, link=link, message=message, name="clock", time=time_of(message[0], number))


def _record(raw: bytes, family: int, body: bytes) -> Observation | None:
    """One glucose result, absent where a field is what it cannot be; None where these are letters, as of a serial
    number."""
    if is_numbered := len(body) == _NUMBERED_BYTES:
        if body[2]:
            return None
        body = body[5:]
    is_old = family == ULTRAMINI
    mg_dl = int.from_bytes(body[4:] if is_old else body[4:6], "little")
    control, rest = (0, b"") if is_old else (body[6], body[7:])
    is_sound = mg_dl <= 0xFFFF and control <= 1
    if not is_sound and _is_letters(body):
        return None
    meal = rest[0] if len(rest) == 3 else 0  # a record of Verio IQ
    odd = rest[3:] if is_numbered else rest[1:]  # over Bluetooth nobody has said what the first is
    value, status = _value(mg_dl) if is_sound else (_FAILED, frozenset())
    if control == 1:
        status |= {Status.CONTROL_SOLUTION}
    if not is_sound or meal > max(_MEALS) or any(odd):
        status |= {Status.UNEXPECTED_FORMAT}
    return Observation(
        kind=Kind.GLUCOSE,
        values=(value,),
        raw=raw,
        device_time=time_of(family, int.from_bytes(body[:4], "little")),
        origin=Origin.STORED,
        status=status,
        context=frozenset({_MEALS[meal]} if meal in _MEALS else ()),
    )


def _is_letters(body: bytes) -> bool:
    """Of one or of two bytes, ended by zeros."""
    text = body[::2] if not any(body[1::2]) else body
    return all(0x20 <= byte <= 0x7E for byte in text.rstrip(b"\0"))


_FAILED = Value(Name.GLUCOSE, Unit.MG_PER_DL, absent=Absent.ERROR)


def _value(mg_dl: int) -> tuple[Value, frozenset[Status]]:
    """UltraMini sends 0xFFFF for HI; none says how it sends LO, but none can show less than LOWEST_MG_DL."""
    if mg_dl == 0:
        return _FAILED, frozenset()
    if mg_dl > HIGHEST_MG_DL:
        return _beyond(HIGHEST_MG_DL, Comparator.ABOVE), frozenset({Status.RESULT_ABOVE_RANGE})
    if mg_dl < LOWEST_MG_DL:
        return _beyond(LOWEST_MG_DL, Comparator.BELOW), frozenset({Status.RESULT_BELOW_RANGE})
    return Value(Name.GLUCOSE, Unit.MG_PER_DL, Decimal(mg_dl)), frozenset()


def _beyond(limit: int, comparator: Comparator) -> Value:
    return Value(Name.GLUCOSE, Unit.MG_PER_DL, Decimal(limit), comparator=comparator)
