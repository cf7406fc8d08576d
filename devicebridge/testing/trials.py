"""Plays a simulator's scenario to a driver's session, over a real link or in memory, and gives what came of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from ..clock import SystemClock
from ..intake import Intake, Source
from ..sdk.driver import Driver
from ..sdk.links import LinkLost, Loss
from ..sdk.outlet import DeviceClock, DeviceIdentity, Event
from ..sdk.simulation import Expected, GattScenario, GattSimulator, SerialScenario
from ..sdk.values import Observation
from ..sdk.wave import Row, Wave
from .serial_host import End, Fault, HungUp, SerialHost, instant, serve_pty, serve_tcp, with_faults

TIMEOUT_S = 30.0  # a trial has no pauses: it takes milliseconds
LAST_READING_S = 0.2  # how long an idle session may still be at work, where the device does not hang up


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading as it would be published, in what a scenario can promise of it."""

    kind: str
    values: tuple[tuple[str, str], ...]
    status: frozenset[str]
    device_time: str | None
    origin: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """readings: in order, with repeats of one measurement (the same id) left out. noises: pieces not understood.

    rows: the samples of an EKG, each in its place; rows of None where some are missing.
    """

    readings: tuple[Reading, ...]
    rows: tuple[Row, ...]
    reason: Loss | None
    noises: int
    repeats: int


class Collector:
    """An Outlet that passes everything through the core's intake."""

    def __init__(self, driver: Driver[Any]) -> None:
        source = Source("site", "room", "device", driver.manifest.id, "link", False, True)
        self._intake = Intake(source, ZoneInfo("UTC"), SystemClock())
        self._ids: set[str] = set()
        self.readings: list[Reading] = []
        self.events: list[Event] = []
        self.repeats = 0
        self.memory: dict[str, str] = {}
        self.waves: list[Wave] = []

    async def emit(self, *group: Observation) -> None:
        await asyncio.sleep(0)  # as the disk would
        for entry in self._intake.entries(group):
            if entry.id in self._ids:
                self.repeats += 1
                continue
            self._ids.add(entry.id)
            self.readings.append(_reading(json.loads(entry.payload, parse_float=str, parse_int=str)))

    async def recall(self, key: str, /) -> str | None:
        return self.memory.get(key)

    async def remember(self, key: str, value: str, /) -> None:
        await asyncio.sleep(0)
        self.memory[key] = value

    def wave(self, wave: Wave, /) -> None:
        self.waves.append(wave)

    def local_time(self) -> datetime:
        return SystemClock().now().replace(tzinfo=None)

    def note(self, event: Event, /) -> None:
        self.events.append(event)
        if isinstance(event, DeviceClock):
            self._intake.read_clock(event.now)
        elif isinstance(event, DeviceIdentity):
            self._intake.identity = event


def expectation(expected: Expected) -> Reading:
    """What a scenario promises, in the same words."""
    from ..readings import digits

    values = {name: digits(v) if isinstance(v, Decimal) else f"{v}" for name, v in expected.values.items()}
    return Reading(
        kind=expected.kind.value,
        values=tuple(sorted((name.value, text) for name, text in values.items())),
        status=frozenset(status.value for status in expected.status),
        device_time=expected.device_time.isoformat() if expected.device_time else None,
        origin=expected.origin.value,
    )


def play_in_memory(driver: Driver[Any], scenario: SerialScenario, faults: Sequence[Fault] = ()) -> Outcome:
    """Over a line that loses nothing and takes no time. Raises AssertionError where the session fails or hangs."""
    return asyncio.run(_in_memory(driver, scenario, faults))


def play_over_tcp(driver: Driver[Any], scenario: SerialScenario, faults: Sequence[Fault] = ()) -> Outcome:
    """Over pyserial's socket://, with our own link in between."""
    return asyncio.run(_over_serial(driver, scenario, serve_tcp(scenario, end=End.HANG_UP, faults=faults)))


def play_over_pty(driver: Driver[Any], scenario: SerialScenario, faults: Sequence[Fault] = ()) -> Outcome:
    """Over a pseudo-terminal. NotImplementedError on Windows."""
    return asyncio.run(_over_serial(driver, scenario, serve_pty(scenario, end=End.HANG_UP, faults=faults)))


def record(scenario: SerialScenario, driver: Driver[Any]) -> bytes:
    """All that the device sends in a scenario, to a host that runs the driver."""
    sent = bytearray()

    def tap(port: Any) -> Any:
        return _Tap(port, sent)

    play_in_memory(driver, scenario, [tap])
    return bytes(sent)


def play_over_radio(driver: Driver[Any], simulator: GattSimulator, scenario: GattScenario) -> Outcome:
    """Over the simulated radio: bleak, the GATT link, real ATT. Needs the demo extra."""
    return asyncio.run(_over_radio(driver, simulator, scenario))


async def _over_radio(driver: Driver[Any], simulator: GattSimulator, scenario: GattScenario) -> Outcome:
    from ..links.gatt import Radio
    from .radio import Ether

    assert driver.manifest.gatt is not None, f"{driver.manifest.id}: its simulator speaks Bluetooth LE, it does not"
    async with Ether(pace=0) as ether, ether.radio() as backend:
        radio = Radio(backend, clock=SystemClock())
        await radio.start()
        try:
            peripheral = await ether.add(simulator, scenario)
            opener = radio.opener(peripheral.address, driver.manifest.gatt)
            return await _session(driver, scenario.options, opener.open())
        finally:
            await radio.stop()


