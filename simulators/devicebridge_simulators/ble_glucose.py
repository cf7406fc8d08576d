"""A Bluetooth glucose meter: the other end of `ble-glucose`.

Written from the Bluetooth SIG's Glucose Service 1.0.1 and GATT Specification Supplement, with an encoder of its own. It
sends nothing by itself: its records are asked for at its control point.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from devicebridge.sdk.bluetooth import MANUFACTURER_NAME, MODEL_NUMBER, SERIAL_NUMBER, uuid16
from devicebridge.sdk.peripheral import UNSET_TIME, battery, current_time, encode_time
from devicebridge.sdk.settable_clock import SettableClock
from devicebridge.sdk.simulation import (
    Access,
    AttError,
    Characteristic,
    Expected,
    GattPort,
    GattScenario,
    GattSimulator,
    Service,
)
from devicebridge.sdk.values import Absent, Kind, Name, Origin, Status

GLUCOSE_SERVICE = uuid16(0x1808)
MEASUREMENT = uuid16(0x2A18)
CONTEXT = uuid16(0x2A34)
FEATURE = uuid16(0x2A51)
CONTROL_POINT = uuid16(0x2A52)

CLOCK = datetime(2026, 11, 21, 10, 20, 0)
"""What this meter's clock says. It runs twelve minutes late: in the room it is 10:32."""

ISENS_SERVICE = uuid16(0xFFF0)
ISENS_CLOCK = uuid16(0xFFF1)

SERIAL = "SIM-GLU-1"
IDLE_S = 0.3
"""How long it waits for another request. Of the clock on the wall: a host needs its time at any pace."""
IN_PROGRESS = 0x80  # ATT error: procedure already in progress

NAN, INFINITY = b"\xff\x07", b"\xfe\x07"
CAPILLARY_FINGER, CONTROL_FINGER = 0x11, 0x1A
SAMPLE_TOO_SMALL, TOO_HIGH, TOO_LOW = 1 << 2, 1 << 5, 1 << 6
FASTING, KETONE = 3, 6

_REPORT, _DELETE, _ABORT, _COUNT, _COUNT_RESPONSE, _RESPONSE = range(1, 7)
_SUCCESS, _OPERATION_UNSUPPORTED, _OPERATOR_UNSUPPORTED, _NO_RECORDS = 1, 2, 4, 6
_ALL, _FROM = 1, 3


@dataclass(frozen=True, slots=True)
class Record:
    """One result. concentration: kg/L or mol/L, or an SFLOAT word as it is, or None where the meter sends none."""

    sequence: int
    base_time: datetime | None
    concentration: Decimal | bytes | None
    moles: bool = False
    offset_min: int | None = None
    specimen: int = CAPILLARY_FINGER
    status: int | None = None
    meal: int | None = None

    def encode(self) -> bytes:
        parts = [UNSET_TIME if self.base_time is None else encode_time(self.base_time)]
        if self.offset_min is not None:
            parts.append(struct.pack("<h", self.offset_min))
        if self.concentration is not None:
            parts += [encode_sfloat(self.concentration), bytes([self.specimen])]
        if self.status is not None:
            parts.append(struct.pack("<H", self.status))
        announced = (self.offset_min, self.concentration, self.moles or None, self.status, self.meal)
        flags = sum(1 << bit for bit, part in enumerate(announced) if part is not None)
        return bytes([flags]) + struct.pack("<H", self.sequence) + b"".join(parts)

    def encode_context(self) -> bytes | None:
        return None if self.meal is None else bytes([1 << 1]) + struct.pack("<HB", self.sequence, self.meal)


def encode_sfloat(number: Decimal | bytes) -> bytes:
    """GSS medfloat16: a signed exponent of ten in the high four bits, a signed mantissa in the low twelve."""
    if isinstance(number, bytes):
        return number
    sign, digits, exponent = number.as_tuple()
    mantissa = int("".join(map(str, digits))) * (-1 if sign else 1)
    if not isinstance(exponent, int) or not -8 <= exponent <= 7 or not -2045 <= mantissa <= 2045:
        raise ValueError(f"{number} does not fit 16 bits")
    return struct.pack("<H", (exponent & 0xF) << 12 | mantissa & 0xFFF)


