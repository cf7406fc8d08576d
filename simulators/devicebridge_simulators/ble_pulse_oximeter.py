"""A Bluetooth pulse oximeter: the other end of `ble-pulse-oximeter`.

Written from the Bluetooth SIG's Pulse Oximeter Service 1.0.1 and GATT Specification Supplement, with an encoder of its
own; Nonin's characteristic from its description 113142-000-02 Rev B, as M. Villarroel's ble_nco_spec_decoder.swift
restates it.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.peripheral import battery, current_time, device_information, encode_time
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

OXIMETER_SERVICE = uuid16(0x1822)
SPOT_CHECK = uuid16(0x2A5E)
CONTINUOUS = uuid16(0x2A5F)
FEATURES = uuid16(0x2A60)
CONTROL_POINT = uuid16(0x2A52)
NONIN_SERVICE = "46a970e0-0d5f-11e2-8b5e-0002a5d5c51b"
NONIN_OXIMETRY = "0aad7ea0-0d60-11e2-8e3c-0002a5d5c51b"

CLOCK = datetime(2026, 11, 21, 10, 20, 0)
"""What this oximeter's clock says. It runs twelve minutes late: in the room it is 10:32."""
STAYS_S = 1.5
"""Of the clock on the wall, as a host takes its time at any pace."""

EARLY, VALIDATED, STORED, DEMO, QUESTIONABLE, INVALID = 1 << 6, 1 << 7, 1 << 9, 1 << 10, 1 << 14, 1 << 15
LOW_PERFUSION, SEARCHING, NO_FINGER = 1 << 5, 1 << 9, 1 << 11
_NAN = b"\xff\x07"
_STORAGE_FEATURES = bytes.fromhex("0f00 e0ff ffff00")
_FEATURES = bytes.fromhex("0b00 e0fd ffff00")
_REPORT_ALL = bytes([1, 1])


