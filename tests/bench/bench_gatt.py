"""16 simulated Bluetooth LE peripherals at once, four of them streaming, through a daemon to a subscriber.

    python tests/bench/bench_gatt.py [--seconds 60] [--rate 100]

Four oximeters notify 100 times a second each. Every 49 equal values followed by one without a finger are one reading,
so that a single notification lost is a reading lost. The other twelve wake for one patient after another. Every
reading that must come of what was sent is looked for among what a subscriber of the broker received: none may be
missing, none may be there that was not sent. Needs mosquitto. Exit code 1 where a reading was lost or invented.

The simulated radio's host (Bumble) runs in the daemon's process and most of its CPU is Bumble's; with a real adapter
that part is the operating system's. The baseline, "bare bleak on Bumble", is a process that connects to the same
sixteen in the same way, subscribes to everything and throws the values away.
"""

from __future__ import annotations

import argparse
import asyncio
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.exc import BleakError

from devicebridge import registry
from devicebridge.links.gatt import Backend
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.simulation import (
    Access,
    Characteristic,
    Expected,
    GattPort,
    GattScenario,
    GattSimulator,
    Service,
)
from devicebridge.sdk.values import Kind, Name
from devicebridge.testing.broker import Broker
from devicebridge.testing.patient import vitals
from devicebridge.testing.radio import Ether, Peripheral, radio
from devicebridge.testing.trials import Reading, expectation
from support.daemon import Daemon, Inbox, inbox, mosquitto
from support.load import Load, Readings, load_of, readings

STREAMS = 4
WAKING = 12
WAKING_DRIVERS = ("ble-blood-pressure", "ble-thermometer", "ble-heart-rate")
STREAMING_DRIVER = "ble-pulse-oximeter"
PAUSE_S = 5.0  # between two patients of a device that wakes
LAST_PLAY_S = 30.0  # for what is under way when the time is up
ARRIVAL_S = 20.0
CONNECTED_S = 30.0
ROW = "{:22}{:>8}{:>8}{:>12}{:>10}{:>10}{:>6}{:>7}"

SERVICE, CONTINUOUS = uuid16(0x1822), uuid16(0x2A5F)
STEADY = 49
NO_FINGER = struct.pack("<BHH", 0, 0x07FF, 0x07FF)  # PLXS 1.0.1: a NaN for what cannot be measured
SPO2 = range(70, 100)


@dataclass
class Simulated:
    """One peripheral. expected: of what was sent to its end. possible: of what was broken off. sent: values."""

    name: str
    driver: str
    peripheral: Peripheral | None = None
    expected: list[Reading] = field(default_factory=list)
    possible: list[Reading] = field(default_factory=list)
    sent: int = 0
    plays: int = 0
    is_playing: bool = False
    stopping: bool = False

    @property
    def address(self) -> str:
        assert self.peripheral is not None
        return self.peripheral.address


