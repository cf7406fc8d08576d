"""A Microlife blood pressure monitor: the other end of `microlife`.

Written from github.com/joergmlpts/blood-pressure-monitor (bpm_bt.py), a memory read from a monitor with what it showed
(github.com/vytautas-valaitis/microlife_bp, notes) and the names in the maker's SDK, with an encoder of its own. It
answers what it is asked, in pieces of twenty bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.peripheral import Inbox, battery, device_information
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

SERVICE, NOTIFY, WRITE = (uuid16(number) for number in (0xFFF0, 0xFFF1, 0xFFF2))

CLOCK = datetime(2026, 11, 21, 10, 20, 0)
"""What this monitor's clock says. It runs twelve minutes late: in the room it is 10:32."""

GOOD, IRREGULAR, FIBRILLATION, LOOSE = 0x80, 0xC0, 0xA0, 0x00
_PIECE_BYTES = 20
_IDLE_S, _PATIENCE_S = 0.3, 30.0  # of the clock on the wall: a host needs its time at any pace
_HISTORY, _CLEAR, _TIME = 0x00, 0x03, 0x0C
_FORBIDDEN = (_CLEAR, 0x06, 0x0D)  # erases, writes a name, sets the clock


@dataclass(frozen=True, slots=True)
class Reading:
    """time: None of a clock that was never set. bytes_: as they are."""

    systolic: int
    diastolic: int
    pulse: int
    time: datetime | None
    marks: int = GOOD

    def encode(self) -> bytes:
        t = self.time
        stamp = bytes((17, 0, 0, 0, 0)) if t is None else bytes((t.year - 2000, t.month, t.day, t.hour, t.minute))
        return bytes((self.systolic, self.diastolic, self.pulse)) + stamp + bytes((self.marks, 0))

    def expected(self, *status: Status) -> Expected:
        numbers = {Name.SYSTOLIC: self.systolic, Name.DIASTOLIC: self.diastolic, Name.PULSE_RATE: self.pulse}
        return Expected(
            kind=Kind.BLOOD_PRESSURE,
            values={name: Decimal(number) for name, number in numbers.items()},
            status=frozenset(status),
            device_time=self.time,
            origin=Origin.STORED,
        )


def frame(payload: bytes) -> bytes:
    body = b"M:" + (len(payload) + 1).to_bytes(2, "big") + payload
    return body + bytes((sum(body) % 256,))


def memory(records: Sequence[bytes], *, user: int = 1, current: Sequence[bytes] = ()) -> bytes:
    head = bytes((_HISTORY, 0, len(current), len(records), user, 0, 0, 0))
    return frame(head + b"".join(current).ljust(30, b"\0") + b"".join(records))


@dataclass(slots=True)
class Monitor:
    """clock: None of one that does not tell it. spoilt: so many answers arrive damaged. measuring: so many times it
    is asked while the cuff is still at work."""

    records: Sequence[bytes]
    clock: datetime | None = CLOCK
    spoilt: int = 0
    measuring: int = 0
    asked: list[bytes] = field(default_factory=list)

    def scenario(
        self, title: str, expected: Sequence[Expected] = (), options: Mapping[str, object] | None = None
    ) -> GattScenario:
        visit = _Visit(self)
        return GattScenario(
            title=title,
            services=visit.services,
            run=visit.run,
            expected=tuple(expected),
            options=options or {},
            faulty=self.spoilt > 0,
        )


