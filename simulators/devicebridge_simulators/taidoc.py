"""TaiDoc and FORA devices on a serial line, written from glucometers-tech/glucometer-protocols (td42xx.md), Ultron's
foraBP.h and foraThermometer.h, and markchuang56/iOS-Demo (Fora.m, ForaW310.m).

A device answers questions until the host has read so many records from the newest on; then it switches itself off.
Over Bluetooth LE it says the same in the values of one characteristic (fora6_connect, live protocol evidence).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, Origin, SerialSpec, Status
from devicebridge.sdk.peripheral import Uart
from devicebridge.sdk.simulation import (
    DualSimulator,
    Expected,
    GattSimulator,
    SerialPort,
    SerialScenario,
    SerialSimulator,
    Vitals,
)

_ONE = "00001524-1212-efde-1523-785feabcd123"
UART = Uart(service="00001523-1212-efde-1523-785feabcd123", notify=_ONE, write=_ONE)
CLOCK = datetime(2026, 11, 21, 14, 30, 15)
SERIAL = bytes.fromhex("4277112233445566")
ANSWER_DELAY_S = 0.02
GARBAGE = bytes.fromhex("5151a500ff2651")
ARRHYTHMIA, FROM_BP, FAHRENHEIT = 0x40, 0x80, 0x80
BEFORE_MEAL, AFTER_MEAL, CONTROL = 0x40, 0x80, 0xC0
Run = Callable[[SerialPort], Awaitable[None]]


@dataclass(frozen=True)
class Record:
    """Four bytes of value; when, None for a clock that was not set; flags beside the minute and the hour."""

    data: bytes
    when: datetime | None
    minute_flags: int = 0
    hour_flags: int = 0


def frame(command: int, data: bytes) -> bytes:
    """As the device sends it."""
    body = b"\x51" + bytes((command,)) + data + b"\xa5"
    return body + bytes((sum(body) % 256,))


def time(when: datetime | None, minute_flags: int = 0, hour_flags: int = 0) -> bytes:
    if when is None:
        return bytes((0, 0, minute_flags, hour_flags))
    day = (when.year - 2000) * 512 + when.month * 32 + when.day
    return bytes((day % 256, day // 256, when.minute + minute_flags, when.hour + hour_flags))


def strip(number: int, when: datetime | None, *, kind: int = 0, meal: int = 0) -> Record:
    """kind: 0 glucose in mg/dL, 7 ketones times 30."""
    return Record(bytes((number % 256, number // 256, 6, meal + 4 * kind)), when)


def pressure(systolic: int, mean: int, diastolic: int, pulse: int, when: datetime, *, flags: int = 0) -> Record:
    return Record(bytes((systolic, mean, diastolic, pulse)), when, flags)


def temperature(tenths: int, when: datetime, *, place: int = 0) -> Record:
    """place: 0 ear, 1 forehead, 4 a thing's surface."""
    data = bytes((tenths % 256, tenths // 256, 0xF0, 0))
    return Record(data, when, 0x40 * (place % 4), 0x20 * (place // 4))


def weighing(kilograms: int, pounds: int, when: datetime, *, unit: int = 0) -> bytes:
    """A scale's answer: tenths of both, high byte first. unit: 0 kg, 1 lb."""
    clock = bytes((when.year - 2000, when.month, when.day, when.hour, when.minute))
    masses = kilograms.to_bytes(2, "big") + pounds.to_bytes(2, "big")
    body = b"\x51\x71\x1d\x15" + clock + bytes((2, 1, 170, 2, 157, 40, unit)) + masses + bytes(12) + b"\xa5"
    return body + bytes((sum(body) % 256,))


def questions(heard: bytearray) -> Iterator[tuple[int, bytes]]:
    """Command and data of each whole question."""
    while heard:
        size = 7 if heard[1:3] == b"\x71\x02" else 8
        if heard[0] != 0x51:
            del heard[0]
        elif len(heard) < size:
            return
        else:
            raw = bytes(heard[:size])
            del heard[:size]
            yield raw[1], raw[2:-2]


def device(
    model: str, records: Sequence[Record | bytes], clock: datetime | None = CLOCK, *, needed: int, wakes: bool = False
) -> Run:
    """needed: after so many records it is off. wakes: it announces itself instead of answering the first question."""
    fixed = {
        0x22: bytes(4),
        0x23: time(clock),
        0x24: bytes.fromhex(model)[::-1] + bytes(2),
        0x27: SERIAL[:3:-1],
        0x28: SERIAL[3::-1],
        0x2B: len(records).to_bytes(2, "little") + b"\xff\xff",
    }

    async def run(port: SerialPort) -> None:
        heard, is_awake = bytearray(), not wakes
        served: set[bytes] = set()
        while True:
            heard += await port.read()
            for command, data in questions(heard):
                await port.pause(ANSWER_DELAY_S)
                if not is_awake:
                    is_awake = True
                    await port.write(frame(0x54, bytes(4)))
                elif command in fixed:
                    await port.write(frame(command, fixed[command]))
                else:
                    assert command in (0x25, 0x26, 0x71), f"command {command:02x} starts, sets or erases"
                    await port.write(_stored(command, data, records))
                if command in (0x26, 0x71):
                    served.add(data)
                if len(served) >= needed and command in (0x26, 0x2B):
                    return

    return run


def _stored(command: int, data: bytes, records: Sequence[Record | bytes]) -> bytes:
    place = data[1:3] if command == 0x71 else data[:2]
    record = records[int.from_bytes(place, "little")]
    if isinstance(record, bytes):
        return record
    return frame(command, record.data if command == 0x26 else time(record.when, record.minute_flags, record.hour_flags))


def twice(first: Run, then: Run) -> Run:
    """Read, then used again, of which it tells, and read again."""

    async def run(port: SerialPort) -> None:
        await first(port)
        await port.write(frame(0x54, bytes(4)))
        await then(port)

    return run


def noisy(run: Run) -> Run:
    """The same on a line with noise before each answer."""

    async def play(port: SerialPort) -> None:
        await run(_Noisy(port))

    return play


class _Noisy:
    def __init__(self, port: SerialPort) -> None:
        self._port = port

    async def read(self) -> bytes:
        return await self._port.read()

    async def write(self, data: bytes, /) -> None:
        await self._port.write(GARBAGE + data)

    async def pause(self, seconds: float, /) -> None:
        await self._port.pause(seconds)


def expect(
    kind: Kind, values: dict[Name, str | Absent], when: datetime | None, *status: Status, origin: Origin = Origin.STORED
) -> Expected:
    return Expected(
        kind=kind,
        values={name: value if isinstance(value, Absent) else Decimal(value) for name, value in values.items()},
        status=frozenset(status),
        device_time=when,
        origin=origin,
    )


def glucose(value: str | Absent, when: datetime | None, *status: Status) -> Expected:
    return expect(Kind.GLUCOSE, {Name.GLUCOSE: value}, when, *status)


def blood_pressure(numbers: Sequence[str | Absent], when: datetime, *status: Status) -> Expected:
    """Systolic, mean, diastolic, pulse rate."""
    names = (Name.SYSTOLIC, Name.MEAN, Name.DIASTOLIC, Name.PULSE_RATE)
    return expect(Kind.BLOOD_PRESSURE, dict(zip(names, numbers, strict=True)), when, *status)


def ago(minutes: int, now: datetime = CLOCK) -> datetime:
    """The devices keep whole minutes."""
    return (now - timedelta(minutes=minutes)).replace(second=0, microsecond=0)


LAST_WEEK = datetime(2026, 11, 14, 9, 12)
"""When the record before was made; it does not move with the patients of today."""


def measure(vitals: Vitals) -> SerialScenario:
    """A cuff that has just measured."""
    now = vitals.local_time.replace(microsecond=0)
    numbers = (vitals.systolic_mmhg, vitals.mean_mmhg, vitals.diastolic_mmhg, vitals.pulse_per_min)
    records = [pressure(*numbers, ago(0, now)), pressure(131, 99, 83, 70, LAST_WEEK)]
    return SerialScenario(
        title=f"{vitals.systolic_mmhg}/{vitals.diastolic_mmhg} mmHg",
        run=device("3128", records, now, needed=2),
        expected=(blood_pressure(tuple(map(str, numbers)), ago(0, now)),),
    )


_STRIPS = [strip(105, ago(2), meal=BEFORE_MEAL), strip(98, ago(9)), strip(140, ago(300), meal=AFTER_MEAL)]
_STRIPS_SENT = (glucose("98", ago(9)), glucose("105", ago(2)))
_BACKLOG = [strip(90 + n, ago(60 * n)) for n in range(1, 31)]
_ODD = [
    strip(0xFFFF, ago(1)),
    strip(640, ago(2)),
    strip(15, ago(3)),
    strip(104, ago(4), meal=CONTROL),
    strip(45, ago(5), kind=7),
    strip(103, None),
]
_ODD_SENT = (
    glucose("103", None, Status.CLOCK_UNSET),
    expect(Kind.GLUCOSE, {Name.KETONE: "1.5"}, ago(5)),
    glucose("104", ago(4), Status.CONTROL_SOLUTION),
    glucose("20", ago(3), Status.RESULT_BELOW_RANGE),
    glucose("600", ago(2), Status.RESULT_ABOVE_RANGE),
    glucose(Absent.ERROR, ago(1)),
)
_CUFF = [
    pressure(128, 96, 82, 71, ago(1), flags=ARRHYTHMIA),
    pressure(0, 0, 0, 2, ago(3)),
    pressure(135, 101, 88, 74, ago(90)),
]
_FAILED = dict.fromkeys((Name.SYSTOLIC, Name.DIASTOLIC, Name.PULSE_RATE), Absent.ERROR)
_CUFF_SENT = (
    expect(Kind.BLOOD_PRESSURE, {**_FAILED}, ago(3), Status.DEVICE_ERROR),
    blood_pressure(("128", "96", "82", "71"), ago(1), Status.IRREGULAR_PULSE),
)
_D40 = [pressure(120, 0, 80, 64, ago(1), flags=FROM_BP), strip(110, ago(4)), strip(99, ago(700))]
_D40_PRESSURE = {Name.SYSTOLIC: "120", Name.DIASTOLIC: "80", Name.PULSE_RATE: "64"}
_D40_SENT = (
    glucose("110", ago(4)),
    Expected(
        kind=Kind.BLOOD_PRESSURE,
        values={name: Decimal(value) for name, value in _D40_PRESSURE.items()},
        device_time=ago(1),
        origin=Origin.STORED,
    ),
)
_EAR = [temperature(366, ago(1)), temperature(231, ago(2), place=4), temperature(372, ago(40))]
_FINGER = [Record(bytes((97, 0, 0, 72)), ago(1)), Record(bytes((96, 0, 0, 70)), ago(120))]
_SCALE = [weighing(825, 1819, ago(1)), weighing(612, 1349, ago(5), unit=1), weighing(800, 1764, ago(500))]
_ALL = {"first_download": "all"}
_EARLY = datetime(2008, 1, 1, 0, 20, 0)

_SERIAL = SerialSimulator(
    id="taidoc",
    line=SerialSpec(baud=19_200),
    scenarios={
        "glucose": SerialScenario(
            title="TD-4277: two tests of this visit, an older one stays",
            run=device("4277", _STRIPS, needed=3),
            expected=_STRIPS_SENT,
        ),
        "backlog": SerialScenario(
            title="TD-4277: thirty stored tests, all wanted",
            run=device("4277", _BACKLOG, needed=30),
            expected=tuple(glucose(str(90 + n), ago(60 * n)) for n in range(30, 0, -1)),
            options=_ALL,
        ),
        "odd-results": SerialScenario(
            title="TD-4216: invalid, high, low, control solution, ketones, a time that was never set",
            run=device("4216", _ODD, needed=6),
            expected=_ODD_SENT,
            options=_ALL,
        ),
        "blood-pressure": SerialScenario(
            title="TD-3128: an irregular pulse, and a measurement that failed",
            run=device("3128", _CUFF, needed=3),
            expected=_CUFF_SENT,
        ),
        "glucose-and-blood-pressure": SerialScenario(
            title="TD-3261 (FORA D40): both in one memory", run=device("3261", _D40, needed=3), expected=_D40_SENT
        ),
        "temperature": SerialScenario(
            title="TD-1241: an ear, and the surface of a thing, which is nobody's",
            run=device("1241", _EAR, needed=3),
            expected=(expect(Kind.TEMPERATURE, {Name.TEMPERATURE: "36.6"}, ago(1)),),
        ),
        "oximetry": SerialScenario(
            title="TD-8255: a stored result",
            run=device("8255", _FINGER, needed=2),
            expected=(expect(Kind.PULSE_OXIMETRY, {Name.SPO2: "97", Name.PULSE_RATE: "72"}, ago(1)),),
        ),
        "weight": SerialScenario(
            title="TD-2551 (FORA W310): kilograms and pounds",
            run=device("2551", _SCALE, needed=3),
            expected=(
                expect(Kind.WEIGHT, {Name.WEIGHT: "134.9"}, ago(5)),
                expect(Kind.WEIGHT, {Name.WEIGHT: "82.5"}, ago(1)),
            ),
        ),
        "wrong-clock": SerialScenario(
            title="TD-4277: the clock was never set",
            run=device("4277", [strip(105, ago(2, _EARLY))], _EARLY, needed=1),
            expected=(glucose("105", ago(2, _EARLY), Status.CLOCK_UNSET),),
        ),
        "peak-flow": SerialScenario(
            title="TD-7301: a peak flow meter, which this driver does not read", run=device("7301", _STRIPS, needed=1)
        ),
        "noisy-line": SerialScenario(
            title="TD-4277: noise before each answer",
            run=noisy(device("4277", _STRIPS, needed=3)),
            expected=_STRIPS_SENT,
            faulty=True,
        ),
    },
    measure=measure,
)

_ON_RADIO = ("glucose", "backlog", "odd-results", "blood-pressure", "temperature", "oximetry", "weight", "wrong-clock")
_AGAIN = [strip(131, ago(1)), *_STRIPS]

SIMULATOR = DualSimulator(
    serial=_SERIAL,
    gatt=GattSimulator(
        id="taidoc",
        name="TAIDOC TD4183",
        advertised=(UART.service,),
        scenarios={
            **{f"ble-{name}": UART.scenario(_SERIAL.scenarios[name]) for name in _ON_RADIO},
            "ble-wakes": UART.scenario(
                SerialScenario(
                    title="TD-4277: it announces itself instead of answering the first question",
                    run=device("4277", _STRIPS, needed=3, wakes=True),
                    expected=_STRIPS_SENT,
                )
            ),
            "ble-used-again": UART.scenario(
                SerialScenario(
                    title="TD-4183: a second test while it is connected",
                    run=twice(device("4183", _STRIPS, needed=3), device("4183", _AGAIN, needed=2)),
                    expected=(*_STRIPS_SENT, glucose("131", ago(1))),
                )
            ),
            "ble-noisy": UART.scenario(
                SerialScenario(
                    title="TD-4277: noise before each answer",
                    run=noisy(device("4277", _STRIPS, needed=3)),
                    expected=_STRIPS_SENT,
                    faulty=True,
                )
            ),
        },
        measure=lambda vitals: UART.scenario(measure(vitals)),
    ),
)