@dataclass
class Streaming(Simulated):
    rate_per_s: float = 100.0
    took_s: float = 0.0

    @property
    def simulator(self) -> GattSimulator:
        own = Service(SERVICE, (Characteristic(uuid=CONTINUOUS, access=Access.NOTIFY),))
        scenario = GattScenario(title=self.name, services=lambda: (own,), run=self._run)
        return GattSimulator(id=self.driver, name=self.name, advertised=(SERVICE,), scenarios={"only": scenario})

    async def _run(self, port: GattPort) -> None:
        await port.subscribed(CONTINUOUS)
        self.plays += 1
        self.is_playing = True
        began_s = due_s = asyncio.get_running_loop().time()
        for spo2, pulse in ((SPO2[n % len(SPO2)], 40 + n // len(SPO2)) for n in count()):
            for value in (*[struct.pack("<BHH", 0, spo2, pulse)] * STEADY, NO_FINGER):
                due_s += 1 / self.rate_per_s
                await port.pause(max(0.0, due_s - asyncio.get_running_loop().time()))
                await port.notify(CONTINUOUS, value)
                self.sent += 1
            values = {Name.SPO2: Decimal(spo2), Name.PULSE_RATE: Decimal(pulse)}
            self.expected.append(expectation(Expected(kind=Kind.PULSE_OXIMETRY, values=values)))
            if self.stopping:
                break
        self.is_playing, self.took_s = False, asyncio.get_running_loop().time() - began_s
        await asyncio.Event().wait()


@dataclass
class Waking(Simulated):
    """The installed simulator, for one patient after another."""

    seed: int = 0

    def __post_init__(self) -> None:
        self._patients = vitals(self.seed, datetime.now(), timedelta(0))  # noqa: DTZ005 - a device's clock

    @property
    def simulator(self) -> GattSimulator:
        found = registry.simulator(self.driver)
        assert isinstance(found, GattSimulator)
        return found

    def scenario(self) -> GattScenario:
        assert self.simulator.measure is not None
        now = datetime.now().replace(microsecond=0)  # noqa: DTZ005
        measured = self.simulator.measure(replace(next(self._patients), local_time=now))
        due = list(map(expectation, measured.expected))

        async def run(port: GattPort) -> None:
            self.is_playing = True
            try:
                await measured.run(port)
            except asyncio.CancelledError:
                self.possible += due
                raise
            finally:
                self.is_playing = False
            self.plays += 1
            self.sent += len(due)
            self.expected += due

        return replace(measured, run=run)

    async def live(self) -> None:
        assert self.peripheral is not None
        for plays in count(1):
            if self.stopping:
                return
            self.peripheral.wake(self.scenario())
            await self.peripheral.played(plays)
            await asyncio.sleep(PAUSE_S)


def _devices(rate_per_s: float) -> list[Simulated]:
    streaming = [Streaming(f"stream-{n + 1}", STREAMING_DRIVER, rate_per_s=rate_per_s) for n in range(STREAMS)]
    drivers = islice(cycle(WAKING_DRIVERS), WAKING)
    return [*streaming, *(Waking(f"wakes-{n + 1:02d}", driver, seed=n) for n, driver in enumerate(drivers))]


@asynccontextmanager
async def simulated(devices: list[Simulated]) -> AsyncIterator[str]:
    """Where the radio is served on which they are."""
    async with Ether() as ether:
        for device in devices:
            assert isinstance(device, Streaming | Waking)
            scenario = device.scenario() if isinstance(device, Waking) else "only"
            device.peripheral = await ether.add(device.simulator, scenario, awake=isinstance(device, Streaming))
        lives = [asyncio.create_task(device.live()) for device in devices if isinstance(device, Waking)]
        try:
            yield await ether.serve_tcp()
        finally:
            for life in lives:
                life.cancel()
            await asyncio.wait(lives)


async def through_the_daemon(
    folder: Path, broker: Broker, devices: list[Simulated], seconds: float
) -> tuple[Load, Inbox]:
    async with simulated(devices) as place:
        with inbox(broker) as received, Daemon(folder, broker, "".join(_config(devices, place))) as daemon:
            assert daemon.process is not None
            await _until_streaming(devices)
            load = await load_of(daemon.process.pid, seconds)
            for device in devices:
                device.stopping = True
            await _until(lambda: not any(device.is_playing for device in devices), LAST_PLAY_S)
            await _until(lambda: not _missing(devices, readings(received)), ARRIVAL_S)
            await asyncio.to_thread(daemon.stop)
            return load, received


async def through_bare_bleak(devices: list[Simulated], seconds: float) -> Load:
    async with simulated(devices) as place:
        words = [__file__, "--bare", place, *(device.address for device in devices)]
        process = await asyncio.create_subprocess_exec(sys.executable, *words)
        try:
            await _until_streaming(devices)
            return await load_of(process.pid, seconds)
        finally:
            process.kill()
            await process.wait()


async def bare(place: str, addresses: list[str]) -> None:
    """Connects to each as it is heard, one at a time, and subscribes to everything, for ever."""
    async with radio(place) as backend:
        connecting = asyncio.Lock()
        connected: dict[str, asyncio.Task[None]] = {}

        def heard(device: BLEDevice, _: Any) -> None:
            former = connected.get(device.address)
            if device.address in addresses and (former is None or former.done()):
                connected[device.address] = asyncio.create_task(_listen(device, backend, connecting))

        async with BleakScanner(heard, backend=backend.scanner, **backend.options):
            await asyncio.Event().wait()


async def _listen(device: BLEDevice, backend: Backend, connecting: asyncio.Lock) -> None:
    gone = asyncio.Event()
    client = BleakClient(device, lambda _: gone.set(), backend=backend.client, **backend.options)
    with suppress(BleakError, TimeoutError):
        async with connecting:
            await client.connect()
        for characteristic in client.services.characteristics.values():
            if {"notify", "indicate"} & set(characteristic.properties):
                await client.start_notify(characteristic, lambda *_: None)
        await gone.wait()


def _config(devices: list[Simulated], place: str) -> Iterator[str]:
    yield f'[bluetooth]\nradio = "simulated"\nradio_address = "{place}"\n'
    for device in devices:
        yield f'[devices.{device.name}]\ndriver = "{device.driver}"\naddress = "{device.address}"\n'
        if isinstance(device, Streaming):
            yield f"[devices.{device.name}.options]\nsteady_s = {STEADY}\n"
            yield "steady_spread_spo2 = 0\nsteady_spread_pulse_per_min = 0\n"


async def _until_streaming(devices: list[Simulated]) -> None:
    streams = [device for device in devices if isinstance(device, Streaming)]
    async with asyncio.timeout(CONNECTED_S):
        while not all(device.is_playing for device in streams):
            await asyncio.sleep(0.1)


async def _until(condition: Any, timeout_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.2)


def _missing(devices: list[Simulated], received: Readings) -> Readings:
    return Counter((d.name, reading) for d in devices for reading in d.expected) - received


def report(devices: list[Simulated], received: Readings, seconds: float) -> bool:
    """Prints; true where nothing was lost and nothing was invented."""
    missing = _missing(devices, received)
    extra = received - Counter((d.name, reading) for d in devices for reading in d.expected + d.possible)
    print(ROW.format("driver", "devices", "plays", "values sent", "readings", "received", "lost", "extra"))
    for driver in sorted({device.driver for device in devices}):
        group = [device for device in devices if device.driver == driver]
        names = {device.name for device in group}
        counts = [sum(n for (name, _), n in c.items() if name in names) for c in (received, missing, extra)]
        plays, sent = sum(d.plays for d in group), sum(d.sent for d in group)
        print(ROW.format(driver, len(group), plays, sent, sum(len(d.expected) for d in group), *counts))
    print(f"{len(devices)} devices for {seconds:g} s: {missing.total()} readings lost, {extra.total()} not sent")
    for what, some in (("lost", missing), ("extra", extra)):
        for name, reading in list(some)[:10]:
            print(f"  {what}: {name} {reading}")
    return not missing and not extra


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=100, help="values a second of each stream")
    parser.add_argument("--bare", nargs="+", metavar=("RADIO", "ADDRESS"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.bare:
        asyncio.run(bare(asked.bare[0], asked.bare[1:]))
    devices = _devices(asked.rate)
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder)) as broker:
        load, received = asyncio.run(through_the_daemon(Path(folder), broker, devices, asked.seconds))
        is_sound = report(devices, readings(received), asked.seconds)
    rates = [device.sent / device.took_s for device in devices if isinstance(device, Streaming)]
    print(f"streaming: {', '.join(f'{rate:.1f}' for rate in rates)} values/s")
    baseline = asyncio.run(through_bare_bleak(_devices(asked.rate), asked.seconds))
    for what, cost in (("daemon, its radio's host included", load), ("bare bleak on Bumble, same sixteen", baseline)):
        print(f"{what}: {cost.cpu_percent:.1f} % of one core, {cost.memory_mib:.1f} MiB at most")
    print(f"ours, by difference: {load.cpu_percent - baseline.cpu_percent:.1f} % of one core")
    return 0 if is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