class _Visit:
    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._inbox = Inbox()

    def services(self) -> tuple[Service, ...]:
        self._inbox.clear()
        self._spoilt, self._measuring = self._monitor.spoilt, self._monitor.measuring
        self._is_read = False
        line = Service(
            SERVICE,
            (
                Characteristic(uuid=NOTIFY, access=Access.NOTIFY),
                Characteristic(uuid=WRITE, access=Access.WRITE, written=self._inbox.written),
            ),
        )
        return (line, device_information("BP3GY1-2N", "SIM-ML-1"), battery(80))

    async def run(self, port: GattPort) -> None:
        await port.subscribed(NOTIFY)
        await self._answer(port, await self._inbox.next())
        with suppress(TimeoutError):
            while True:
                await self._answer(
                    port, await asyncio.wait_for(self._inbox.next(), _IDLE_S if self._is_read else _PATIENCE_S)
                )

    async def _answer(self, port: GattPort, asked: bytes) -> None:
        self._monitor.asked.append(asked)
        assert asked[:2] == b"M\xff" and asked[4] not in _FORBIDDEN, asked.hex()
        if asked[4] == _TIME and (clock := self._monitor.clock) is not None:
            parts = (clock.year - 2000, clock.month, clock.day, clock.hour, clock.minute, clock.second)
            await self._send(port, frame(bytes((_TIME, 1, *parts))))
        elif asked[4] == _HISTORY:
            await self._send(port, self._history())

    def _history(self) -> bytes:
        if self._measuring:
            self._measuring -= 1
            return memory((), current=[Reading(139, 92, 71, CLOCK).encode()])
        whole = memory(self._monitor.records)
        if self._spoilt:
            self._spoilt -= 1
            return whole[:50] + bytes((whole[50] ^ 0x10,)) + whole[51:]
        self._is_read = True
        return whole

    async def _send(self, port: GattPort, data: bytes) -> None:
        for start in range(0, len(data), _PIECE_BYTES):
            await port.notify(NOTIFY, data[start : start + _PIECE_BYTES])


FRESH = Reading(128, 82, 68, CLOCK - timedelta(minutes=1))
STORED = (
    Reading(141, 88, 75, CLOCK - timedelta(days=3)),
    Reading(147, 59, 48, CLOCK - timedelta(days=2), IRREGULAR),
    Reading(148, 70, 60, CLOCK - timedelta(days=1), LOOSE),
    Reading(135, 85, 77, CLOCK - timedelta(hours=5), FIBRILLATION),
    FRESH,
)
_MEMORY = [reading.encode() for reading in STORED]
_EXPECTED = (
    STORED[0].expected(),
    STORED[1].expected(Status.IRREGULAR_PULSE),
    STORED[2].expected(Status.CUFF_TOO_LOOSE),
    STORED[3].expected(Status.IRREGULAR_PULSE),
    FRESH.expected(),
)
_ALL = {"first_download": "all"}
_UNDATED = Reading(144, 68, 51, None)
_FAILED = Reading(ord("E"), ord("r"), 3, CLOCK - timedelta(minutes=3))


def measure(vitals: Vitals) -> GattScenario:
    """The cuff has measured; the medical assistant has pressed the button that sends."""
    time = vitals.local_time.replace(second=0, microsecond=0)
    reading = Reading(vitals.systolic_mmhg, vitals.diastolic_mmhg, vitals.pulse_per_min, time)
    return Monitor([reading.encode()], clock=vitals.local_time).scenario("one measurement", [reading.expected()])


SIMULATOR = GattSimulator(
    id="microlife",
    name="BP3GY1-2N",
    advertised=(SERVICE,),
    scenarios={
        "fresh": Monitor(_MEMORY).scenario("first meeting: only what was measured just now", _EXPECTED[4:]),
        "memory": Monitor(_MEMORY).scenario("first meeting: the whole memory", _EXPECTED, _ALL),
        "none": Monitor(_MEMORY).scenario("first meeting: nothing", (), {"first_download": "none"}),
        "empty": Monitor(()).scenario("no records", (), _ALL),
        "empty-places": Monitor([bytes(10), *_MEMORY[4:], bytes(10)]).scenario(
            "places without a record", _EXPECTED[4:], _ALL
        ),
        "no-clock": Monitor(_MEMORY, clock=None).scenario("does not tell its time", _EXPECTED, _ALL),
        "clock-unset": Monitor([_UNDATED.encode()]).scenario(
            "measured before the clock was set", (_UNDATED.expected(Status.CLOCK_UNSET),), _ALL
        ),
        "failed": Monitor([_FAILED.encode()]).scenario(
            "an error in place of a measurement",
            (
                replace(
                    _FAILED.expected(Status.DEVICE_ERROR),
                    values=dict.fromkeys((Name.SYSTOLIC, Name.DIASTOLIC, Name.PULSE_RATE), Absent.ERROR),
                ),
            ),
        ),
        "no-such-day": Monitor([bytes.fromhex("6e464118000f0e1e8000"), *_MEMORY[4:]]).scenario(
            "a record of the month 0", _EXPECTED[4:], _ALL
        ),
        "spoilt": Monitor(_MEMORY, spoilt=1).scenario("an answer that arrives damaged", _EXPECTED[4:]),
        "measuring": Monitor(_MEMORY, measuring=1).scenario("still at work when it is asked", _EXPECTED[4:]),
    },
    measure=measure,
)
