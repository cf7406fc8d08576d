"""devicebridge beside other gateways that PyPI has, on the same work: a line from a device in, a message to MQTT out.

    python tests/bench/bench_gateways.py [--kills 5] [--rows 2000]

They are installed into virtual environments of their own, in CACHE. The device is a scale on a pseudo-terminal that
says a line for each weighing and waits for nobody; ours reads it with the driver of tests/third_party. Both keep what
they read in SQLite and publish it at QoS 1 to the same mosquitto. Ours answers each line once it is on the disk, which
thingsboard-gateway's connector cannot; its messages hold many readings, ours one. No more than 100 lines are said in a
second: of a device's readings in the same millisecond ThingsBoard's format keeps one. Not on Windows.
"""

from __future__ import annotations

import argparse
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

import thingsboard
from scale_line import NUMBERS, PATIENCE_S, QUIET_S, Arrivals, Line
from table import Row, print_head, print_rows

from devicebridge.testing.broker import Broker
from support import acme
from support.compiled import compiled
from support.daemon import Daemon, wait_for
from support.mosquitto import Mosquitto

CACHE = Path.home() / ".cache" / "devicebridge-bench"
INSTALL_S = 300.0
THEENGS = "TheengsGateway 1.8.0"
THEENGS_WHY = "decodes broadcasts and connects to no device; ours read connections. No store, QoS 0"
BROKER = "max_queued_messages 0"  # or it drops what a subscriber does not take quickly enough
PROBES = range(9_000, NUMBERS)
"""Weighings said until one arrives: they do not count, for they may be said before anybody listens."""
MOST_ROWS = 2_000
RATES_PER_S = (10.0, 100.0)
LATENCY_S = 10.0
IDLE_S = 20.0


class Gateway(Protocol):
    process: subprocess.Popen[bytes] | None

    def start(self) -> None: ...

    def end(self, how: signal.Signals) -> None: ...


