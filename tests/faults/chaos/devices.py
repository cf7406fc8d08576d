"""The simulated devices of the rig, each on a real link, each with its own way to hand a reading over."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from devicebridge.sdk.simulation import GattPort, GattScenario, SerialPort, SerialScenario, Vitals
from devicebridge.sdk.values import Kind, Name, Origin
from devicebridge.testing.radio import Ether, Peripheral
from devicebridge.testing.serial_host import End, real_time, serve_pty, serve_tcp
from devicebridge_simulators import astm, ble_blood_pressure, ble_glucose, nonin, scale_text

from .cable import Cable, Line
from .journal import Duty, Emission, Journal

REPLY_S = 15.0
"""ASTM E1381, 6.5.2.2. The daemon never sleeps so long, so that no late reply can be taken for that to what follows."""
STALE_WITHIN_S = 0.001
PLUGGED_IN_S = 0.5
"""A host may empty a port that it has just opened; a person takes longer than this to be measured."""
OXIMETER_SPEED = 20.0
RADIO_PACE = 0.1
"""How long a simulated second lasts on the radio."""


class Device(Protocol):
    """A device that is being served. place: its key and value in a [devices] table."""

    name: str
    driver: str
    options: str
    place: tuple[str, str]

    async def finish(self) -> None:
        """Measures no more, and returns once it has nothing left to hand over."""
        ...


class SerialDevice:
    """Measures every `every_s` seconds, and on a line of its own."""

    name: str
    driver: str
    options = ""
    has_sums: bool
    speed = 1.0

    def __init__(self, journal: Journal, rng: random.Random, every_s: float) -> None:
        self.place = ("port", "")
        self.cable = Cable(rng, has_sums=self.has_sums, speed=self.speed)
        self.journal = journal
        self.every_s = every_s
        self.is_closing = False
        self.is_idle = asyncio.Event()

    @asynccontextmanager
    async def served(self, *, over_pty: bool) -> AsyncIterator[None]:
        scenario = SerialScenario(title=self.name, run=self._run)
        serve = serve_pty if over_pty else serve_tcp
        async with serve(scenario, pause=real_time(self.speed), end=End.STAY) as host:
            self.place = ("port", host.port)
            yield

    @property
    def owes(self) -> bool:
        """Something is still to be handed over."""
        return False

    async def finish(self) -> None:
        self.is_closing = True
        await self.is_idle.wait()

    async def _run(self, port: SerialPort) -> None:
        line = self.cable.plug(port)
        await line.pause(PLUGGED_IN_S * self.speed)
        while self.owes or not self.is_closing:
            self.cable.begin_reading()
            await self.measure(line)
            await line.pause(self.every_s * self.speed)
        self.is_idle.set()

    async def measure(self, line: Line) -> None:
        raise NotImplementedError


class Analyzer(SerialDevice):
    """ASTM: keeps each result until its last frame was acknowledged, and offers it again until then."""

    driver = "astm"
    has_sums = True

    def __init__(self, name: str, journal: Journal, rng: random.Random, every_s: float) -> None:
        super().__init__(journal, rng, every_s)
        self.name = name
        self._numbers = itertools.count(1)
        self._unsent: tuple[Emission, list[bytes]] | None = None

    async def measure(self, line: Line) -> None:
        emission, frames = self._unsent = self._unsent or self._result()
        if await self._was_acknowledged(line, frames):
            emission.emitted_s = time.monotonic()
            self._unsent = None

    @property
    def owes(self) -> bool:
        return self._unsent is not None

    def _result(self) -> tuple[Emission, list[bytes]]:
        number, now = next(self._numbers), site_time()
        value = f"{number // 10}.{number % 10}"
        result = astm.afinion(value, unit="mg/L", test="CRP", when=astm.timed(now))
        records = [record.replace(astm.AFINION, f"{astm.AFINION}-{self.name}") for record in result]
        expected = astm.expect(value, name=Name.ANALYTE, when=now, kind=Kind.LAB)
        return self.journal.measure(self.name, expected, Duty.ACKNOWLEDGED), astm.frame_whole(records)

    async def _was_acknowledged(self, line: Line, frames: list[bytes]) -> bool:
        sender = astm.Sender(line)
        with suppress(TimeoutError):
            async with asyncio.timeout(STALE_WITHIN_S):
                await line.read()  # said while nothing was asked: an instrument does not listen then
        with suppress(TimeoutError):
            async with asyncio.timeout(REPLY_S):
                return await sender.send(frames)
        await line.write(astm.EOT)
        return False


class Scale(SerialDevice):
    """Rice Lake: prints each weighing once, without a checksum, and forgets it."""

    name = "scale"
    driver = "scale-text"
    has_sums = False

    def __init__(self, journal: Journal, rng: random.Random, every_s: float) -> None:
        super().__init__(journal, rng, every_s)
        self._pounds = (Decimal(n) / 100 for n in itertools.count(5000, 3))

    async def measure(self, line: Line) -> None:
        pounds = f"{next(self._pounds):.2f}"
        emission = self.journal.measure(self.name, scale_text.weight(pounds), Duty.PUSHED, line.opened_s)
        await line.write(scale_text.rice_lake(pounds))
        if not self.cable.is_spoilt:
            emission.emitted_s = time.monotonic()


class Oximeter(SerialDevice):
    """Nonin format 7: a stream with a sum in every frame; a reading is made of a finger that holds still."""

    name = "oximeter"
    driver = "nonin"
    has_sums = True
    speed = OXIMETER_SPEED

    def __init__(self, journal: Journal, rng: random.Random, every_s: float) -> None:
        super().__init__(journal, rng, every_s)
        self._numbers = ((spo2, pulse) for pulse in itertools.count(41) for spo2 in range(70, 100))

    async def measure(self, line: Line) -> None:
        spo2, pulse = next(self._numbers)
        expected = nonin.expect(spo2, pulse, when=None)
        emission = self.journal.measure(self.name, expected, Duty.STREAMED, line.opened_s)
        await nonin.stream(nonin.whole(spo2, pulse), nonin.format_7)(line)
        if not self.cable.is_spoilt:
            emission.emitted_s = time.monotonic()


class Cuff:
    """Bluetooth LE: indicates a result until it is confirmed."""

    name = "cuff"
    driver = "ble-blood-pressure"
    options = ""

    def __init__(self, journal: Journal, peripheral: Peripheral, every_s: float) -> None:
        self.place = ("address", peripheral.address)
        self.peripheral = peripheral
        self._journal = journal
        self._every_s = every_s
        self._closing = asyncio.Event()
        self._vitals = _pressures()
        self._life = asyncio.create_task(self._live())

    @classmethod
    async def hosted(cls, journal: Journal, ether: Ether, every_s: float) -> Cuff:
        simulator = ble_blood_pressure.SIMULATOR
        return cls(journal, await ether.add(simulator, "normal", awake=False), every_s)

    async def finish(self) -> None:
        self._closing.set()
        await self._life

    async def stop(self) -> None:
        await _cancelled(self._life)

    async def _live(self) -> None:
        while not self._closing.is_set():
            await self._measure(next(self._vitals))
            await _pause(self._closing, self._every_s)

    async def _measure(self, vitals: Vitals) -> None:
        scenario = ble_blood_pressure.measure(vitals)
        emission = self._journal.measure(self.name, scenario.expected[0], Duty.PUSHED)

        async def run(port: GattPort) -> None:
            await scenario.run(port)
            emission.emitted_s = emission.emitted_s or time.monotonic()

        while emission.emitted_s is None:
            await _play(self.peripheral, replace(scenario, run=run))


class GlucoseMeter:
    """Bluetooth LE: keeps every record and is asked for what is new at each visit."""

    name = "meter"
    driver = "ble-glucose"
    options = 'options = { first_download = "all" }\n'

    def __init__(self, journal: Journal, peripheral: Peripheral, every_s: float) -> None:
        self.place = ("address", peripheral.address)
        self.peripheral = peripheral
        self._journal = journal
        self._every_s = every_s
        self._records: list[ble_glucose.Record] = []
        self._meter = ble_glucose.Meter(self._records, clock=site_time)
        self._closing = asyncio.Event()
        self._life = asyncio.create_task(self._live())

    @classmethod
    async def hosted(cls, journal: Journal, ether: Ether, every_s: float) -> GlucoseMeter:
        simulator = ble_glucose.SIMULATOR
        return cls(journal, await ether.add(simulator, "empty", awake=False), every_s)

    async def finish(self) -> None:
        """Nobody can tell a meter that all was stored; it comes once more, and is read to the end."""
        self._closing.set()
        await self._life
        for _ in range(2):
            await self._visit()

    async def stop(self) -> None:
        await _cancelled(self._life)

    async def _live(self) -> None:
        while not self._closing.is_set():
            self._measure()
            await self._visit()
            await _pause(self._closing, self._every_s)

    def _measure(self) -> None:
        number, now = len(self._records) + 1, site_time()
        milligrams = Decimal(20 + number % 1900)
        record = ble_glucose.Record(number, now, milligrams.scaleb(-5))
        expected = ble_glucose.reading(record, milligrams, origin=Origin.LIVE)
        emission = self._journal.measure(self.name, expected, Duty.KEPT)
        self._records.append(record)
        emission.emitted_s = time.monotonic()

    async def _visit(self) -> None:
        """Until it was read to the end."""
        done = asyncio.Event()
        scenario = self._meter.scenario("a visit")

        async def run(port: GattPort) -> None:
            await scenario.run(port)
            done.set()

        while not done.is_set():
            await _play(self.peripheral, replace(scenario, run=run))


async def _play(peripheral: Peripheral, scenario: GattScenario) -> None:
    """One connection, whatever becomes of it."""
    plays = peripheral.plays
    peripheral.wake(scenario)
    await peripheral.played(plays + 1)


async def _pause(closing: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await closing.wait()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))


def site_time() -> datetime:
    """Of the devices' clocks, which are right: naive, and the site keeps UTC."""
    return datetime.now(UTC).replace(microsecond=0, tzinfo=None)


def _pressures() -> Iterator[Vitals]:
    for number in itertools.count():
        systolic, pulse = 100 + number % 100, 50 + number // 100 % 100
        yield Vitals(
            systolic_mmhg=systolic,
            diastolic_mmhg=60,
            mean_mmhg=73,
            pulse_per_min=pulse,
            spo2_percent=98,
            temperature_cel=Decimal("36.6"),
            local_time=site_time(),
        )