@dataclass(frozen=True, slots=True)
class Oximetry:
    """What the oximeter shows at one moment. None: no value. amplitude_percent: the pulse amplitude index."""

    spo2: Decimal | None
    pulse: Decimal | None
    measurement: int | None = None
    device: int | None = None
    amplitude_percent: Decimal | None = None

    def _tail(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        return (
            None if self.measurement is None else struct.pack("<H", self.measurement),
            None if self.device is None else struct.pack("<I", self.device)[:3],
            None if self.amplitude_percent is None else encode_sfloat(self.amplitude_percent),
        )

    def encode_continuous(self, fast: tuple[int, int] | None = None, slow: tuple[int, int] | None = None) -> bytes:
        pairs = [p and b"".join(encode_sfloat(Decimal(n)) for n in p) for p in (fast, slow)]
        return _flagged(encode_sfloat(self.spo2) + encode_sfloat(self.pulse), *pairs, *self._tail())

    def encode_spot_check(self, time: datetime | None, *, clock_unset: bool = False) -> bytes:
        stamp = None if time is None else encode_time(time)
        value = _flagged(encode_sfloat(self.spo2) + encode_sfloat(self.pulse), stamp, *self._tail())
        return bytes([value[0] | clock_unset << 4]) + value[1:]


def _flagged(first: bytes, *parts: bytes | None) -> bytes:
    flags = sum(1 << bit for bit, part in enumerate(parts) if part is not None)
    return bytes([flags]) + first + b"".join(part for part in parts if part is not None)


def encode_sfloat(number: Decimal | None) -> bytes:
    """GSS medfloat16: a signed exponent of ten in the high four bits, a signed mantissa in the low twelve."""
    if number is None:
        return _NAN
    sign, digits, exponent = number.as_tuple()
    mantissa = int("".join(map(str, digits))) * (-1 if sign else 1)
    if not isinstance(exponent, int) or not -8 <= exponent <= 7 or not -2045 <= mantissa <= 2045:
        raise ValueError(f"{number} does not fit 16 bits")
    return struct.pack("<H", (exponent & 0xF) << 12 | mantissa & 0xFFF)


def encode_nonin(spo2: int, pulse: int, status: int, counter: int, amplitude: int = 310, battery: int = 29) -> bytes:
    """Length, status, battery in 0.1 V, amplitude in 0.01 %, counter, SpO2, pulse rate."""
    return struct.pack(">BBBHHBH", 10, status, battery, amplitude, counter, spo2, pulse)


def _services(
    *measuring: Characteristic, service: str = OXIMETER_SERVICE, clock: SettableClock | None = None
) -> tuple[Service, ...]:
    return (
        Service(service, measuring),
        device_information("Simulated oximeter", "SIM-OX-1"),
        battery(77),
        current_time(lambda: CLOCK) if clock is None else clock.current_time(),
    )


SPOT = Characteristic(uuid=SPOT_CHECK, access=Access.INDICATE)
_STREAM = Characteristic(uuid=CONTINUOUS, access=Access.NOTIFY)
_NONIN = Characteristic(uuid=NONIN_OXIMETRY, access=Access.NOTIFY)


def replay(
    title: str,
    values: Sequence[tuple[Characteristic, bytes]],
    expected: tuple[Expected, ...] = (),
    *,
    has: tuple[Characteristic, ...] = (),
    clock: SettableClock | None = None,
) -> GattScenario:
    """Sends exactly these values, those of a stream one a second. has: characteristics beside those of the values.
    clock: one that can be set; the oximeter stays until a host could have done so."""
    measuring = tuple(dict.fromkeys((*(c for c, _ in values), *has)))
    service = NONIN_SERVICE if _NONIN in measuring else OXIMETER_SERVICE
    features = Characteristic(uuid=FEATURES, access=Access.READ, value=_FEATURES)

    async def run(port: GattPort) -> None:
        for wanted in measuring:
            await port.subscribed(wanted.uuid)
        for sent, value in values:
            if Access.INDICATE in sent.access:
                await port.indicate(sent.uuid, value)
            else:
                await port.notify(sent.uuid, value)
                await port.pause(1)
        if clock is not None:
            await asyncio.sleep(STAYS_S)

    def services() -> tuple[Service, ...]:
        return _services(*measuring, features, service=service, clock=clock)

    return GattScenario(title=title, services=services, run=run, expected=expected)


def memory(
    title: str,
    stored: Sequence[bytes],
    expected: tuple[Expected, ...] = (),
    options: Mapping[str, object] | None = None,
    *,
    live: Sequence[bytes] = (),
    features: bytes = _STORAGE_FEATURES,
) -> GattScenario:
    """An oximeter with spot-checks in its memory; it measures `live` when that has been read."""
    requests: asyncio.Queue[bytes] = asyncio.Queue()

    async def written(request: bytes) -> None:
        requests.put_nowait(request)

    def services() -> tuple[Service, ...]:
        nonlocal requests
        requests = asyncio.Queue()
        control_point = Characteristic(uuid=CONTROL_POINT, access=Access.WRITE | Access.INDICATE, written=written)
        return _services(SPOT, Characteristic(uuid=FEATURES, access=Access.READ, value=features), control_point)

    async def run(port: GattPort) -> None:
        await port.subscribed(CONTROL_POINT)
        request = await requests.get()
        understood = request == _REPORT_ALL
        for value in stored if understood else ():
            await port.indicate(SPOT_CHECK, value)
        result = 2 if not understood else 1 if stored else 6
        await port.indicate(CONTROL_POINT, bytes([6, 0, request[0], result]))
        for value in live:
            await port.indicate(SPOT_CHECK, value)

    return GattScenario(title=title, services=services, run=run, expected=expected, options=options or {})


def measure(vitals: Vitals) -> GattScenario:
    """A finger is put in, its values settle, and it is taken out."""
    spo2, pulse = Decimal(vitals.spo2_percent), Decimal(vitals.pulse_per_min)
    return replay(
        "one finger",
        _finger(replace(_STEADY, spo2=spo2, pulse=pulse)),
        (_expected(spo2, pulse, amplitude=_AMPLITUDE),),
    )


def _expected(
    spo2: Decimal | Absent,
    pulse: Decimal | Absent,
    *status: Status,
    amplitude: Decimal | None = None,
    time: datetime | None = None,
    origin: Origin = Origin.LIVE,
) -> Expected:
    values = {Name.SPO2: spo2, Name.PULSE_RATE: pulse}
    if amplitude is not None:
        values[Name.PERFUSION_INDEX] = amplitude
    return Expected(kind=Kind.PULSE_OXIMETRY, values=values, status=frozenset(status), device_time=time, origin=origin)


_AMPLITUDE = Decimal("3.1")
_STEADY = Oximetry(Decimal(97), Decimal(72), measurement=0, device=0, amplitude_percent=_AMPLITUDE)
_SEARCH = Oximetry(None, None, measurement=0, device=SEARCHING, amplitude_percent=None)
_GONE = Oximetry(Decimal(97), Decimal(72), measurement=INVALID, device=NO_FINGER, amplitude_percent=_AMPLITUDE)
_SECONDS = 8


def _finger(steady: Oximetry, seconds: int = _SECONDS) -> list[tuple[Characteristic, bytes]]:
    shown = [_SEARCH, _SEARCH, *([steady] * seconds), _GONE, _GONE]
    return [(_STREAM, value.encode_continuous()) for value in shown]


_READING = _expected(Decimal(97), Decimal(72), amplitude=_AMPLITUDE)
_SECOND = replace(_STEADY, spo2=Decimal(94), pulse=Decimal(88))
_JUST_NOW = CLOCK - timedelta(seconds=5)
_SPOT_CHECK = Oximetry(Decimal(98), Decimal(64), measurement=VALIDATED)
_OLD = (
    (Oximetry(Decimal(96), Decimal(70), measurement=VALIDATED | STORED), CLOCK - timedelta(days=2)),
    (Oximetry(Decimal(93), Decimal(81), measurement=VALIDATED | STORED), CLOCK - timedelta(hours=3)),
)
_OLD_VALUES = [shown.encode_spot_check(time) for shown, time in _OLD]
_OLD_READINGS = tuple(
    _expected(
        shown.spo2 or Absent.ERROR, shown.pulse or Absent.ERROR, Status.VALIDATED, time=time, origin=Origin.STORED
    )
    for shown, time in _OLD
)
_SPOT_READING = _expected(Decimal(98), Decimal(64), Status.VALIDATED, time=_JUST_NOW)
_SPOT_VALUE = _SPOT_CHECK.encode_spot_check(_JUST_NOW)

NONIN_ON, NONIN_OFF = 0b0101_0100, 0b0100_0000  # encrypted, sensor connected, SmartPoint


def _nonin() -> list[tuple[Characteristic, bytes]]:
    shown = [(127, 511, NONIN_ON & ~4 | 8)] * 2 + [(97, 72, NONIN_ON)] * _SECONDS + [(97, 72, NONIN_OFF)]
    return [(_NONIN, encode_nonin(*values, counter=n)) for n, values in enumerate(shown)]


SIMULATOR = GattSimulator(
    id="ble-pulse-oximeter",
    name="Simulated oximeter",
    advertised=(OXIMETER_SERVICE,),
    measure=measure,
    scenarios={
        "stream": replay("one finger", _finger(_STEADY), (_READING,)),
        "two-fingers": replay(
            "two fingers after each other",
            _finger(_STEADY) + _finger(_SECOND),
            (_READING, _expected(Decimal(94), Decimal(88), amplitude=_AMPLITUDE)),
        ),
        "finger-too-short": replay("a finger that is taken out too soon", _finger(_STEADY, seconds=3)),
        "restless": replay(
            "values that never hold still",
            [v for n in range(6) for v in _finger(replace(_STEADY, spo2=Decimal(90 + 2 * (n % 4))), 2)[2:-2]],
        ),
        "questionable": replay(
            "the oximeter doubts its values, then not any more",
            _finger(replace(_STEADY, spo2=Decimal(81), measurement=QUESTIONABLE))[:-2] + _finger(_STEADY),
            (_READING,),
        ),
        "early-only": replay("nothing but early estimates", _finger(replace(_STEADY, measurement=EARLY))),
        "low-perfusion": replay(
            "low perfusion",
            _finger(replace(_STEADY, device=LOW_PERFUSION)),
            (_expected(Decimal(97), Decimal(72), Status.LOW_PERFUSION, amplitude=_AMPLITUDE),),
        ),
        "demo": replay(
            "demonstration",
            _finger(replace(_STEADY, measurement=DEMO)),
            (_expected(Decimal(97), Decimal(72), Status.TEST_DATA, amplitude=_AMPLITUDE),),
        ),
        "fast-and-slow": replay(
            "with fast and slow averages",
            [(_STREAM, _STEADY.encode_continuous((95, 80), (99, 70)))] * _SECONDS,
            (_READING,),
        ),
        "spot-check": replay("one spot-check", [(SPOT, _SPOT_VALUE)], (_SPOT_READING,)),
        "spot-check-failed": replay(
            "a failed spot-check",
            [(SPOT, Oximetry(None, None, measurement=INVALID).encode_spot_check(_JUST_NOW))],
            (_expected(Absent.NOT_A_NUMBER, Absent.NOT_A_NUMBER, Status.INVALID_MEASUREMENT, time=_JUST_NOW),),
        ),
        "clock-unset": replay(
            "the clock was never set",
            [(SPOT, _SPOT_CHECK.encode_spot_check(datetime(2000, 1, 1, 0, 0, 40), clock_unset=True))],
            (_expected(Decimal(98), Decimal(64), Status.VALIDATED, Status.CLOCK_UNSET),),
        ),
        "stream-then-spot-check": replay(
            "a stream and, of the same finger, a spot-check",
            [*_finger(_STEADY)[:-2], (SPOT, _SPOT_VALUE), *_finger(_STEADY)[-4:], *_finger(_SECOND)],
            (_SPOT_READING, _expected(Decimal(94), Decimal(88), amplitude=_AMPLITUDE)),
        ),
        "stream-without-spot-check": replay(
            "a stream from an oximeter that could have given a spot-check",
            _finger(_STEADY)[:-2],
            (_READING,),
            has=(SPOT,),
        ),
        "memory": memory(
            "first meeting: the whole memory, then a fresh one",
            _OLD_VALUES,
            (*_OLD_READINGS, _SPOT_READING),
            {"first_download": "all"},
            live=[_SPOT_VALUE],
        ),
        "memory-recent": memory(
            "first meeting: only what is recent", _OLD_VALUES, (_SPOT_READING,), live=[_SPOT_VALUE]
        ),
        "memory-empty": memory("no records", [], (), {"first_download": "all"}),
        "nonin": replay(
            "Nonin's own characteristic",
            _nonin(),
            (_expected(Decimal(97), Decimal(72), Status.VALIDATED, amplitude=Decimal("3.10")),),
        ),
    },
)