class Ours(Daemon):
    def end(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(20)


@dataclass
class Figures:
    """latencies_ms: (p50, p99) by rate. drain: of what was read in an outage. The last five are of the kills;
    promised: of those it had acknowledged."""

    start_s: float = 0.0
    idle_cpu_percent: float = 0.0
    latencies_ms: dict[float, tuple[float, float]] = field(default_factory=dict)
    memory_mb: float = 0.0
    drain_s: float = 0.0
    drain_missing: int = 0
    drain_repeats: int = 0
    said: int = 0
    lost: int = 0
    promised: int = 0
    promised_lost: int = 0
    repeats: int = 0


class Trial:
    """One gateway's; `run` it once."""

    def __init__(self, gateway: Gateway, broker: Mosquitto, line: Line, arrivals: Arrivals) -> None:
        self._gateway = gateway
        self._broker = broker
        self._line = line
        self._arrivals = arrivals
        self._probes = iter(PROBES)
        self._next = 0
        self.figures = Figures()

    def run(self, kills: int, rows: int) -> Figures:
        try:
            self._start()  # what it leaves compiled is part of what is installed
            self._gateway.end(signal.SIGKILL)
            self.figures.start_s = self._start()
            self._idle()
            for rate_per_s in RATES_PER_S:
                self._latency(rate_per_s)
            self.figures.memory_mb = self._process.memory_info().rss / 1e6
            self._drain(rows)
            self._kills(kills)
        finally:
            self._gateway.end(signal.SIGKILL)
        return self.figures

    def _start(self) -> float:
        """How long until a weighing arrives."""
        probes: list[int] = []
        began_s = time.perf_counter()
        self._gateway.start()
        while not self._came(probes):
            if time.perf_counter() - began_s > PATIENCE_S:
                raise TimeoutError("nothing arrives")
            probes.append(next(self._probes))
            self._line.say(probes[-1])
            time.sleep(0.2)
        return min(self._came(probes).values()) - began_s

    def _idle(self) -> None:
        before = self._process.cpu_times()
        time.sleep(IDLE_S)
        after = self._process.cpu_times()
        self.figures.idle_cpu_percent = 100 * (after.user + after.system - before.user - before.system) / IDLE_S

    def _latency(self, rate_per_s: float) -> None:
        said = self._say(round(rate_per_s * LATENCY_S), rate_per_s)
        self._settle(said)
        latencies_ms = [1000 * (at_s - self._line.said_s[number]) for number, at_s in self._came(said).items()]
        cuts = statistics.quantiles(latencies_ms, n=100, method="inclusive")
        self.figures.latencies_ms[rate_per_s] = cuts[49], cuts[98]

    def _drain(self, rows: int) -> None:
        """What was read while there was no broker, after a start with one: from the start to the last that comes."""
        self._arrivals.will_lose_broker()
        self._broker.kill()
        said = self._say(rows, RATES_PER_S[-1])
        time.sleep(QUIET_S)  # to read and store the last of it
        self._gateway.end(signal.SIGTERM)
        self._broker.start()
        self._arrivals.wait_ready()
        began_s = time.perf_counter()
        self._gateway.start()
        wait_for(lambda: self._came(said), "what was stored", PATIENCE_S)
        self._settle(said)
        came = self._came(said)
        self.figures.drain_s = max(came.values()) - began_s
        self.figures.drain_missing = rows - len(came)
        self.figures.drain_repeats = self._repeats(said)
        self._gateway.end(signal.SIGKILL)

    def _kills(self, kills: int) -> None:
        rng = random.Random(1)
        said: list[int] = []
        for _ in range(kills):
            self._start()
            said += self._say(rng.randrange(50, 150), RATES_PER_S[-1])
            self._gateway.end(signal.SIGKILL)
        self._start()
        self._settle(said)
        lost = set(said) - self._arrivals.first_s.keys()
        promised = self._line.acknowledged & set(said)
        figures = self.figures
        figures.said, figures.lost, figures.repeats = len(said), len(lost), self._repeats(said)
        figures.promised, figures.promised_lost = len(promised), len(promised & lost)

    def _say(self, count: int, rate_per_s: float) -> range:
        numbers = range(self._next, self._next + count)
        self._next = numbers.stop
        first_s = time.perf_counter()
        for number in numbers:
            time.sleep(max(0.0, first_s + (number - numbers.start) / rate_per_s - time.perf_counter()))
            self._line.say(number)
        return numbers

    def _settle(self, numbers: range | list[int]) -> None:
        self._arrivals.settle(lambda: self._arrivals.first_s.keys() >= set(numbers))

    def _came(self, numbers: range | list[int]) -> dict[int, float]:
        return {number: self._arrivals.first_s[number] for number in numbers if number in self._arrivals.first_s}

    def _repeats(self, numbers: range | list[int]) -> int:
        return sum(max(0, self._arrivals.times[number] - 1) for number in numbers)

    @property
    def _process(self) -> psutil.Process:
        assert self._gateway.process is not None
        return psutil.Process(self._gateway.process.pid)


def rows(folder: Path, kills: int, backlog: int) -> Iterator[Row]:
    yield Row("decoding advertisements", "", f"{THEENGS}: not compared", target=THEENGS_WHY)
    if sys.platform == "win32":
        yield Row("a line in, MQTT out", "", "needs pseudo-terminals: not on Windows")
        return
    try:
        environment = installed("thingsboard-gateway", thingsboard.REQUIREMENTS)
    except (OSError, subprocess.SubprocessError) as error:
        yield Row("a line in, MQTT out", "", f"{thingsboard.NAME}: not installed ({type(error).__name__})")
        return
    site = acme.install(folder)
    with Mosquitto(folder / "gateways-broker", general=BROKER) as broker, compiled(folder):
        with closing(Line()) as line, closing(Arrivals(broker.port)) as arrivals:
            ours = Trial(_ours(folder / "ours", broker, line, site), broker, line, arrivals).run(kills, backlog)
        with closing(Line()) as line, closing(Arrivals(broker.port)) as arrivals:
            other = thingsboard.ThingsBoard(folder / "other", environment, broker.port, line.port)
            theirs = Trial(other, broker, line, arrivals).run(kills, backlog)
    yield from _rows(ours, theirs, kills, backlog)


def installed(name: str, requirements: tuple[str, ...]) -> Path:
    """A virtual environment with these, made once. Raises OSError, subprocess.SubprocessError."""
    environment = CACHE / name
    if not (environment / "installed").exists():
        venv.create(environment, with_pip=True, clear=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements]
        subprocess.run(pip, check=True, capture_output=True, timeout=INSTALL_S)
        (environment / "installed").touch()
    return environment


def _ours(folder: Path, broker: Mosquitto, line: Line, site: Path) -> Gateway:
    folder.mkdir()
    device = f'[devices.scale]\ndriver = "acme-scale"\nport = "{line.port}"\n'
    return Ours(folder, Broker("mosquitto", broker.port, "5"), device, python_path=str(site))


def _rows(ours: Figures, theirs: Figures, kills: int, backlog: int) -> Iterator[Row]:
    yield _pair("start to the first reading", "{:.2f} s", ours.start_s, theirs.start_s)
    yield _pair("one quiet line: CPU", "{:.2f} %", ours.idle_cpu_percent, theirs.idle_cpu_percent)
    for rate_per_s in RATES_PER_S:
        for number, name in enumerate(("p50", "p99")):
            what = f"line to subscriber, {rate_per_s:g}/s, {name}"
            yield _pair(
                what, "{:.1f} ms", ours.latencies_ms[rate_per_s][number], theirs.latencies_ms[rate_per_s][number]
            )
    yield _pair("memory after these", "{:.0f} MB", ours.memory_mb, theirs.memory_mb)
    yield _pair(f"{backlog} read in an outage: start to the last", "{:.1f} s", ours.drain_s, theirs.drain_s)
    yield _pair("  of these missing", "{}", ours.drain_missing, theirs.drain_missing, with_ratio=False)
    yield _pair("  of these received again", "{}", ours.drain_repeats, theirs.drain_repeats, with_ratio=False)
    for what, of_ours, of_theirs in (
        ("readings lost", (ours.lost, ours.said), (theirs.lost, theirs.said)),
        ("acknowledged ones lost", (ours.promised_lost, ours.promised), (theirs.promised_lost, theirs.promised)),
        ("readings received again", (ours.repeats, ours.said), (theirs.repeats, theirs.said)),
    ):
        yield Row(f"{kills} kill -9: {what}", _of(*of_ours), f"{thingsboard.NAME} {_of(*of_theirs)}")


def _of(count: int, whole: int) -> str:
    return f"{count} of {whole}"


def _pair(what: str, form: str, ours: float, theirs: float, *, with_ratio: bool = True) -> Row:
    ratio = ours / theirs if with_ratio and theirs else None
    return Row(what, form.format(ours), f"{thingsboard.NAME} {form.format(theirs)}", ratio)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--rows", type=int, default=MOST_ROWS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print_head()
        print_rows(rows(Path(folder), asked.kills, min(asked.rows, MOST_ROWS)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
