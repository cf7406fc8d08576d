"""EKG under load: every sample of every strip is looked for, memory watched, CPU put beside a run without the daemon.

    python tests/bench/bench_ekg.py [--seconds 600] [--only twelve|eight]

"twelve" is one electrocardiograph of twelve leads at 500 Hz; "eight" is eight OpenBCI boards of eight leads at 250 Hz.
They are simulated, on TCP ports, at their own pace; strip after strip is recorded and sent to a subscriber. The
baseline is a program that only empties the same ports. Exit code 1 where a sample of a strip was lost or
altered, or two strips do not join.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "third_party")]

from acme_ekg import simulator as acme_ekg

from devicebridge_simulators import openbci
from support import acme
from support.daemon import Daemon, Inbox, inbox, mosquitto, wait_for

STRIP_S = 30
SETTLED_S = 20.0  # after this memory should not grow
GROWTH_MIB = 8.0  # what strips of half a minute may be seen to come and go
ARRIVAL_S = 30.0
SIMULATED_PACE = 0.9  # simulated boards pause, and write meanwhile: their second is a little longer
DRAIN = """
import socket, sys, threading
def drain(port):
    line = socket.create_connection(("127.0.0.1", port))
    line.sendall(b"svb")
    while line.recv(4096):
        pass
for port in sys.argv[1:]:
    threading.Thread(target=drain, args=(int(port),)).start()
"""
"""The same bytes, read and forgotten; the letters are what a board wants to hear before it begins."""

Row = tuple[int, ...]


@dataclass(frozen=True)
class Kind:
    """row: what the device's n-th sample is. place: of a row, modulo `cycle`."""

    driver: str
    devices: int
    rate_hz: int
    options: str
    row: Callable[[int], Row]
    place: Callable[[Row], int]
    cycle: int


def _board_row(number: int) -> Row:
    """The last lead counts."""
    return (*_BEAT[number % len(_BEAT)][:-1], number % 1_000_000)


_BEAT = openbci.heart(60, 1)
_BOARD_LEADS = json.dumps([lead.value for lead in openbci.LEADS])
KINDS = {
    "twelve": Kind("acme-ekg", 1, 500, "", acme_ekg.row, lambda row: row[-1], acme_ekg.COUNTED_TO),
    "eight": Kind("openbci", 8, 250, f"leads = {_BOARD_LEADS}", _board_row, lambda row: row[-1], 1_000_000),
}


