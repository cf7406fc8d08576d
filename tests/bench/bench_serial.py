"""24 simulated serial devices at once, each at its own pace, through a daemon to a subscriber; and how fast codecs are.

    python tests/bench/bench_serial.py [--devices 24] [--seconds 60] [--decode-only]

The installed serial drivers take turns, on TCP ports and pseudo-terminals. Every reading that the simulators say
must come of what they sent is looked for among what a subscriber of the broker received: none may be missing, and none
may be there that was not sent. Decoding is measured for each driver on each of its scenarios, as a multiple of what
a line of 115,200 baud can carry. Needs mosquitto. Exit code 1 where a reading was lost or invented.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from devicebridge import registry
from devicebridge.sdk.simulation import SerialPort, SerialScenario, SerialSimulator, Vitals, links
from devicebridge.testing.broker import Broker
from devicebridge.testing.patient import vitals
from devicebridge.testing.serial_host import End, HungUp, SerialHost, real_time, serve_pty, serve_tcp
from devicebridge.testing.trials import Reading, expectation, record
from support.daemon import Daemon, Inbox, inbox, mosquitto
from support.load import Load, Readings, load_of, readings

BYTES_PER_S = 115_200 / 10  # start bit, eight data bits, stop bit
TARGET_MULTIPLE = 100
SAMPLE_BYTES = 50_000
CHUNK_BYTES = 4_096  # what the link reads at a time, at most
BETWEEN_PATIENTS_S = 4.0
LAST_PLAY_S = 90.0  # for what is being measured when the time is up
ARRIVAL_S = 20.0
ROW = "{:16}{:>8}{:>7}{:>12}{:>10}{:>10}{:>6}{:>7}"


@dataclass
class Simulated:
    """One device on its line, which measures one patient after another until it is told to stop.

    expected: what must come of all that was played to its end. possible: what may have come of what was broken off,
    because the host hung up. A simulator that cannot measure a patient plays its richest scenario, once.
    """

    name: str
    simulator: SerialSimulator
    seed: int
    host: SerialHost | None = None
    plays: int = 0
    expected: list[Reading] = field(default_factory=list)
    possible: list[Reading] = field(default_factory=list)
    stopping: bool = False
    is_playing: bool = False

    def __post_init__(self) -> None:
        self._patients = vitals(self.seed, datetime.now(), timedelta(0))  # noqa: DTZ005 - a device's clock

    @property
    def can_measure(self) -> bool:
        return self.simulator.measure is not None

    @property
    def only_once(self) -> bool:
        """A meter's simulator makes its whole memory anew for each patient, which no meter does: it is read once."""
        has_memory = registry.driver(self.simulator.id).manifest.has_memory
        return not self.can_measure or (has_memory and self.simulator.rest is None)

    @property
    def options(self) -> dict[str, object]:
        return dict(self._scenario(next(self._patients)).options)

    def serve(self, *, on_pty: bool) -> AbstractAsyncContextManager[SerialHost]:
        line = SerialScenario(title=self.name, run=self._run)
        end = End.STAY if self.simulator.rest else End.HANG_UP
        return (serve_pty if on_pty else serve_tcp)(line, pause=real_time(), end=end)

    async def _run(self, port: SerialPort) -> None:
        """A device that does nothing between measurements is plugged in anew for each: its scenario starts afresh."""
        while not self.stopping and not (self.plays and self.only_once):
            await self._play(port)
            await self._rest(port)
            if not self.simulator.rest:
                return
        await port.pause(BETWEEN_PATIENTS_S)

    async def _play(self, port: SerialPort) -> None:
        now = datetime.now().replace(microsecond=0)  # noqa: DTZ005
        scenario = self._scenario(replace(next(self._patients), local_time=now))
        due = list(map(expectation, scenario.expected))
        self.is_playing = True
        try:
            await scenario.run(port)
        except HungUp:
            self.possible += due
            raise
        finally:
            self.is_playing = False
        self.plays += 1
        self.expected += due

    async def _rest(self, port: SerialPort) -> None:
        over_s = time.monotonic() + BETWEEN_PATIENTS_S
        while time.monotonic() < over_s:
            if self.simulator.rest:
                await self.simulator.rest.run(port)
            else:
                await port.pause(0.5)

    def _scenario(self, patient: Vitals) -> SerialScenario:
        if self.simulator.measure:
            return self.simulator.measure(patient)
        sound = [s for s in self.simulator.scenarios.values() if not s.faulty]
        return max(sound, key=lambda s: len(s.expected))


