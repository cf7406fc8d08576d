"""A Bluetooth blood pressure monitor: the other end of `ble-blood-pressure`.

Written from the Bluetooth SIG's Blood Pressure Service 1.1.1, Current Time Service 1.1 and GATT Specification
Supplement, with an encoder of its own. It indicates what it has as soon as it is asked to, oldest first.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from devicebridge.sdk.bluetooth import uuid16
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

BLOOD_PRESSURE_SERVICE = uuid16(0x1810)
MEASUREMENT = uuid16(0x2A35)
CUFF_PRESSURE = uuid16(0x2A36)

CLOCK = datetime(2026, 11, 21, 10, 20, 0)
"""What this cuff's clock says. It runs twelve minutes late: in the room it is 10:32."""
CUFF_STEPS_MMHG = (40, 90, 140, 180, 130, 100)

_NAN = b"\xff\x07"
_UNSET_TIME = bytes(7)
_IRREGULAR = 1 << 2


@dataclass(frozen=True, slots=True)
class Reading:
    """One stored or fresh result. None for a number: the cuff could not measure."""

    systolic: Decimal | None
    diastolic: Decimal | None
    mean: Decimal | None
    pulse: Decimal | None
    time: datetime | None = None
    kpa: bool = False
    user: int | None = None
    status: int = 0
    time_unset: bool = False

    def encode(self) -> bytes:
        time = _UNSET_TIME if self.time_unset else b"" if self.time is None else encode_time(self.time)
        user = b"" if self.user is None else bytes([self.user])
        flags = self.kpa | bool(time) << 1 | 1 << 2 | bool(user) << 3 | 1 << 4
        pressures = b"".join(encode_sfloat(p) for p in (self.systolic, self.diastolic, self.mean))
        return bytes([flags]) + pressures + time + encode_sfloat(self.pulse) + user + struct.pack("<H", self.status)


def encode_sfloat(number: Decimal | None) -> bytes:
    """GSS medfloat16: a signed exponent of ten in the high four bits, a signed mantissa in the low twelve."""
    if number is None:
        return _NAN
    sign, digits, exponent = number.as_tuple()
    mantissa = int("".join(map(str, digits))) * (-1 if sign else 1)
    if not isinstance(exponent, int) or not -8 <= exponent <= 7 or not -2045 <= mantissa <= 2045:
        raise ValueError(f"{number} does not fit 16 bits")
    return struct.pack("<H", (exponent & 0xF) << 12 | mantissa & 0xFFF)


def encode_time(time: datetime) -> bytes:
    """GSS Date Time."""
    return struct.pack("<H5B", time.year, time.month, time.day, time.hour, time.minute, time.second)


