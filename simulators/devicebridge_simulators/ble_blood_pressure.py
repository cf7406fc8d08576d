"""A Bluetooth blood pressure monitor: the other end of `ble-blood-pressure`.

Written from the Bluetooth SIG's Blood Pressure Service 1.1.1, Current Time Service 1.1 and GATT Specification
Supplement, with an encoder of its own. It indicates what it has as soon as it is asked to, oldest first.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from devicebridge.sdk.bluetooth import CURRENT_TIME, uuid16
from devicebridge.sdk.peripheral import UNSET_TIME, Inbox, battery, device_information, encode_time
from devicebridge.sdk.settable_clock import SettableClock
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
AND_SERVICE = "233bf000-5a34-1b6d-975c-000d5690abe4"
AND_CUSTOM = "233bf001-5a34-1b6d-975c-000d5690abe4"
AND_SEND_ALL = bytes([2, 0, 0xE1])
AND_HANG_UP = bytes([2, 1, 3])

CLOCK = datetime(2026, 11, 21, 10, 20, 0)
"""What this cuff's clock says. It runs twelve minutes late: in the room it is 10:32."""
LATER_S = 1.5
"""Of the clock on the wall, as a host takes its time at any pace."""
CUFF_STEPS_MMHG = (40, 90, 140, 180, 130, 100)

_NAN = b"\xff\x07"
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
        time = UNSET_TIME if self.time_unset else b"" if self.time is None else encode_time(self.time)
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
    return cuff("one measurement", [reading], clock=SettableClock(vitals.local_time))


def _services(
    clock: SettableClock | None = None, *, model: str = "Simulated cuff", own: Sequence[Characteristic] = ()
) -> tuple[Service, ...]:
    """own: what it has beside the standard, in the service of its measurements."""
    measuring = (
        Characteristic(uuid=MEASUREMENT, access=Access.INDICATE),
        Characteristic(uuid=CUFF_PRESSURE, access=Access.NOTIFY),
        Characteristic(uuid=uuid16(0x2A49), access=Access.READ, value=bytes([0x3F, 0x00])),
    )
    services = (
        Service(BLOOD_PRESSURE_SERVICE, (*measuring, *own)),
        device_information(model, "SIM-BP-1"),
        battery(87),
    )
    return services if clock is None else (*services, clock.current_time())


def cuff(
    title: str,
    readings: Sequence[Reading],
    *,
    clock: SettableClock | None,
    later: Sequence[Reading] = (),
    stays: bool = False,
    options: Mapping[str, object] | None = None,
    progress: bool = False,
    sent: int | None = None,
    expected: tuple[Expected, ...] | None = None,
) -> GattScenario:
    """clock: None where it cannot be read. stays: for a while when it has sent all. later: what it indicates then.
    sent: how many of the readings it indicates before it hangs up in the middle."""
    now = clock.shows if clock and clock.shows else CLOCK

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
        if stays or later:
            await asyncio.sleep(LATER_S)
        for reading in later:
            await port.indicate(MEASUREMENT, reading.encode())

    return GattScenario(
        title=title,
        services=lambda: _services(clock),
        run=run,
        expected=tuple(reading_of(r, now) for r in readings[:sent]) if expected is None else expected,
        options=options or {},
        faulty=sent is not None,
    )