@dataclass(slots=True)
class Meter:
    """Its memory and its control point. Each play is another visit of the same meter.

    refusals: how many requests it refuses as it is still at work on another, unless it is told to abort.
    knows_from: the operator "greater than or equal". counts: the number of its records can be asked for.
    hangs_up_after: so many records, in the middle of a report.
    asked: every request of every visit. own_clock: what was written to that of an i-SENS.
    """

    records: Sequence[Record]
    clock: Callable[[], datetime | None] | SettableClock | None = lambda: CLOCK
    manufacturer: str = "devicebridge"
    model: str = "Simulated meter"
    refusals: int = 0
    knows_from: bool = True
    counts: bool = True
    hangs_up_after: int | None = None
    asked: list[bytes] = field(default_factory=list)
    own_clock: list[bytes] = field(default_factory=list)

    def scenario(
        self, title: str, expected: tuple[Expected, ...] = (), options: Mapping[str, object] | None = None
    ) -> GattScenario:
        visit = _Visit(self)

        def services() -> tuple[Service, ...]:
            visit.begin()
            return self._services(visit.written)

        return GattScenario(
            title=title,
            services=services,
            run=visit.run,
            expected=expected,
            options=options or {},
            faulty=self.hangs_up_after is not None,
        )

    def _services(self, written: Callable[[bytes], Awaitable[None]]) -> tuple[Service, ...]:
        texts = ((MANUFACTURER_NAME, self.manufacturer), (MODEL_NUMBER, self.model), (SERIAL_NUMBER, SERIAL))
        control_point = Characteristic(uuid=CONTROL_POINT, access=Access.WRITE | Access.INDICATE, written=written)
        services = [
            Service(
                GLUCOSE_SERVICE,
                (
                    Characteristic(uuid=MEASUREMENT, access=Access.NOTIFY),
                    Characteristic(uuid=CONTEXT, access=Access.NOTIFY),
                    Characteristic(uuid=FEATURE, access=Access.READ, value=b"\xff\x03"),
                    control_point,
                ),
            ),
            Service(
                uuid16(0x180A),
                tuple(Characteristic(uuid=uuid, access=Access.READ, value=text.encode()) for uuid, text in texts),
            ),
            battery(64),
        ]
        if self.manufacturer == "i-SENS":
            own = Characteristic(uuid=ISENS_CLOCK, access=Access.WRITE | Access.NOTIFY, written=self._set)
            services.append(Service(ISENS_SERVICE, (own,)))
        if isinstance(self.clock, SettableClock):
            services.append(self.clock.current_time())
        elif self.clock is not None:
            services.append(current_time(self.clock))
        return tuple(services)

    async def _set(self, value: bytes) -> None:
        self.own_clock.append(value)