@contextmanager
def served(kind: str, seconds: float) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The simulated devices in a process of their own, and their ports."""
    words = [sys.executable, __file__, "--serve", kind, "--seconds", str(seconds)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


async def serve(name: str, seconds: float) -> None:
    from devicebridge.sdk.simulation import SerialScenario
    from devicebridge.testing.serial_host import End, real_time, serve_tcp

    kind = KINDS[name]
    if name == "twelve":
        scenario = acme_ekg.trace(seconds)
    else:
        pieces = [openbci.frame(n, _board_row(n)) for n in range(round(seconds * kind.rate_hz))]
        scenario = SerialScenario(title=name, run=openbci.streaming(pieces))
    async with AsyncExitStack() as stack:
        ports = []
        for _ in range(kind.devices):
            host = await stack.enter_async_context(serve_tcp(scenario, pause=real_time(), end=End.STAY))
            ports.append(host.port)
        print(json.dumps(ports), flush=True)
        await asyncio.Event().wait()


@dataclass
class Cost:
    cpu_percent: float
    first_mib: float
    most_mib: float


def cost_of(process: psutil.Process, seconds: float) -> Cost:
    """CPU of one core; memory when it has settled, and the most after that."""
    before, began_s = process.cpu_times(), time.monotonic()
    seen: list[float] = []
    while (elapsed_s := time.monotonic() - began_s) < seconds:
        if elapsed_s > min(SETTLED_S + STRIP_S, seconds / 3):
            seen.append(process.memory_info().rss / 2**20)
        time.sleep(min(0.5, seconds - elapsed_s))
    after = process.cpu_times()
    used_s = after.user + after.system - before.user - before.system
    per_strip = max(1, round(STRIP_S / 0.5))
    return Cost(100 * used_s / seconds, max(seen[:per_strip]), max(seen))


def run(name: str, seconds: float, site: Path) -> bool:
    kind = KINDS[name]
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder)) as broker, inbox(broker) as received:
        with served(name, seconds + 60) as (simulator, ports):
            tables = "".join(_table(kind, number, port) for number, port in enumerate(ports))
            with Daemon(Path(folder), broker, tables, python_path=str(site)) as daemon:
                daemon.wait_ready()
                assert daemon.process is not None
                spent = psutil.Process(simulator.pid).cpu_times()
                began_s = time.monotonic()
                cost = cost_of(psutil.Process(daemon.process.pid), seconds)
                simulating = _used_percent(simulator.pid, spent, began_s)
                due = int((seconds * SIMULATED_PACE - 5) // STRIP_S) * kind.devices
                wait_for(lambda: len(received.readings) >= due, "the last strips", ARRIVAL_S)
                counts = [(received.latest(f"/leads-{n}/status") or {}).get("counts", {}) for n in range(kind.devices)]
                daemon.stop()
        baseline, alone = _without_the_daemon(name, min(seconds, 60))
        return report(name, kind, received, cost, baseline, (simulating, alone), counts)


def _without_the_daemon(name: str, seconds: float) -> tuple[Cost, float]:
    with served(name, seconds) as (simulator, ports):
        words = [sys.executable, "-c", DRAIN, *(port.rpartition(":")[2] for port in ports)]
        with subprocess.Popen(words) as drain:
            spent, began_s = psutil.Process(simulator.pid).cpu_times(), time.monotonic()
            cost = cost_of(psutil.Process(drain.pid), seconds)
            alone = _used_percent(simulator.pid, spent, began_s)
            drain.kill()
        return cost, alone


def _used_percent(pid: int, before: Any, began_s: float) -> float:
    after = psutil.Process(pid).cpu_times()
    return 100 * (after.user + after.system - before.user - before.system) / (time.monotonic() - began_s)


def _table(kind: Kind, number: int, port: str) -> str:
    return (
        f'[devices.leads-{number}]\ndriver = "{kind.driver}"\nport = "{port}"\noptions = {{ {kind.options} }}\n'
        f'[devices.leads-{number}.ekg]\nrecord = "continuous"\nseconds = {STRIP_S}\n'
    )


def report(
    name: str, kind: Kind, received: Inbox, cost: Cost, baseline: Cost, simulating: tuple[float, float], counts: Any
) -> bool:
    strips: dict[str, list[list[Row]]] = {}
    for reading in sorted({r["id"]: r for r in received.readings}.values(), key=lambda r: r["measured_at"]):
        strips.setdefault(reading["device"]["name"], []).append(_rows(reading))
    right = sum(_right(kind, device) for device in strips.values())
    total = sum(len(strip) for device in strips.values() for strip in device)
    joins = sum(len(device) - 1 - _joined(kind, device) for device in strips.values())
    chunks = sum(m.topic.endswith("/wave") for m in received.messages)
    lost, dropped = (sum(c.get(word, 0) for c in counts) for word in ("ekg_lost", "ekg_chunks_dropped"))
    print(f"{name}: {kind.devices} x {kind.driver}, {kind.rate_hz} Hz")
    print(f"  strips {sum(map(len, strips.values()))} of {STRIP_S} s: {total} samples a lead, {total - right} wrong")
    print(f"  strips that do not join the one before: {joins}; samples lost on the line: {lost}")
    print(f"  live chunks: {chunks} arrived, {dropped} dropped")
    print(
        f"  daemon {cost.cpu_percent:.1f} % of a core; {cost.first_mib:.1f} MiB, later {cost.most_mib:.1f} MiB at most"
    )
    print(f"  a program that only empties the ports: {baseline.cpu_percent:.1f} % of a core")
    print(f"  the simulator: {simulating[0]:.1f} % with the daemon, {simulating[1]:.1f} % without")
    is_flat = cost.most_mib - cost.first_mib < GROWTH_MIB
    print(f"  memory {'is flat' if is_flat else 'GROWS'}")
    return bool(strips) and right == total and not joins and is_flat


def _rows(reading: dict[str, Any]) -> list[Row]:
    columns = [[int(word) for word in lead["data"].replace("E", "-1").split(" ")] for lead in reading["strip"]["leads"]]
    return list(zip(*columns, strict=True))


def _right(kind: Kind, strips: list[list[Row]]) -> int:
    """Rows that are what the device sent at their place."""
    return sum(
        row == kind.row((kind.place(strip[0]) + n) % kind.cycle) for strip in strips for n, row in enumerate(strip)
    )


def _joined(kind: Kind, strips: list[list[Row]]) -> int:
    pairs = pairwise(strips)
    return sum(kind.place(after[0]) == (kind.place(before[-1]) + 1) % kind.cycle for before, after in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(serve(asked.serve, asked.seconds))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        site = acme.install(Path(folder))
        sound = [run(name, asked.seconds, site) for name in KINDS if asked.only in (None, name)]
        return 0 if all(sound) else 1


if __name__ == "__main__":
    sys.exit(main())