async def through_the_daemon(
    folder: Path, broker: Broker, devices: list[Simulated], seconds: float
) -> tuple[Load, Inbox]:
    async with AsyncExitStack() as stack:
        for number, device in enumerate(devices):
            on_pty = sys.platform != "win32" and number % 2 == 1
            device.host = await stack.enter_async_context(device.serve(on_pty=on_pty))
        received = stack.enter_context(inbox(broker))
        daemon = stack.enter_context(Daemon(folder, broker, "".join(map(_table, devices))))
        await asyncio.to_thread(daemon.wait_ready)
        assert daemon.process is not None
        load = await load_of(daemon.process.pid, seconds)
        for device in devices:
            device.stopping = True
        await _until(lambda: not any(device.is_playing for device in devices), LAST_PLAY_S)
        await _until(lambda: not _missing(devices, readings(received)), ARRIVAL_S)
        await asyncio.to_thread(daemon.stop)
        return load, received


async def _until(condition: Any, timeout_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.2)


def _table(device: Simulated) -> str:
    assert device.host is not None
    lines = [f"[devices.{device.name}]", f'driver = "{device.simulator.id}"', f"port = {json.dumps(device.host.port)}"]
    if device.options:
        lines += [f"[devices.{device.name}.options]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in device.options.items()]
    return "\n".join(lines) + "\n"


def _missing(devices: list[Simulated], received: Readings) -> Readings:
    return Counter((d.name, reading) for d in devices for reading in d.expected) - received


def report(devices: list[Simulated], received: Readings, load: Load, seconds: float) -> bool:
    """Prints; true where nothing was lost and nothing was invented."""
    missing = _missing(devices, received)
    extra = received - Counter((d.name, reading) for d in devices for reading in d.expected + d.possible)
    print(ROW.format("driver", "devices", "plays", "bytes sent", "readings", "received", "lost", "extra"))
    for driver_id in sorted({device.simulator.id for device in devices}):
        group = [device for device in devices if device.simulator.id == driver_id]
        names = {device.name for device in group}
        counts = [sum(n for (name, _), n in c.items() if name in names) for c in (received, missing, extra)]
        sent = sum(device.host.stats.bytes_sent for device in group if device.host)
        plays, expected = sum(d.plays for d in group), sum(len(d.expected) for d in group)
        print(ROW.format(driver_id, len(group), plays, sent, expected, *counts))
    print(f"{len(devices)} devices for {seconds:g} s: {missing.total()} readings lost, {extra.total()} not sent")
    print(f"daemon: {load.cpu_percent:.1f} % of one core, {load.memory_mib:.1f} MiB at most")
    for what, some in (("lost", missing), ("extra", extra)):
        for name, reading in list(some)[:10]:
            print(f"  {what}: {name} {reading}")
    return not missing and not extra


def decode_rates() -> Iterator[tuple[str, str, float]]:
    """(driver, the slowest of its sound scenarios, bytes decoded in a second)"""
    for driver_id, simulator in _serial_simulators():
        driver = registry.driver(driver_id)
        rates = {}
        for title, scenario in simulator.scenarios.items():
            sent = b"" if scenario.faulty else record(scenario, driver)
            if sent:
                rates[title] = max(_rate(driver, scenario, sent) for _ in range(3))
        slowest = min(rates, key=lambda title: rates[title])
        yield driver_id, slowest, rates[slowest]


def _rate(driver: Any, scenario: SerialScenario, sent: bytes) -> float:
    data = sent * max(1, SAMPLE_BYTES // len(sent))
    codec = driver.codec(driver.options.model_validate(dict(scenario.options)), None, None)
    began_s = time.perf_counter()
    for start in range(0, len(data), CHUNK_BYTES):
        codec.feed(data[start : start + CHUNK_BYTES])
    return len(data) / (time.perf_counter() - began_s)


def _serial_simulators() -> Iterator[tuple[str, SerialSimulator]]:
    for driver_id in registry.names(registry.DRIVERS):
        for simulator in links(registry.simulator(driver_id)):
            if isinstance(simulator, SerialSimulator):
                yield driver_id, simulator


def _devices(count: int) -> list[Simulated]:
    """The installed ones in turn. Those that cannot measure are there once: a second would be the same device."""
    simulators = [simulator for _, simulator in _serial_simulators()]
    turns = chain(simulators, cycle([simulator for simulator in simulators if simulator.measure]))
    return [Simulated(f"d{n + 1:02d}", simulator, n) for n, simulator in enumerate(islice(turns, count))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--decode-only", action="store_true")
    asked = parser.parse_args()
    is_sound = True
    if not asked.decode_only:
        devices = _devices(asked.devices)
        with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder)) as broker:
            load, received = asyncio.run(through_the_daemon(Path(folder), broker, devices, asked.seconds))
            is_sound = report(devices, readings(received), load, asked.seconds)
    print(f"decoding, against {BYTES_PER_S:.0f} bytes/s; target {TARGET_MULTIPLE} times")
    for driver_id, slowest, rate in decode_rates():
        verdict = "" if rate >= TARGET_MULTIPLE * BYTES_PER_S else "  NOT met"
        print(f"{driver_id:18}{rate / 1e6:8.2f} MB/s{rate / BYTES_PER_S:8.0f} x   slowest: {slowest}{verdict}")
    return 0 if is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