class _Visit:
    """One connection: requests come in, are answered one after the other; a meter that is not asked hangs up."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.begin()

    def begin(self) -> None:
        self._requests: asyncio.Queue[bytes] = asyncio.Queue()
        self._refusals = self._meter.refusals

    async def written(self, request: bytes) -> None:
        self._meter.asked.append(request)
        if request[0] == _ABORT:
            self._refusals = 0
        if self._refusals:
            self._refusals -= 1
            raise AttError(IN_PROGRESS)
        self._requests.put_nowait(request)

    async def run(self, port: GattPort) -> None:
        for characteristic in (MEASUREMENT, CONTEXT, CONTROL_POINT):
            await port.subscribed(characteristic)
        operation = 0
        while operation != _REPORT:
            operation = await self._answer(port, await self._requests.get())
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(IDLE_S):
                    request = await self._requests.get()
                await self._answer(port, request)

    async def _answer(self, port: GattPort, request: bytes) -> int:
        """Gives the operation."""
        operation, operator = request[:2]
        known = (_ALL, _FROM) if self._meter.knows_from else (_ALL,)
        if operation == _ABORT:
            await _respond(port, operation, _SUCCESS)
        elif operation == _DELETE or (operation == _COUNT and not self._meter.counts):
            await _respond(port, operation, _OPERATION_UNSUPPORTED)
        elif operator not in known:
            await _respond(port, operation, _OPERATOR_UNSUPPORTED)
        elif operation == _COUNT:
            count = struct.pack("<H", len(self._wanted(request)))
            await port.indicate(CONTROL_POINT, bytes([_COUNT_RESPONSE, 0]) + count)
        else:
            await self._report(port, self._wanted(request))
        return operation

    async def _report(self, port: GattPort, wanted: Sequence[Record]) -> None:
        hangs_up_after = self._meter.hangs_up_after
        for record in wanted[:hangs_up_after]:
            await port.notify(MEASUREMENT, record.encode())
            if (context := record.encode_context()) is not None:
                await port.notify(CONTEXT, context)
        if hangs_up_after is not None:
            await port.disconnect()
        await _respond(port, _REPORT, _SUCCESS if wanted else _NO_RECORDS)

    def _wanted(self, request: bytes) -> Sequence[Record]:
        if request[1] == _ALL:
            return self._meter.records
        (first,) = struct.unpack("<H", request[3:5])
        return [record for record in self._meter.records if record.sequence >= first]


async def _respond(port: GattPort, operation: int, result: int) -> None:
    await port.indicate(CONTROL_POINT, bytes([_RESPONSE, 0, operation, result]))


def reading(
    record: Record,
    value: Decimal | Absent,
    *status: Status,
    origin: Origin = Origin.STORED,
    name: Name = Name.GLUCOSE,
) -> Expected:
    time = record.base_time
    if time is not None and record.offset_min is not None:
        time += timedelta(minutes=record.offset_min)
    return Expected(kind=Kind.GLUCOSE, values={name: value}, status=frozenset(status), device_time=time, origin=origin)


_JUST_NOW = CLOCK - timedelta(seconds=20)
FRESH = Record(14, _JUST_NOW, Decimal("105e-5"))
MEMORY = (
    Record(11, CLOCK - timedelta(days=3, hours=2), Decimal("98e-5"), meal=FASTING),
    Record(12, CLOCK - timedelta(days=2, hours=1), Decimal("181e-5")),
    Record(13, CLOCK - timedelta(hours=5), Decimal("7.2e-3"), moles=True),
    FRESH,
)
_ALL_RECORDS = {"first_download": "all"}
_MEMORY_EXPECTED = (
    reading(MEMORY[0], Decimal(98)),
    reading(MEMORY[1], Decimal(181)),
    reading(MEMORY[2], Decimal("7.2")),
    reading(FRESH, Decimal(105), origin=Origin.LIVE),
)


def _one(
    title: str, record: Record, value: Decimal | Absent, *status: Status, refusals: int = 0, counts: bool = True
) -> GattScenario:
    """A meter with one fresh record."""
    expected = reading(record, value, *status, origin=Origin.LIVE)
    return Meter([record], refusals=refusals, counts=counts).scenario(title, (expected,))


SIMULATOR = GattSimulator(
    id="ble-glucose",
    name="Simulated meter",
    advertised=(GLUCOSE_SERVICE,),
    scenarios={
        "fresh": Meter(MEMORY).scenario("first meeting: only what was measured just now", _MEMORY_EXPECTED[3:]),
        "memory": Meter(MEMORY).scenario("first meeting: the whole memory", _MEMORY_EXPECTED, _ALL_RECORDS),
        "none": Meter(MEMORY).scenario("first meeting: nothing", (), {"first_download": "none"}),
        "empty": Meter(()).scenario("no records", (), _ALL_RECORDS),
        "no-clock": Meter(MEMORY, clock=None).scenario(
            "no clock to tell the age of a record by",
            tuple(replace(e, origin=Origin.STORED) for e in _MEMORY_EXPECTED),
            _ALL_RECORDS,
        ),
        "clock-unset": Meter([replace(FRESH, base_time=None)], clock=lambda: None).scenario(
            "the clock was never set",
            (reading(replace(FRESH, base_time=None), Decimal(105), Status.CLOCK_UNSET),),
            _ALL_RECORDS,
        ),
        "time-offset": _one(
            "the user has set the clock, as an Accu-Chek tells it: base time and offset",
            replace(FRESH, base_time=_JUST_NOW - timedelta(minutes=339), offset_min=339),
            Decimal(105),
        ),
        "mmol": _one("mmol/L", replace(FRESH, concentration=Decimal("5.8e-3"), moles=True), Decimal("5.8")),
        "high": _one(
            "HI",
            replace(FRESH, concentration=NAN, status=TOO_HIGH),
            Absent.POSITIVE_INFINITY,
            Status.RESULT_ABOVE_RANGE,
        ),
        "high-as-infinity": _one(
            "HI without a status",
            replace(FRESH, concentration=INFINITY),
            Absent.POSITIVE_INFINITY,
            Status.RESULT_ABOVE_RANGE,
        ),
        "low": _one(
            "LO, with the limit",
            replace(FRESH, concentration=Decimal("20e-5"), status=TOO_LOW),
            Decimal(20),
            Status.RESULT_BELOW_RANGE,
        ),
        "too-little-blood": _one(
            "a failed test",
            replace(FRESH, concentration=None, status=SAMPLE_TOO_SMALL),
            Absent.ERROR,
            Status.SAMPLE_TOO_SMALL,
        ),
        "control": _one(
            "control solution", replace(FRESH, specimen=CONTROL_FINGER), Decimal(105), Status.CONTROL_SOLUTION
        ),
        "busy": _one("still at work when it is first asked", FRESH, Decimal(105), refusals=1),
        "no-count": _one("does not count", FRESH, Decimal(105), counts=False),
        "ketone": Meter(
            [replace(FRESH, concentration=Decimal("12e-5"), meal=KETONE)], manufacturer="i-SENS", model="CareSens Dual"
        ).scenario(
            "a ketone, as a CareSens Dual marks it",
            (reading(FRESH, Decimal("1.2"), Status.UNEXPECTED_FORMAT, origin=Origin.LIVE, name=Name.KETONE),),
        ),
        "reserved-meal": _one(
            "the same from a meter not known for it: not believed",
            replace(FRESH, concentration=Decimal("12e-5"), meal=KETONE),
            Absent.UNKNOWN,
            Status.UNEXPECTED_FORMAT,
        ),
        "newest-first": Meter(
            [replace(r, sequence=n) for n, r in enumerate(reversed(MEMORY))], manufacturer="TaiDoc"
        ).scenario("numbers that shift, the newest record first", _MEMORY_EXPECTED, _ALL_RECORDS),
        "hang-up-mid-way": Meter(MEMORY, hangs_up_after=2).scenario(
            "hangs up after two of four", _MEMORY_EXPECTED[:2], _ALL_RECORDS
        ),
    },
)