def replay(
    values: Sequence[bytes],
    *,
    title: str = "bytes played back",
    model: str = "Simulated cuff",
    expected: tuple[Expected, ...] = (),
) -> GattScenario:
    """Indicates exactly these values, as a cuff without a readable clock."""

    async def run(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        for value in values:
            await port.indicate(MEASUREMENT, value)

    return GattScenario(title=title, services=lambda: _services(model=model), run=run, expected=expected)


def measure(vitals: Vitals) -> GattScenario:
    """The cuff has measured; it switches its radio on and sends the result."""
    reading = Reading(
        Decimal(vitals.systolic_mmhg),
        Decimal(vitals.diastolic_mmhg),
        Decimal(vitals.mean_mmhg),
        Decimal(vitals.pulse_per_min),
        vitals.local_time.replace(microsecond=0),
    )
    return _scenario("one measurement", [reading], clock=lambda: vitals.local_time)


def _services(
    *,
    clock: Callable[[], datetime] | None = None,
    clock_unset: bool = False,
    model: str = "Simulated cuff",
) -> tuple[Service, ...]:
    texts = ((0x2A29, "devicebridge"), (0x2A24, model), (0x2A25, "SIM-BP-1"), (0x2A26, "1.0"))
    services = [
        Service(
            BLOOD_PRESSURE_SERVICE,
            (
                Characteristic(uuid=MEASUREMENT, access=Access.INDICATE),
                Characteristic(uuid=CUFF_PRESSURE, access=Access.NOTIFY),
                Characteristic(uuid=uuid16(0x2A49), access=Access.READ, value=bytes([0x3F, 0x00])),
            ),
        ),
        Service(
            uuid16(0x180A),
            tuple(Characteristic(uuid=uuid16(n), access=Access.READ, value=t.encode()) for n, t in texts),
        ),
        Service(uuid16(0x180F), (Characteristic(uuid=uuid16(0x2A19), access=Access.READ, value=bytes([87])),)),
    ]
    if clock is not None or clock_unset:
        now = clock

        def current_time() -> bytes:
            """Date Time, then day of the week, fractions and the reason of the last change: none known."""
            return (_UNSET_TIME if now is None else encode_time(now())) + bytes(3)

        services.append(
            Service(
                uuid16(0x1805),
                (Characteristic(uuid=uuid16(0x2A2B), access=Access.READ, value=current_time),),
            )
        )
    return tuple(services)


def _scenario(
    title: str,
    readings: Sequence[Reading],
    *,
    clock: Callable[[], datetime] | None = lambda: CLOCK,
    clock_unset: bool = False,
    progress: bool = False,
    sent: int | None = None,
    expected: tuple[Expected, ...] | None = None,
) -> GattScenario:
    """sent: how many of the readings it indicates before it hangs up in the middle."""

    async def run(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        if progress:
            await port.subscribed(CUFF_PRESSURE)
            for pressure_mmhg in CUFF_STEPS_MMHG:
                await port.notify(CUFF_PRESSURE, bytes([0]) + encode_sfloat(Decimal(pressure_mmhg)) + bytes(4))
                await port.pause(2)
        for reading in readings[:sent]:
            await port.indicate(MEASUREMENT, reading.encode())
        if sent is not None:
            await port.disconnect()

    return GattScenario(
        title=title,
        services=lambda: _services(clock=clock, clock_unset=clock_unset),
        run=run,
        expected=tuple(_expected(r, clock() if clock else CLOCK) for r in readings[:sent])
        if expected is None
        else expected,
        faulty=sent is not None,
    )


def _expected(reading: Reading, now: datetime) -> Expected:
    """For readings in mmHg; one taken more than a minute before the cuff's present was stored."""
    numbers = (reading.systolic, reading.diastolic, reading.mean, reading.pulse)
    names = (Name.SYSTOLIC, Name.DIASTOLIC, Name.MEAN, Name.PULSE_RATE)
    status = {Status.CLOCK_UNSET} if reading.time_unset else set()
    if reading.status & _IRREGULAR:
        status.add(Status.IRREGULAR_PULSE)
    stored = reading.time is not None and now - reading.time > timedelta(minutes=1)
    return Expected(
        kind=Kind.BLOOD_PRESSURE,
        values={n: Absent.NOT_A_NUMBER if v is None else v for n, v in zip(names, numbers, strict=True)},
        status=frozenset(status),
        device_time=reading.time,
        origin=Origin.STORED if stored else Origin.LIVE,
    )


def _whole(*numbers: int) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    systolic, diastolic, mean, pulse = map(Decimal, numbers)
    return systolic, diastolic, mean, pulse


_JUST_NOW = CLOCK - timedelta(seconds=5)
_NORMAL = Reading(*_whole(124, 81, 95, 72), time=_JUST_NOW)
_MEMORY = (
    Reading(*_whole(131, 84, 100, 77), time=CLOCK - timedelta(days=3, hours=2)),
    Reading(*_whole(118, 76, 90, 64), time=CLOCK - timedelta(days=2, hours=1)),
    Reading(*_whole(142, 91, 108, 83), time=CLOCK - timedelta(minutes=50)),
)
_KPA = Reading(Decimal("16.5"), Decimal("10.8"), Decimal("12.7"), Decimal(72), time=_JUST_NOW, kpa=True)
_KPA_IN_MMHG = (124, 81, 95, 72)  # 123.76, 81.01 and 95.26, at 7.500615758 mmHg to the kPa


def _capture(
    title: str,
    value: str,
    numbers: tuple[int | Absent, int | Absent, int | Absent, int | Absent],
    time: str,
    *,
    model: str = "Simulated cuff",
    status: Status | None = None,
) -> GattScenario:
    names = (Name.SYSTOLIC, Name.DIASTOLIC, Name.MEAN, Name.PULSE_RATE)
    expected = Expected(
        kind=Kind.BLOOD_PRESSURE,
        values={n: v if isinstance(v, Absent) else Decimal(v) for n, v in zip(names, numbers, strict=True)},
        status=frozenset() if status is None else frozenset({status}),
        device_time=datetime.fromisoformat(time),
    )
    return replay([bytes.fromhex(value)], title=title, model=model, expected=(expected,))


_ERR = (Absent.NOT_A_NUMBER,) * 4
_NO_MEAN = Absent.NOT_PERFORMED
# Bytes of physical cuffs: github.com/derdilla/blood-pressure-monitor-fl, issue 80, pull requests 735 and 737, and
# app/test/features/bluetooth/logic/characteristics/ble_measurement_data_test.dart.
_CAPTURES = {
    "capture": _capture(
        "a cuff's own bytes",
        "167c0056006100e807060f11111b33000000",
        (124, 86, 97, 51),
        "2024-06-15T17:17:27",
    ),
    "capture-err": _capture(
        "a cuff's own bytes: Err, the arm moved",
        "16ff07ff07ff07e80706170e230aff070000",
        _ERR,
        "2024-06-23T14:35:10",
    ),
    "capture-err-cuff": _capture(
        "a cuff's own bytes: Err CUF, too loose",
        "16ff07ff07ff07e80706170e2f3bff070000",
        _ERR,
        "2024-06-23T14:47:59",
    ),
    "capture-bm85": _capture(
        "a Beurer BM85's own bytes",
        "566a0047000000ea07080b121f00003f000000",
        (106, 71, _NO_MEAN, 63),
        "2026-08-11T18:31:00",
        model="BM85",
    ),
    "capture-bm85-second-user": _capture(
        "a Beurer BM85's own bytes: the second user",
        "56710049000000ea07080b1438000041010000",
        (113, 73, _NO_MEAN, 65),
        "2026-08-11T20:56:00",
        model="BM85",
    ),
    "capture-bm85-irregular": _capture(
        "a Beurer BM85's own bytes: irregular pulse",
        "56760050000000ea07080b141b00003c000004",
        (118, 80, _NO_MEAN, 60),
        "2026-08-11T20:27:00",
        model="BM85",
        status=Status.IRREGULAR_PULSE,
    ),
    "capture-bm85-unknown": _capture(
        "a Beurer BM85's own bytes from a cuff that does not say it is one: the pulse is not believed",
        "56710049000000ea07080b1438000041010000",
        (113, 73, _NO_MEAN, Absent.ERROR),
        "2026-08-11T20:56:00",
        status=Status.UNEXPECTED_FORMAT,
    ),
    # github.com/pauldemarco/flutter_blue/issues/687
    "capture-other-layout": replay(
        [bytes.fromhex("fe202700750055005f00e407091810093a690001")],
        title="a cuff with a layout of its own in the standard's place: nothing is believed",
    ),
}

SIMULATOR = GattSimulator(
    id="ble-blood-pressure",
    name="Simulated BP",
    advertised=(BLOOD_PRESSURE_SERVICE,),
    measure=measure,
    scenarios={
        "normal": _scenario("one measurement", [_NORMAL]),
        "kpa": _scenario(
            "a cuff set to kPa", [_KPA], expected=(_expected(Reading(*_whole(*_KPA_IN_MMHG), time=_JUST_NOW), CLOCK),)
        ),
        "irregular": _scenario("an irregular pulse", [replace(_NORMAL, status=_IRREGULAR)]),
        "error": _scenario("a failed measurement", [Reading(None, None, None, None, time=_JUST_NOW)]),
        "backlog": _scenario("three from memory, then a fresh one", [*_MEMORY, _NORMAL]),
        "backlog-no-clock": _scenario(
            "three from memory, then a fresh one, and no clock to tell them by",
            [*_MEMORY, _NORMAL],
            clock=None,
        ),
        "clock-unset": _scenario(
            "the clock was never set",
            [replace(_NORMAL, time=None, time_unset=True)],
            clock=None,
            clock_unset=True,
        ),
        "user-slots": _scenario(
            "two users' slots",
            [replace(_MEMORY[2], user=1), replace(_NORMAL, user=2), replace(_NORMAL, systolic=Decimal(126), user=255)],
        ),
        "hang-up-mid-way": _scenario("hangs up after two of four", [*_MEMORY, _NORMAL], sent=2),
        "progress": _scenario("cuff pressure while it inflates, then the result", [_NORMAL], progress=True),
        **_CAPTURES,
    },
)
