"""A Bluetooth thermometer: the other end of `ble-thermometer`.

Written from the Bluetooth SIG's Health Thermometer Service 1.0 and GATT Specification Supplement, with an encoder of
its own. It indicates what it has as soon as it is asked to, oldest first; one that measures by itself goes on.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.peripheral import UNSET_TIME, Inbox, battery, current_time, device_information, encode_time
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

THERMOMETER_SERVICE = uuid16(0x1809)
MEASUREMENT = uuid16(0x2A1C)
TYPE = uuid16(0x2A1D)
INTERMEDIATE = uuid16(0x2A1E)
INTERVAL = uuid16(0x2A21)
AND_SERVICE = "233bf000-5a34-1b6d-975c-000d5690abe4"
AND_CUSTOM = "233bf001-5a34-1b6d-975c-000d5690abe4"
AND_SEND_ALL = bytes([2, 0, 0xE1])
AND_HANG_UP = bytes([2, 1, 3])

CLOCK = datetime(2026, 11, 21, 10, 20, 0)
"""What this thermometer's clock says. It runs twelve minutes late: in the room it is 10:32."""

EAR = 3
MOUTH = 6

_SPECIAL = {
    Absent.NOT_A_NUMBER: b"\xff\xff\x7f\x00",
    Absent.ERROR: b"\x00\x00\x80\x00",
    Absent.POSITIVE_INFINITY: b"\xfe\xff\x7f\x00",
    Absent.NEGATIVE_INFINITY: b"\x02\x00\x80\x00",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One result. A reason in place of the temperature: the thermometer could not measure, or shows Hi or Lo."""

    temperature: Decimal | Absent
    time: datetime | None = None
    fahrenheit: bool = False
    site: int | None = None
    time_unset: bool = False

    def encode(self) -> bytes:
        time = UNSET_TIME if self.time_unset else b"" if self.time is None else encode_time(self.time)
        site = b"" if self.site is None else bytes([self.site])
        flags = self.fahrenheit | bool(time) << 1 | bool(site) << 2
        return bytes([flags]) + encode_float(self.temperature) + time + site


def encode_float(number: Decimal | Absent) -> bytes:
    """GSS medfloat32: a signed mantissa of three bytes, low byte first, then a signed exponent of ten."""
    if isinstance(number, Absent):
        return _SPECIAL[number]
    sign, digits, exponent = number.as_tuple()
    mantissa = int("".join(map(str, digits))) * (-1 if sign else 1)
    if not isinstance(exponent, int) or not -128 <= exponent <= 127 or abs(mantissa) > 0x7FFFFD:
        raise ValueError(f"{number} does not fit 32 bits")
    return struct.pack("<i", mantissa)[:3] + struct.pack("b", exponent)


def measure(vitals: Vitals) -> GattScenario:
    """The thermometer has measured in the mouth; it switches its radio on and sends the result."""
    reading = Reading(vitals.temperature_cel, vitals.local_time.replace(microsecond=0), site=MOUTH)
    return _scenario("one measurement", [reading], clock=lambda: vitals.local_time)


def _services(
    *,
    clock: Callable[[], datetime | None] | None,
    model: str = "Simulated thermometer",
    site: int | None = None,
    interval_s: int | None = None,
    inbox: Inbox | None = None,
    own: Sequence[Characteristic] = (),
) -> tuple[Service, ...]:
    """own: what it has beside the standard, in the service of its measurements."""
    measuring = [
        *own,
        Characteristic(uuid=MEASUREMENT, access=Access.INDICATE),
        Characteristic(uuid=INTERMEDIATE, access=Access.NOTIFY),
    ]
    if site is not None:
        measuring.append(Characteristic(uuid=TYPE, access=Access.READ, value=bytes([site])))
    if interval_s is not None:
        measuring.append(Characteristic(uuid=INTERVAL, access=Access.READ, value=struct.pack("<H", interval_s)))
    services = [
        Service(THERMOMETER_SERVICE, tuple(measuring)),
        device_information(model, "SIM-HT-1"),
        battery(64),
    ]
    if clock is not None:
        services.append(current_time(clock))
    if inbox is not None:
        custom = Characteristic(uuid=AND_CUSTOM, access=Access.READ | Access.WRITE, written=inbox.written)
        services.append(Service(AND_SERVICE, (custom,)))
    return tuple(services)


def _scenario(
    title: str,
    readings: Sequence[Reading],
    *,
    clock: Callable[[], datetime | None] | None = lambda: CLOCK,
    site: int | None = None,
    settling: Sequence[Reading] = (),
    sent: int | None = None,
    options: Mapping[str, object] | None = None,
    expected: tuple[Expected, ...] | None = None,
) -> GattScenario:
    """settling: sent as intermediate values first. sent: how many readings it indicates before it hangs up."""

    async def run(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        if settling:
            await port.subscribed(INTERMEDIATE)
        for reading in settling:
            await port.notify(INTERMEDIATE, reading.encode())
            await port.pause(1)
        for reading in readings[:sent]:
            await port.indicate(MEASUREMENT, reading.encode())
            if sent is not None and reading is readings[0]:
                await reads.next()
        if sent is not None:
            await port.disconnect()

    reads = Inbox()

    def services() -> tuple[Service, ...]:
        reads.clear()
        return _services(clock=None if clock is None else read, site=site)

    def read() -> datetime | None:
        reads.put(b"")
        return None if clock is None else clock()

    return GattScenario(
        title=title,
        services=services,
        run=run,
        expected=tuple(map(_expected, readings[:sent])) if expected is None else expected,
        options=options or {},
        faulty=sent is not None,
    )


def _stream(title: str, readings: Sequence[Reading], expected: tuple[Expected, ...]) -> GattScenario:
    """Measures every second by itself."""

    async def run(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        for reading in readings:
            await port.indicate(MEASUREMENT, reading.encode())
            await port.pause(1)

    return GattScenario(
        title=title, services=lambda: _services(clock=lambda: CLOCK, interval_s=1), run=run, expected=expected
    )


def and_thermometer(clock: SettableClock) -> GattScenario:
    """An A&D UT-201BLE, which sends when it is told to, and hangs up when it is told to."""
    inbox = Inbox()

    def services() -> tuple[Service, ...]:
        inbox.clear()
        return _services(clock=None, model="UT-201BLE", inbox=inbox, own=[clock.date_time()])

    async def run(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        if await inbox.next() == AND_SEND_ALL:
            await port.indicate(MEASUREMENT, _NORMAL.encode())
        if await inbox.next() == AND_HANG_UP:
            await port.disconnect()

    return GattScenario(
        title="one that must be asked for what it has", services=services, run=run, expected=(_expected(_NORMAL),)
    )


def _expected(reading: Reading, status: frozenset[Status] = frozenset()) -> Expected:
    """One taken more than a minute before the thermometer's present was stored."""
    stored = reading.time is not None and CLOCK - reading.time > timedelta(minutes=1)
    return Expected(
        kind=Kind.TEMPERATURE,
        values={Name.TEMPERATURE: reading.temperature},
        status=status | {Status.CLOCK_UNSET} if reading.time_unset else status,
        device_time=reading.time,
        origin=Origin.STORED if stored else Origin.LIVE,
    )


_ALL = {"first_download": "all"}
_JUST_NOW = CLOCK - timedelta(seconds=5)
_NORMAL = Reading(Decimal("36.8"), _JUST_NOW, site=MOUTH)
_FAHRENHEIT = Reading(Decimal("99.3"), _JUST_NOW, fahrenheit=True, site=EAR)
_MEMORY = (
    Reading(Decimal("37.4"), CLOCK - timedelta(days=2, hours=3)),
    Reading(Decimal("38.25"), CLOCK - timedelta(hours=5)),
)
_FAILED = replace(_NORMAL, temperature=Absent.NOT_A_NUMBER)


def _seconds(*temperatures: str, start_s: int = 0) -> list[Reading]:
    return [Reading(Decimal(t), CLOCK + timedelta(seconds=start_s + n)) for n, t in enumerate(temperatures)]


_RISING = _seconds("33.1", "35.0", "36.2", "36.6", "36.7", "36.7", "36.8", "36.7", "36.7", "36.7", "36.8")
_READ = 8  # the last of the first five that differ by a tenth at most
_AGAIN = _seconds("34.0", "37.1", "37.1", "37.1", "37.2", "37.2", "37.2", start_s=60)
_READ_AGAIN = 5
_FIDGETING = _seconds("33.1", "35.4", "34.2")

SIMULATOR = GattSimulator(
    id="ble-thermometer",
    name="Simulated thermometer",
    advertised=(THERMOMETER_SERVICE,),
    measure=measure,
    scenarios={
        "normal": _scenario("one measurement", [_NORMAL]),
        "fahrenheit": _scenario("a thermometer set to Fahrenheit", [_FAHRENHEIT]),
        "no-site": _scenario("one that says once for all where it measures", [replace(_NORMAL, site=None)], site=EAR),
        "error": _scenario("a failed measurement", [_FAILED]),
        "too-hot": _scenario("Hi on the display", [replace(_NORMAL, temperature=Absent.POSITIVE_INFINITY)]),
        "backlog": _scenario("two from memory, then a fresh one, all wanted", [*_MEMORY, _NORMAL], options=_ALL),
        "backlog-no-clock": _scenario(
            "two from memory, then a fresh one, and no clock to tell them by",
            [*_MEMORY, _NORMAL],
            clock=None,
            options=_ALL,
        ),
        "first-meeting": _scenario(
            "first meeting: what is in its memory is left out", [*_MEMORY, _NORMAL], expected=(_expected(_NORMAL),)
        ),
        "clock-unset": _scenario(
            "the clock was never set", [replace(_NORMAL, time=None, time_unset=True)], clock=lambda: None
        ),
        "settling": _scenario(
            "values that rise, then the result",
            [_NORMAL],
            settling=[Reading(Decimal(t)) for t in ("31.0", "34.5", "36.1", "36.6")],
        ),
        "hang-up-mid-way": _scenario("hangs up after two of three", [*_MEMORY, _NORMAL], sent=2, options=_ALL),
        "stream": _stream("one that measures every second", _RISING, (_expected(_RISING[_READ]),)),
        "stream-twice": _stream(
            "one that measures every second, worn twice",
            [*_RISING, Reading(Absent.NOT_A_NUMBER, CLOCK), *_AGAIN],
            (_expected(_RISING[_READ]), _expected(_AGAIN[_READ_AGAIN])),
        ),
        "stream-never-still": _stream(
            "one that measures every second, taken off too soon",
            _FIDGETING,
            (_expected(_FIDGETING[-1], frozenset({Status.UNSTABLE})),),
        ),
        "send-all": and_thermometer(SettableClock(CLOCK)),
    },
)
