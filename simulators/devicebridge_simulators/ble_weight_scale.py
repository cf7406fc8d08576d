"""A Bluetooth scale: the other end of `ble-weight-scale`.

Written from the Bluetooth SIG's Weight Scale Service 1.0, Body Composition Service 1.0, User Data Service 1.1 and GATT
Specification Supplement, with an encoder of its own. It indicates what it has as soon as it is asked to, oldest first.
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
)
from devicebridge.sdk.values import Absent, Kind, Name, Origin, Status

WEIGHT_SERVICE = uuid16(0x181D)
COMPOSITION_SERVICE = uuid16(0x181B)
USER_SERVICE = uuid16(0x181C)
AND_SERVICE = "23434100-1fe4-1eff-80cb-00ff78297d8b"
MEASUREMENT = uuid16(0x2A9D)
COMPOSITION = uuid16(0x2A9C)
USER_CONTROL = uuid16(0x2A9F)
AND_MEASUREMENT = "23434101-1fe4-1eff-80cb-00ff78297d8b"

CLOCK = datetime(2026, 11, 21, 10, 20, 0)
"""What this scale's clock says. It runs twelve minutes late: in the room it is 10:32."""
USER_INDEX = 1
CONSENT_CODE = 3752

_PARTS = 1 << 12
_KG = Decimal("0.005")
_POUND = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Weighing:
    """weight: None for a failure. bmi and height_m go together."""

    weight: Decimal | None
    time: datetime | None = None
    pounds: bool = False
    user: int | None = None
    bmi: Decimal | None = None
    height: Decimal | None = None
    time_unset: bool = False

    def encode(self, unit: Decimal | None = None) -> bytes:
        """unit: of the weight, in place of the standard's."""
        time = UNSET_TIME if self.time_unset else b"" if self.time is None else encode_time(self.time)
        user = b"" if self.user is None else bytes([self.user])
        body = b""
        if self.bmi is not None and self.height is not None:
            inches_or_metres = Decimal("0.1") if self.pounds else Decimal("0.001")
            body = _u16(self.bmi, Decimal("0.1")) + _u16(self.height, inches_or_metres)
        flags = self.pounds | bool(time) << 1 | bool(user) << 2 | bool(body) << 3
        unit = unit or (_POUND if self.pounds else _KG)
        weight = b"\xff\xff" if self.weight is None else _u16(self.weight, unit)
        return bytes([flags]) + weight + time + user + body


@dataclass(frozen=True, slots=True)
class Body:
    """A composition; None for a field that is not sent. Zero everywhere: it was not measured."""

    fat: Decimal | None
    metabolism_kj: int | None = None
    muscle_percent: Decimal | None = None
    soft_lean_kg: Decimal | None = None
    water_kg: Decimal | None = None
    impedance_ohm: Decimal | None = None
    weight_kg: Decimal | None = None
    part: bool = False

    def encode(self) -> bytes:
        tenth = Decimal("0.1")
        fields = (
            (3, self.metabolism_kj and Decimal(self.metabolism_kj), Decimal(1)),
            (4, self.muscle_percent, tenth),
            (7, self.soft_lean_kg, _KG),
            (8, self.water_kg, _KG),
            (9, self.impedance_ohm, tenth),
            (10, self.weight_kg, _KG),
        )
        flags = _PARTS if self.part else 0
        data = b"\xff\xff" if self.fat is None else _u16(self.fat, tenth)
        for bit, number, unit in fields:
            if number is not None:
                flags |= 1 << bit
                data += _u16(Decimal(number), unit)
        return struct.pack("<H", flags) + data


def _u16(number: Decimal, unit: Decimal) -> bytes:
    count = number / unit
    if count != int(count):
        raise ValueError(f"{number} is no multiple of {unit}")
    return struct.pack("<H", int(count))


def replay(values: Sequence[tuple[str, bytes]], *, title: str, expected: tuple[Expected, ...] = ()) -> GattScenario:
    """Indicates exactly these values, as a scale with both services and without a readable clock."""
    return _play(title, values, lambda: _services(clock=None, composition=True), expected)


