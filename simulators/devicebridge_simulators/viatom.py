"""Viatom's rings, clips and cuffs: the other end of `viatom`.

Written from github.com/MackeyStingray/o2r (rings), chalimov/viatom_bp2_ha, LP-BP2W_PROTOCOL.md (cuffs),
nglessner/o2ring-s-protocol (O2Ring-S), sza2/viatom_pc60fw (clips) and viatom-develop/LepuBle, Er1BleResponse.kt (EKG
devices), with an encoder of its own. A clip speaks by itself; the others answer what they are asked.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from devicebridge.sdk.heart import Heart
from devicebridge.sdk.peripheral import Inbox
from devicebridge.sdk.simulation import (
    Access,
    Characteristic,
    Expected,
    GattPort,
    GattScenario,
    GattSimulator,
    Service,
    Vitals,
)
from devicebridge.sdk.values import Absent, Kind, Name, Origin, Status
from devicebridge.sdk.wave import Lead, Row

SERVICE = "14839ac4-7d7e-415c-9a42-167340cf2339"
NOTIFY, WRITE = "0734594a-a8e7-4b1a-a6b1-cd5243059a57", "8b00ace7-eb0b-49b0-bbe9-9aee0a26e1a3"
RING_S = tuple(f"e8fb000{n}-a14b-98f9-831b-4e2941d01248" for n in (1, 2, 3))
UART = tuple(f"6e40000{n}-b5a3-f393-e0a9-e50e24dcca9e" for n in (1, 2, 3))
FORBIDDEN = (0x04, 0x09, 0x0A, 0x24, 0x25, 0x39, 0xE2, 0xE3)
"""What makes a BP2 inflate, switch off or forget."""

_PIECE_BYTES = 20
_IDLE_S = 0.3  # of the clock on the wall: a host needs its time at any pace
_PATIENCE_S = 30.0
IDLE, MEASURING, SHOWS = 3, 4, 5


def crc8(data: bytes, table: Sequence[int]) -> int:
    crc = 0
    for byte in data:
        crc = table[crc ^ byte]
    return crc


def _forward(crc: int) -> int:
    for _ in range(8):
        crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
    return crc


def _reflected(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (0x8C if crc & 1 else 0)
    return crc


_SMBUS, _MAXIM = [_forward(n) for n in range(256)], [_reflected(n) for n in range(256)]


def ring_frame(data: bytes, status: int = 0) -> bytes:
    body = struct.pack("<BBBHH", 0x55, status, status ^ 0xFF, 0, len(data)) + data
    return body + bytes((crc8(body, _SMBUS),))


def lepu_frame(command: int, number: int, data: bytes, direction: int = 1) -> bytes:
    body = struct.pack("<BBBBBH", 0xA5, command, command ^ 0xFF, direction, number, len(data)) + data
    return body + bytes((crc8(body, _SMBUS),))


def clip_frame(token: int, kind: int, *data: int) -> bytes:
    body = bytes((0xAA, 0x55, token, len(data) + 2, kind, *data))
    return body + bytes((crc8(body, _MAXIM),))


def oximetry(spo2: int, pulse: int, perfusion: str | None = None, *status: Status) -> Expected:
    values: dict[Name, Decimal | Absent | str] = {Name.SPO2: Decimal(spo2), Name.PULSE_RATE: Decimal(pulse)}
    if perfusion is not None:
        values[Name.PERFUSION_INDEX] = Decimal(perfusion)
    return Expected(kind=Kind.PULSE_OXIMETRY, values=values, status=frozenset(status))


def _talk(
    services: tuple[str, str, str],
    answers: Callable[[], Callable[[bytes], Iterable[bytes] | None]],
    title: str,
    expected: Sequence[Expected],
    options: Mapping[str, object] | None = None,
    last: int | None = None,
    rows: Sequence[Row] = (),
) -> GattScenario:
    """answers: a fresh device for each play, which gives its answer in frames, or None when it is to hang up.

    last: the command after whose answer it hangs up, too.
    """
    inbox = Inbox()
    service, write, notify = services

    def table() -> tuple[Service, ...]:
        inbox.clear()
        sends = Characteristic(uuid=notify, access=Access.NOTIFY)
        takes = Characteristic(uuid=write, access=Access.WRITE_WITHOUT_RESPONSE, written=inbox.written)
        return (Service(service, (sends, takes)),)

    async def run(port: GattPort) -> None:
        device = answers()
        await port.subscribed(notify)
        asked, wait_s = b"", _PATIENCE_S
        with suppress(TimeoutError):
            while True:
                asked += await asyncio.wait_for(inbox.next(), wait_s)
                if len(asked) < 8 or len(asked) < 8 + int.from_bytes(asked[5:7], "little"):
                    continue
                command, frames, asked = asked[1], device(asked), b""
                if frames is None or command == last:
                    wait_s = _IDLE_S
                for frame in frames or ():
                    await _send(port, notify, frame)

    return GattScenario(
        title=title, services=table, run=run, expected=tuple(expected), rows=tuple(rows), options=options or {}
    )


async def _send(port: GattPort, notify: str, data: bytes) -> None:
    for start in range(0, len(data), _PIECE_BYTES):
        await port.notify(notify, data[start : start + _PIECE_BYTES])


# --- Rings -------------------------------------------------------------------------------------------------------

RING_INFO = (
    b'{"Region":"CE","Model":"1641","HardwareVer":"AA","SoftwareVer":"1.4.0","BootloaderVer":"1.0",'
    b'"FileList":"","SN":"SIM-RING-1","CurTIME":"2026-11-21,10:20:00","CurBAT":"97%","CurBatState":"0"}\0'
)
OFF = bytes.fromhex("ffffff00000000600005000000")  # as a ring sends it that nobody wears (o2r, o2state.py)
CALIBRATING = bytes.fromhex("00000000000000600000000100")


def worn(spo2: int, pulse: int, perfusion_10ths: int = 10) -> bytes:
    return bytes((spo2, pulse, 0, 0, 0, 0, 0, 96, 0, 3, perfusion_10ths, 1, 0))


def ring(
    seconds: Sequence[bytes], title: str, expected: Sequence[Expected], options: Mapping[str, object] | None = None
) -> GattScenario:
    def device() -> Callable[[bytes], Iterable[bytes] | None]:
        values = iter(seconds)

        def answer(asked: bytes) -> Iterable[bytes] | None:
            if asked[:2] == b"\xaa\x14":
                return [ring_frame(RING_INFO)]
            if asked[:2] == b"\xaa\x17":
                value = next(values, None)
                return None if value is None else [ring_frame(value)]
            return ()

        return answer

    return _talk((SERVICE, WRITE, NOTIFY), device, title, expected, options or {"steady_s": 2})


def ring_s(options: Mapping[str, object], title: str, expected: Sequence[Expected]) -> GattScenario:
    info = bytearray(60)
    info[9:17], info[37], info[38:48] = b"2D010002", 10, b"25B2303210"
    live = bytearray(26)
    live[5:9], live[13] = bytes((1, 97, 10, 72)), 80

    def device() -> Callable[[bytes], Iterable[bytes] | None]:
        lives = iter([bytes(live)] * 3)

        def answer(asked: bytes) -> Iterable[bytes] | None:
            command, number = asked[1], asked[4]
            found = {0xE1: bytes(info), 0xE4: bytes((0, 80, 0, 0))}.get(command)
            if command == 0x04:
                found = next(lives, None)
            if found is None:
                return None
            return [lepu_frame(command, number, found)]

        return answer

    last = None if options else 0xE4
    return _talk((RING_S[0], RING_S[1], RING_S[2]), device, title, expected, options, last)


# --- Cuffs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reading:
    systolic: int
    diastolic: int
    mean: int
    pulse: int
    time: datetime
    irregular: bool = False

    def encode(self) -> bytes:
        seconds = int(self.time.replace(tzinfo=UTC).timestamp())
        numbers = (self.systolic, self.diastolic, self.mean, self.pulse)
        return struct.pack("<IIB4x4H16x", seconds, 218071, self.irregular, *numbers)

    def expected(self, origin: Origin = Origin.STORED) -> Expected:
        names = (Name.SYSTOLIC, Name.DIASTOLIC, Name.MEAN, Name.PULSE_RATE)
        numbers = (self.systolic, self.diastolic, self.mean, self.pulse)
        return Expected(
            kind=Kind.BLOOD_PRESSURE,
            values={name: Decimal(number) for name, number in zip(names, numbers, strict=True)},
            status=frozenset({Status.IRREGULAR_PULSE} if self.irregular else ()),
            device_time=self.time,
            origin=origin,
        )


@dataclass(slots=True)
class Cuff:
    """states: what it is doing, question by question. refuses: gives its file at the next visit."""

    records: Sequence[Reading]
    states: Sequence[int] = (IDLE,)
    refuses: bool = False
    asked: list[int] = field(default_factory=list)

    def scenario(
        self, title: str, expected: Sequence[Expected] = (), options: Mapping[str, object] | None = None
    ) -> GattScenario:
        return _talk((SERVICE, WRITE, NOTIFY), self._visit, title, expected, options)

    def _visit(self) -> Callable[[bytes], Iterable[bytes] | None]:
        states = list(self.states)
        file = bytes(10) + b"".join(record.encode() for record in self.records) + bytes(37)
        info = bytearray(60)
        info[9:17], info[37], info[38:48] = b"32120011", 10, b"2523C00812"

        def answer(asked: bytes) -> Iterable[bytes] | None:
            if asked[0] != 0xA5:
                return ()
            command, number, data = asked[1], asked[4], asked[7:-1]
            self.asked.append(command)
            assert command not in FORBIDDEN, hex(command)
            if command == 0xF2:
                if self.refuses or data != b"bp2nibp.list".ljust(20, b"\0"):
                    return [lepu_frame(command, number, b"", direction=0xE1)]
                return [lepu_frame(command, number, len(file).to_bytes(4, "little"))]
            if command == 0xF4:
                return [lepu_frame(command, number, b"")]
            if command == 0x00 and not states:
                return None
            state = states.pop(0) if command == 0x00 else 0
            offset = int.from_bytes(data[:4], "little")
            found = {0xE1: bytes(info), 0x00: bytes(39) + bytes((state,)), 0xF3: file[offset : offset + 64]}[command]
            return [lepu_frame(command, number, found)]

        self.asked.clear()
        return answer


# --- EKG devices -------------------------------------------------------------------------------------------------

PER_ANSWER, MEASURING_EKG, LEAD_OFF, NO_SAMPLE = 62, 2, 7, 0x7FFF
EKG_COUNTS_PER_MV, EKG_RATE_HZ = 405.3, 125


@dataclass(frozen=True, slots=True)
class Kept:
    """What it kept between two questions. lost: its answer does not arrive; doubled: it comes twice."""

    samples: Sequence[int | None]
    state: int = MEASURING_EKG
    rate: int = 72
    lost: bool = False
    doubled: bool = False

    def encode(self) -> bytes:
        head = struct.pack("<HBBIB11xH", self.rate, 0, 88, 60, self.state, len(self.samples))
        return head + b"".join(struct.pack("<h", NO_SAMPLE if s is None else s) for s in self.samples)


def beats(pulse_per_min: int, answers: int) -> list[list[int | None]]:
    """What a heart gives, answer by answer."""
    beating = Heart(pulse_per_min)
    samples = [
        round(beating.millivolts(Lead.I, n / EKG_RATE_HZ) * EKG_COUNTS_PER_MV) for n in range(answers * PER_ANSWER)
    ]
    return [list(samples[at : at + PER_ANSWER]) for at in range(0, len(samples), PER_ANSWER)]


def ekg(kept: Sequence[Kept], title: str, expected: Sequence[Expected] = ()) -> GattScenario:
    """What the first answer holds was measured before anybody asked: it belongs to nobody."""
    info = bytearray(60)
    info[9:17], info[37], info[38:48] = b"SIMULATE", 10, b"SIM-ER1-01"

    def device() -> Callable[[bytes], Iterable[bytes] | None]:
        answers = iter(kept)

        def answer(asked: bytes) -> Iterable[bytes] | None:
            command, number, data = asked[1], asked[4], asked[7:-1]
            if command == 0xE1:
                return [lepu_frame(command, number, bytes(info))]
            assert (command, data) == (0x03, b"\x7d"), asked.hex()
            found = next(answers, None)
            if found is None:
                return None
            frame = lepu_frame(command, number, found.encode())
            return [] if found.lost else [frame] * (2 if found.doubled else 1)

        return answer

    rows = [(sample,) for each in kept[1:] if not each.lost for sample in each.samples]
    options = {"ekg": True, "steady_s": 2}
    return _talk((SERVICE, WRITE, NOTIFY), device, title, expected, options, rows=rows)


def _ekg_rate(rate: int) -> Expected:
    return Expected(kind=Kind.HEART_RATE, values={Name.HEART_RATE: Decimal(rate)})


_BEATS = beats(72, 6)
_RAILED = [Kept([-32768 if n % 3 else 32766 for n in range(PER_ANSWER)])] * 2
_OFF = Kept([None] * PER_ANSWER, LEAD_OFF, 0)

# --- Clips -------------------------------------------------------------------------------------------------------


def clip_second(spo2: int, pulse: int, perfusion: int = 81, status: int = 0) -> bytes:
    wave = clip_frame(0x0F, 0x02, 0x6E, 0x5F, 0x4C, 0x37, 0x22)
    return clip_frame(0x0F, 0x01, spo2, pulse & 0xFF, pulse >> 8, perfusion, status, 0xC0) + wave


def clip(seconds: Sequence[bytes], title: str, expected: Sequence[Expected], *, faulty: bool = False) -> GattScenario:
    service, write, notify = UART

    def table() -> tuple[Service, ...]:
        sends = Characteristic(uuid=notify, access=Access.NOTIFY)
        takes = Characteristic(uuid=write, access=Access.WRITE | Access.WRITE_WITHOUT_RESPONSE)
        return (Service(service, (sends, takes)),)

    async def run(port: GattPort) -> None:
        await port.subscribed(notify)
        for second in seconds:
            await _send(port, notify, second)
            await port.pause(1)

    return GattScenario(title=title, services=table, run=run, expected=tuple(expected), faulty=faulty)


def working(mode: int, step: int, first: int = 0, second: int = 0) -> bytes:
    return clip_frame(0x0F, 0x21, mode, step, first, second)


CONTINUOUS = working(2, 0) + clip_frame(0xF0, 0x03, 3)
NO_FINGER, SEARCHING = clip_second(0, 0, 0, 0x02), clip_second(0, 0, 0, 0x04)
FINGER = [clip_second(97, 64)] * 6


def measure(vitals: Vitals) -> GattScenario:
    """The clip is put on a finger, and taken off."""
    held = [clip_second(vitals.spo2_percent, vitals.pulse_per_min)] * 7
    found = oximetry(vitals.spo2_percent, vitals.pulse_per_min, "8.1")
    return clip([SEARCHING, *held, NO_FINGER], "one finger", [found])


_TODAY = datetime(2026, 11, 21, 16, 20, 0)
STORED = (
    Reading(141, 88, 105, 75, _TODAY.replace(day=18)),
    Reading(133, 84, 100, 71, _TODAY.replace(day=20), irregular=True),
    Reading(128, 82, 97, 68, _TODAY),
)
_SHOWN = STORED[2].expected(Origin.LIVE)
_ALL = {"first_download": "all"}

SIMULATOR = GattSimulator(
    id="viatom",
    name="O2Ring 1234",
    advertised=(SERVICE,),
    scenarios={
        "ring": ring([CALIBRATING, *[worn(98, 66)] * 4, OFF], "a ring put on and taken off", [oximetry(98, 66, "1.0")]),
        "ring-not-worn": ring([OFF] * 3, "a ring that nobody wears", []),
        "ring-s": ring_s({}, "an O2Ring-S, not asked for its values", []),
        "ring-s-live": ring_s({"o2ring_s_live": True, "steady_s": 2}, "an O2Ring-S", [oximetry(97, 72)]),
        "clip": clip([CONTINUOUS, SEARCHING, *FINGER, NO_FINGER], "a clip", [oximetry(97, 64, "8.1")]),
        "clip-two-fingers": clip(
            [*FINGER, NO_FINGER, *[clip_second(94, 300, 5)] * 6],
            "one finger, then another",
            [oximetry(97, 64, "8.1"), oximetry(94, 300, "0.5")],
        ),
        "ekg": ekg([Kept(s) for s in _BEATS], "an EKG device on the chest", [_ekg_rate(72)]),
        "ekg-off": ekg([Kept(_BEATS[0]), Kept(_BEATS[1]), _OFF, _OFF, Kept(_BEATS[2])], "electrodes off for a second"),
        "ekg-lost": ekg([Kept(s, lost=n == 2) for n, s in enumerate(_BEATS[:4])], "an answer that does not arrive"),
        "ekg-doubled": ekg([Kept(s, doubled=n == 1) for n, s in enumerate(_BEATS[:3])], "an answer that comes twice"),
        "ekg-railed": ekg([Kept(_BEATS[0]), *_RAILED], "an input at its ends"),
        "clip-restless": clip([clip_second(90 + n % 2 * 6, 64) for n in range(12)], "never steady", []),
        "clip-spot-check": clip(
            [working(1, 2, 30), *[s + working(1, 2, 20) for s in FINGER], *[working(1, 3, 98, 88)] * 3, working(1, 5)],
            "a spot check, its result said three times",
            [oximetry(98, 88)],
        ),
        "clip-damaged": clip(
            [*FINGER[:3], FINGER[3][:5] + b"\x7f" + FINGER[3][6:], *FINGER[:5]],
            "a damaged value: the seconds begin anew",
            [oximetry(97, 64, "8.1")],
            faulty=True,
        ),
        "cuff-shown": Cuff(STORED, (SHOWS,)).scenario("first meeting, with a result on the display", [_SHOWN]),
        "cuff-idle": Cuff(STORED).scenario("first meeting, at rest", [STORED[2].expected()]),
        "cuff-memory": Cuff((STORED[2], *STORED[:2]), (SHOWS,)).scenario(
            "the whole memory", [STORED[0].expected(), STORED[1].expected(), _SHOWN], _ALL
        ),
        "cuff-measuring": Cuff(STORED, (MEASURING, SHOWS)).scenario("still at work when it is asked", [_SHOWN]),
        "cuff-refuses": Cuff(STORED, (SHOWS,), refuses=True).scenario("does not give its file at this visit"),
        "cuff-again": Cuff(STORED, (IDLE, MEASURING, SHOWS)).scenario(
            "measures again: the link is given up, since the file comes once a connection", [STORED[2].expected()]
        ),
    },
    measure=measure,
)