def omron(
    title: str,
    readings: Sequence[Reading],
    clock: SettableClock,
    *,
    options: Mapping[str, object] | None = None,
    expected: tuple[Expected, ...] | None = None,
) -> GattScenario:
    """One that keeps to the service: it notifies its time first, twice, and then indicates what it has. Its advertised
    name begins with BLEsmart_."""

    def services() -> tuple[Service, ...]:
        time = clock.current_time(Access.READ | Access.WRITE | Access.NOTIFY)
        return (*_services(model="HEM-9200T"), time)

    async def run(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        for _ in range(2):
            await port.notify(CURRENT_TIME, clock.encode())
        for reading in readings:
            await port.indicate(MEASUREMENT, reading.encode())

    found = tuple(reading_of(r, CLOCK) for r in readings) if expected is None else expected
    return GattScenario(title=title, services=services, run=run, expected=found, options=options or {})


def and_cuff(
    title: str,
    readings: Sequence[Reading],
    clock: SettableClock,
    *,
    asked: list[bytes] | None = None,
    options: Mapping[str, object] | None = None,
    expected: tuple[Expected, ...] | None = None,
) -> GattScenario:
    """An A&D UA-651BLE: sends what it has when it is asked to, and hangs up when it is told to. asked: what it was."""
    inbox, seen = Inbox(), [] if asked is None else asked

    async def heard(value: bytes) -> None:
        seen.append(value)
        await inbox.written(value)

    def services() -> tuple[Service, ...]:
        inbox.clear()
        custom = Characteristic(uuid=AND_CUSTOM, access=Access.READ | Access.WRITE, written=heard)
        return (*_services(model="UA-651BLE", own=[clock.date_time()]), Service(AND_SERVICE, (custom,)))

    async def run(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        if await inbox.next() == AND_SEND_ALL:
            for reading in readings:
                await port.indicate(MEASUREMENT, reading.encode())
        if await inbox.next() == AND_HANG_UP:
            await port.disconnect()

    found = tuple(reading_of(r, CLOCK) for r in readings) if expected is None else expected
    return GattScenario(title=title, services=services, run=run, expected=found, options=options or {})


def reading_of(reading: Reading, now: datetime) -> Expected:
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


JUST_NOW = CLOCK - timedelta(seconds=5)
NORMAL = Reading(*_whole(124, 81, 95, 72), time=JUST_NOW)
MEMORY = (
    Reading(*_whole(131, 84, 100, 77), time=CLOCK - timedelta(days=3, hours=2)),
    Reading(*_whole(118, 76, 90, 64), time=CLOCK - timedelta(days=2, hours=1)),
    Reading(*_whole(142, 91, 108, 83), time=CLOCK - timedelta(minutes=50)),
)
EARLIER = Reading(*_whole(128, 83, 98, 74), time=CLOCK - timedelta(minutes=6))
_KPA = Reading(Decimal("16.5"), Decimal("10.8"), Decimal("12.7"), Decimal(72), time=JUST_NOW, kpa=True)
_KPA_IN_MMHG = (124, 81, 95, 72)  # 123.76, 81.01 and 95.26, at 7.500615758 mmHg to the kPa


_ALL = {"first_download": "all"}


def _late() -> SettableClock:
    return SettableClock(CLOCK)


def _capture(
    title: str,
    value: str,
    numbers: tuple[int | Absent, int | Absent, int | Absent, int | Absent],
    time: str | None,
    *,
    model: str = "Simulated cuff",
    status: Status | None = None,
) -> GattScenario:
    names = (Name.SYSTOLIC, Name.DIASTOLIC, Name.MEAN, Name.PULSE_RATE)
    expected = Expected(
        kind=Kind.BLOOD_PRESSURE,
        values={n: v if isinstance(v, Absent) else Decimal(v) for n, v in zip(names, numbers, strict=True)},
        status=frozenset() if status is None else frozenset({status}),
        device_time=None if time is None else datetime.fromisoformat(time),
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
    # h2SyncLib, AndUA651BLE.h
    "capture-ua-651": _capture(
        "an A&D UA-651BLE's own bytes: irregular pulse, and no time",
        "146500410051003e000400",
        (101, 65, 81, 62),
        None,
        status=Status.IRREGULAR_PULSE,
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
        "normal": cuff("one measurement", [NORMAL], clock=_late()),
        "kpa": cuff(
            "a cuff set to kPa",
            [_KPA],
            clock=_late(),
            expected=(reading_of(Reading(*_whole(*_KPA_IN_MMHG), time=JUST_NOW), CLOCK),),
        ),
        "irregular": cuff("an irregular pulse", [replace(NORMAL, status=_IRREGULAR)], clock=_late()),
        "error": cuff("a failed measurement", [Reading(None, None, None, None, time=JUST_NOW)], clock=_late()),
        "backlog": cuff(
            "three from memory, then a fresh one, all wanted", [*MEMORY, NORMAL], clock=_late(), options=_ALL
        ),
        "first-meeting": cuff(
            "first meeting: two from memory are left out, one was taken in this visit",
            [*MEMORY[:2], EARLIER, NORMAL],
            clock=_late(),
            expected=(reading_of(EARLIER, CLOCK), reading_of(NORMAL, CLOCK)),
        ),
        "first-meeting-none": cuff(
            "first meeting: nothing from memory is wanted",
            [*MEMORY[:2], EARLIER, NORMAL],
            clock=_late(),
            options={"first_download": "none"},
            expected=(reading_of(NORMAL, CLOCK),),
        ),
        "backlog-no-clock": cuff(
            "three from memory, then a fresh one, and no clock to tell them by",
            [*MEMORY, NORMAL],
            clock=None,
            options=_ALL,
        ),
        "first-meeting-no-clock": cuff(
            "first meeting, and no clock: the last was measured just now, and one ten minutes before it at most",
            [*MEMORY[:2], EARLIER, NORMAL],
            clock=None,
            expected=(reading_of(EARLIER, CLOCK), reading_of(NORMAL, CLOCK)),
        ),
        "clock-unset": cuff(
            "the clock was never set", [replace(NORMAL, time=None, time_unset=True)], clock=SettableClock(None)
        ),
        "user-slots": cuff(
            "two users' slots",
            [replace(MEMORY[2], user=1), replace(NORMAL, user=2), replace(NORMAL, systolic=Decimal(126), user=255)],
            clock=_late(),
            options=_ALL,
        ),
        "hang-up-mid-way": cuff("hangs up after two of four", [*MEMORY, NORMAL], clock=_late(), sent=2, options=_ALL),
        "progress": cuff("cuff pressure while it inflates, then the result", [NORMAL], clock=_late(), progress=True),
        "and-ua-651": and_cuff(
            "an A&D UA-651BLE, which is asked for what it has and told to hang up", [NORMAL], _late()
        ),
        **_CAPTURES,
    },
)
