"""A Bluetooth heart rate sensor: the other end of `ble-heart-rate`.

Written from the Bluetooth SIG's Heart Rate Service 1.0 and GATT Specification Supplement, with an encoder of its own.
It notifies once a second.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.peripheral import battery, device_information
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
from devicebridge.sdk.values import Kind, Name

HEART_RATE_SERVICE = uuid16(0x180D)
MEASUREMENT = uuid16(0x2A37)
LOCATION = uuid16(0x2A38)
CHEST = 1
STEADY_S = 5
"""For how long the host wants the rate to hold still."""


@dataclass(frozen=True, slots=True)
class Second:
    """What is notified once. worn: None for a sensor that does not know. rr: intervals in 1/1024 of a second."""

    rate: int
    worn: bool | None = True
    energy_kj: int | None = None
    rr: tuple[int, ...] = ()
    wide: bool = False

    def encode(self) -> bytes:
        wide = self.wide or self.rate > 255
        contact = 0 if self.worn is None else 0b110 if self.worn else 0b100
        flags = wide | contact | (self.energy_kj is not None) << 3 | bool(self.rr) << 4
        energy = b"" if self.energy_kj is None else struct.pack("<H", self.energy_kj)
        return (
            struct.pack("<BH" if wide else "<BB", flags, self.rate)
            + energy
            + struct.pack(f"<{len(self.rr)}H", *self.rr)
        )


def measure(vitals: Vitals) -> GattScenario:
    """The strap is put on for ten seconds."""
    return _scenario("worn for a while", [Second(vitals.pulse_per_min)] * 10, rates=(vitals.pulse_per_min,))


def _services() -> tuple[Service, ...]:
    own = (
        Characteristic(uuid=MEASUREMENT, access=Access.NOTIFY),
        Characteristic(uuid=LOCATION, access=Access.READ, value=bytes([CHEST])),
    )
    return (Service(HEART_RATE_SERVICE, own), device_information("Simulated strap", "SIM-HR-1"), battery(55))


def _scenario(title: str, seconds: Sequence[Second], *, rates: Sequence[int]) -> GattScenario:
    async def run(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        for second in seconds:
            await port.notify(MEASUREMENT, second.encode())
            await port.pause(1)

    return GattScenario(title=title, services=_services, run=run, expected=tuple(map(_expected, rates)))


def _expected(rate: int) -> Expected:
    return Expected(kind=Kind.HEART_RATE, values={Name.HEART_RATE: Decimal(rate)})


def _worn(*rates: int) -> list[Second]:
    return [Second(rate, rr=(round(60 * 1024 / rate),)) for rate in rates]


_OFF = Second(0, worn=False)
_STALE = Second(72, worn=False)
"""Taken off, a sensor may go on with its last rate."""
_ENERGY = [replace(second, energy_kj=12 + n) for n, second in enumerate(_worn(71, 72, 72, 71, 73, 74))]

SIMULATOR = GattSimulator(
    id="ble-heart-rate",
    name="Simulated strap",
    advertised=(HEART_RATE_SERVICE,),
    measure=measure,
    scenarios={
        "normal": _scenario("one wearing", _worn(70, 71, 72, 72, 73, 72, 72, 71), rates=[73]),
        "energy": _scenario("with energy expended and RR intervals", _ENERGY, rates=[73]),
        "wide": _scenario("the rate in two bytes", [replace(s, wide=True) for s in _worn(*[64] * 6)], rates=[64]),
        "two-wearings": _scenario(
            "put on twice",
            [_OFF, *_worn(80, 80, 80, 80, 80, 80), _STALE, _OFF, *_worn(*[66] * 6), _OFF],
            rates=[80, 66],
        ),
        "racing": _scenario("a rate that settles late", _worn(110, 96, 88, 80, 76, 74, 73, 72, 72, 72), rates=[72]),
        "no-contact-sense": _scenario(
            "a sensor that does not know whether it is worn",
            [replace(second, worn=None) for second in _worn(*[68] * 7)],
            rates=[68],
        ),
        "not-worn": _scenario("on the table, with its last rate", [_STALE] * 8, rates=[]),
        "no-beat": _scenario("worn, but no beat is found", [Second(0)] * 8, rates=[]),
        "too-short": _scenario("taken off too soon", [*_worn(72, 72, 72), _OFF], rates=[]),
    },
)