def _play(
    title: str,
    values: Sequence[tuple[str, bytes]],
    services: Callable[[], tuple[Service, ...]],
    expected: tuple[Expected, ...],
    *,
    faulty: bool = False,
    options: Mapping[str, object] | None = None,
) -> GattScenario:
    """Values of the last characteristic enabled begin to come at once."""

    async def run(port: GattPort) -> None:
        await port.subscribed(values[-1][0] if len({uuid for uuid, _ in values}) == 1 else MEASUREMENT)
        for uuid, value in values:
            await port.indicate(uuid, value)

    return GattScenario(
        title=title, services=services, run=run, expected=expected, options=options or {}, faulty=faulty
    )


def _services(
    *,
    clock: Callable[[], datetime | None] | None = lambda: CLOCK,
    composition: bool = False,
    own: str = MEASUREMENT,
    control: Characteristic | None = None,
) -> tuple[Service, ...]:
    service = AND_SERVICE if own == AND_MEASUREMENT else WEIGHT_SERVICE
    services = [
        Service(service, (Characteristic(uuid=own, access=Access.INDICATE),)),
        device_information("Simulated scale", "SIM-WS-1"),
        battery(73),
    ]
    if composition:
        services.append(Service(COMPOSITION_SERVICE, (Characteristic(uuid=COMPOSITION, access=Access.INDICATE),)))
    if control is not None:
        services.append(Service(USER_SERVICE, (control,)))
    if clock is not None:
        services.append(current_time(clock))
    return tuple(services)


def and_scale(clock: SettableClock, weighings: Sequence[Weighing]) -> GattScenario:
    """An A&D UC-352BLE: its clock is in the service of its weights; it sends what it has, and hangs up."""

    def services() -> tuple[Service, ...]:
        measuring = (Characteristic(uuid=MEASUREMENT, access=Access.INDICATE), clock.date_time())
        return (Service(WEIGHT_SERVICE, measuring), device_information("UC-352BLE", "SIM-WS-1"))

    values = [(MEASUREMENT, weighing.encode()) for weighing in weighings]
    expected = tuple(e for weighing in weighings for e in _expected(weighing))
    return _play("an A&D UC-352BLE", values, services, expected)


def _weighings(
    title: str,
    weighings: Sequence[Weighing],
    *,
    clock: Callable[[], datetime | None] | None = lambda: CLOCK,
    options: Mapping[str, object] | None = None,
    expected: tuple[Expected, ...] | None = None,
) -> GattScenario:
    values = [(MEASUREMENT, weighing.encode()) for weighing in weighings]
    readings = tuple(e for weighing in weighings for e in _expected(weighing))
    found = readings if expected is None else expected
    return _play(title, values, lambda: _services(clock=clock), found, options=options)


def _with_body(
    title: str,
    pairs: Sequence[tuple[Weighing, Sequence[Body]]],
    expected: tuple[Expected, ...],
    options: Mapping[str, object] | None = None,
) -> GattScenario:
    values = [
        value
        for weighing, bodies in pairs
        for value in ((MEASUREMENT, weighing.encode()), *((COMPOSITION, body.encode()) for body in bodies))
    ]
    return _play(title, values, lambda: _services(composition=True), expected, options=options)