async def _over_serial(
    driver: Driver[Any], scenario: SerialScenario, served: AbstractAsyncContextManager[SerialHost]
) -> Outcome:
    from ..links.serial import SerialOpener

    assert driver.manifest.serial is not None, f"{driver.manifest.id}: its simulator is serial, it is not"
    async with served as host:
        opener = SerialOpener(host.port, driver.manifest.serial, baud=None, clock=SystemClock())
        return await _session(driver, scenario.options, opener.open())


async def _in_memory(driver: Driver[Any], scenario: SerialScenario, faults: Sequence[Fault]) -> Outcome:
    line = _MemoryLine()

    @asynccontextmanager
    async def opened() -> AsyncIterator[_Host]:
        device = asyncio.create_task(line.play(scenario, faults))
        try:
            yield _Host(line)
        finally:
            device.cancel()
            for result in await asyncio.gather(device, return_exceptions=True):
                if isinstance(result, Exception):
                    raise result

    return await _session(driver, scenario.options, opened(), line.idle)


async def _session(
    driver: Driver[Any],
    options: Any,
    opened: AbstractAsyncContextManager[Any],
    idle: asyncio.Event | None = None,
) -> Outcome:
    """One session to its end: the link's, or when nothing is left to be sent by anybody (`idle`)."""
    collector = Collector(driver)
    reason: Loss | None = None
    try:
        async with asyncio.timeout(TIMEOUT_S), opened as link:
            session = asyncio.ensure_future(driver.session(link, collector, driver.options.model_validate(options)))
            silence = asyncio.ensure_future((idle or asyncio.Event()).wait())
            try:
                await asyncio.wait({session, silence}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                silence.cancel()
                await _ended(driver, session)
            if not session.cancelled():
                session.result()
    except LinkLost as lost:
        reason = lost.reason
    except TimeoutError:
        raise AssertionError(f"{driver.manifest.id}: the session did not end with its link") from None
    noises = sum(type(event).__name__ == "Noise" for event in collector.events)
    return Outcome(tuple(collector.readings), _rows(collector.waves), reason, noises, collector.repeats)


def _rows(waves: Sequence[Wave]) -> tuple[Row, ...]:
    rows: list[Row] = []
    for wave in waves:
        missing = wave.first_index - waves[0].first_index - len(rows)
        rows += [(None,) * len(wave.format.leads)] * missing
        rows += wave.rows
    return tuple(rows)


async def _ended(driver: Driver[Any], session: asyncio.Future[None]) -> None:
    if session.done():
        return
    session.cancel()
    await asyncio.wait({session}, timeout=LAST_READING_S)
    assert session.done(), f"{driver.manifest.id}: the session does not end when it is cancelled"


class _MemoryLine:
    """A serial line without a wire. idle: nothing is under way, and both ends wait for the other."""

    def __init__(self) -> None:
        self.to_host = bytearray()
        self.to_device = bytearray()
        self.changed = asyncio.Event()
        self.idle = asyncio.Event()
        self.lost: Loss | None = None
        self._waiting: set[str] = set()

    async def play(self, scenario: SerialScenario, faults: Sequence[Fault]) -> None:
        try:
            await scenario.run(with_faults(_Device(self), faults))
            self.lost = Loss.DISCONNECTED
        except HungUp:
            self.lost = Loss.UNPLUGGED
        finally:
            self.changed.set()

    async def take(self, end: str, inbox: bytearray) -> bytes:
        """What is in the inbox; waits for it. Empty when the line is gone."""
        while not inbox and self.lost is None:
            self._waiting.add(end)
            if len(self._waiting) == 2 and not self.to_host and not self.to_device:
                self.idle.set()
            self.changed.clear()
            await self.changed.wait()
        self._waiting.discard(end)
        data = bytes(inbox)
        inbox.clear()
        return data

    def put(self, inbox: bytearray, data: bytes) -> None:
        inbox += data
        self.changed.set()


class _Host:
    def __init__(self, line: _MemoryLine) -> None:
        self._line = line

    async def read(self) -> bytes:
        data = await self._line.take("host", self._line.to_host)
        if not data:
            raise LinkLost(self._line.lost or Loss.FAILED)
        return data

    async def write(self, data: bytes, /) -> None:
        if self._line.lost:
            raise LinkLost(self._line.lost)
        self._line.put(self._line.to_device, data)
        await asyncio.sleep(0)


class _Device:
    def __init__(self, line: _MemoryLine) -> None:
        self._line = line

    async def read(self) -> bytes:
        data = await self._line.take("device", self._line.to_device)
        if not data:
            raise HungUp
        return data

    async def write(self, data: bytes, /) -> None:
        self._line.put(self._line.to_host, data)
        await asyncio.sleep(0)

    async def pause(self, seconds: float, /) -> None:
        await instant(seconds)


class _Tap:
    def __init__(self, port: Any, sent: bytearray) -> None:
        self._port = port
        self._sent = sent

    async def read(self) -> bytes:
        data: bytes = await self._port.read()
        return data

    async def write(self, data: bytes, /) -> None:
        self._sent += data
        await self._port.write(data)

    async def pause(self, seconds: float, /) -> None:
        await self._port.pause(seconds)


def _reading(message: dict[str, Any]) -> Reading:
    values = {v["name"]: v.get("absent") or v.get("text") or v["value"] for v in message["values"]}
    return Reading(
        kind=message["kind"],
        values=tuple(sorted(values.items())),
        status=frozenset(message["status"]),
        device_time=message.get("device_time"),
        origin=message["origin"],
    )