def _consenting(title: str, options: Mapping[str, object], *, granted: bool) -> GattScenario:
    """Sends nothing before it has the user's code."""
    inbox = Inbox()

    def services() -> tuple[Service, ...]:
        inbox.clear()
        control = Characteristic(uuid=USER_CONTROL, access=Access.WRITE | Access.INDICATE, written=inbox.written)
        return _services(composition=True, control=control)

    async def run(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        if not options:
            return
        opcode, user, code = struct.unpack("<BBH", await inbox.next())
        is_right = (opcode, user, code) == (2, USER_INDEX, CONSENT_CODE)
        await port.indicate(USER_CONTROL, bytes([0x20, 2, 1 if is_right else 5]))
        if is_right:
            await port.indicate(MEASUREMENT, _OF_USER.encode())
            await port.indicate(COMPOSITION, _BODY.encode())
        else:
            await port.pause(1)

    expected = (*_expected(_OF_USER), _body_expected(_OF_USER)) if granted else ()
    return GattScenario(title=title, services=services, run=run, expected=expected, options=options)


def _expected(weighing: Weighing) -> tuple[Expected, ...]:
    """One taken more than a minute before the scale's present was stored."""
    stored = weighing.time is not None and CLOCK - weighing.time > timedelta(minutes=1)
    origin = Origin.STORED if stored else Origin.LIVE
    status = frozenset({Status.CLOCK_UNSET}) if weighing.time_unset else frozenset()
    weight: dict[Name, Decimal | Absent] = {Name.WEIGHT: Absent.ERROR if weighing.weight is None else weighing.weight}
    if weighing.bmi is not None:
        weight[Name.BMI] = weighing.bmi
    found = [Expected(kind=Kind.WEIGHT, values=weight, status=status, device_time=weighing.time, origin=origin)]
    if weighing.height is not None:
        height = weighing.height if weighing.pounds else weighing.height.scaleb(2)
        found.append(
            Expected(
                kind=Kind.HEIGHT,
                values={Name.HEIGHT: height},
                status=status,
                device_time=weighing.time,
                origin=origin,
            )
        )
    return tuple(found)


def _body_expected(weighing: Weighing, values: Mapping[Name, Decimal | Absent] | None = None) -> Expected:
    (weight, *_) = _expected(weighing)
    return replace(weight, values=_BODY_VALUES if values is None else values)


_ALL = {"first_download": "all"}
_JUST_NOW = CLOCK - timedelta(seconds=5)
NORMAL = Weighing(Decimal("82.150"), _JUST_NOW)
_POUNDS = Weighing(Decimal("181.10"), _JUST_NOW, pounds=True, user=2, bmi=Decimal("24.9"), height=Decimal("71.5"))
MEMORY = (
    Weighing(Decimal("64.300"), CLOCK - timedelta(days=6), user=1),
    Weighing(Decimal("91.750"), CLOCK - timedelta(hours=2), user=3),
)
_OF_USER = Weighing(Decimal("79.960"), _JUST_NOW, user=USER_INDEX, bmi=Decimal("23.8"), height=Decimal("1.830"))
_BODY = Body(
    fat=Decimal("19.4"),
    metabolism_kj=6879,
    muscle_percent=Decimal("40.7"),
    soft_lean_kg=Decimal("61.180"),
    water_kg=Decimal("43.250"),
    impedance_ohm=Decimal("452.0"),
)
_BODY_VALUES: Mapping[Name, Decimal | Absent] = {
    Name.BODY_FAT: Decimal("19.4"),
    Name.MUSCLE_PERCENTAGE: Decimal("40.7"),
    Name.SOFT_LEAN_MASS: Decimal("61.180"),
    Name.BODY_WATER_MASS: Decimal("43.250"),
}
_NOT_MEASURED = Body(fat=Decimal(0), metabolism_kj=9110, muscle_percent=Decimal(0), water_kg=Decimal(0))
_FAILED = Body(fat=None)
_IN_TWO = (
    replace(_BODY, soft_lean_kg=None, water_kg=None, impedance_ohm=None, part=True),
    Body(
        fat=_BODY.fat,
        soft_lean_kg=_BODY.soft_lean_kg,
        water_kg=_BODY.water_kg,
        weight_kg=_OF_USER.weight,
        part=True,
    ),
)


def _captured(value: Decimal | int | str, kind: Kind, name: Name, time: str) -> Expected:
    return Expected(kind=kind, values={name: Decimal(value)}, device_time=datetime.fromisoformat(time))


_BF720_TIME = "2026-05-12T18:53:54"
_BF720 = (
    Expected(
        kind=Kind.WEIGHT,
        values={Name.WEIGHT: Decimal("79.960"), Name.BMI: Decimal("23.8")},
        device_time=datetime.fromisoformat(_BF720_TIME),
    ),
    _captured("183.0", Kind.HEIGHT, Name.HEIGHT, _BF720_TIME),
    Expected(kind=Kind.WEIGHT, values=_BODY_VALUES, device_time=datetime.fromisoformat(_BF720_TIME)),
)

SIMULATOR = GattSimulator(
    id="ble-weight-scale",
    name="Simulated scale",
    advertised=(WEIGHT_SERVICE,),
    scenarios={
        "normal": _weighings("one weighing", [NORMAL]),
        "pounds": _weighings("a scale set to pounds, with body-mass index and height", [_POUNDS]),
        "failed": _weighings("a weighing that failed", [replace(NORMAL, weight=None)]),
        "backlog": _weighings("two from memory, then a fresh one, all wanted", [*MEMORY, NORMAL], options=_ALL),
        "backlog-no-clock": _weighings(
            "two from memory, then a fresh one, and no clock to tell them by",
            [*MEMORY, NORMAL],
            clock=None,
            options=_ALL,
        ),
        "first-meeting": _weighings(
            "first meeting: what is in its memory is left out", [*MEMORY, NORMAL], expected=_expected(NORMAL)
        ),
        "clock-unset": _weighings(
            "the clock was never set", [replace(NORMAL, time=None, time_unset=True)], clock=lambda: None
        ),
        "and-uc-352": and_scale(SettableClock(CLOCK), [NORMAL]),
        "and-custom": _play(
            "an A&D scale of before the standard, in tenths",
            [(AND_MEASUREMENT, replace(NORMAL, weight=Decimal("82.1")).encode(Decimal("0.1")))],
            lambda: _services(own=AND_MEASUREMENT),
            _expected(replace(NORMAL, weight=Decimal("82.1"))),
        ),
        "composition": _with_body(
            "a weight and what it is made of", [(_OF_USER, [_BODY])], (*_expected(_OF_USER), _body_expected(_OF_USER))
        ),
        "composition-backlog": _with_body(
            "one from memory that was not measured whole, then a fresh one",
            [(MEMORY[0], [_NOT_MEASURED]), (_OF_USER, [_BODY])],
            (*_expected(MEMORY[0]), *_expected(_OF_USER), _body_expected(_OF_USER)),
            _ALL,
        ),
        "composition-first-meeting": _with_body(
            "first meeting: the one from memory is left out, the fresh one whole",
            [(MEMORY[0], [_NOT_MEASURED]), (_OF_USER, [_BODY])],
            (*_expected(_OF_USER), _body_expected(_OF_USER)),
        ),
        "composition-failed": _with_body(
            "a composition that could not be measured",
            [(NORMAL, [_FAILED])],
            (*_expected(NORMAL), _body_expected(NORMAL, {Name.BODY_FAT: Absent.ERROR})),
        ),
        "composition-in-two": _with_body(
            "a composition in two packets, the weight said again",
            [(_OF_USER, _IN_TWO)],
            (*_expected(_OF_USER), _body_expected(_OF_USER)),
        ),
        "consent": _consenting(
            "a scale that wants the user's code", {"user_index": USER_INDEX, "consent_code": CONSENT_CODE}, granted=True
        ),
        "consent-wrong": _consenting("a wrong code", {"user_index": USER_INDEX, "consent_code": 1234}, granted=False),
        "consent-not-given": _consenting("a scale that wants the user's code, which nobody has set", {}, granted=False),
        # github.com/KristianP26/ble-scale-sync issue 168, tests/scales/beurer-bf720.test.ts
        "capture-bf720": replay(
            [
                (MEASUREMENT, bytes.fromhex("0e783eea07050c12353601ee002607")),
                (COMPOSITION, bytes.fromhex("9803c200df1a9701cc2fca21a811")),
            ],
            title="a Beurer BF720's own bytes",
            expected=_BF720,
        ),
    },
)
