"""Start to ready, and the memory of the running daemon, with two devices configured.

    python tests/bench/bench_start.py [--rounds N]

Ready: config read, outbox open, broker connected, both devices configured and being tried. Two ways of Bluetooth: the
system's, as in an exam room (here perhaps without an adapter, which changes neither figure much), and the simulated
radio, whose host stack then runs inside the daemon. Beside them, in the same run, a bare interpreter that imports
what the daemon cannot do without and connects to the same broker.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil
from table import Row, print_head, print_rows

from devicebridge import registry
from devicebridge.testing.broker import Broker
from devicebridge.testing.radio import Ether
from support.compiled import compiled
from support.daemon import Daemon, mosquitto
from support.serial_device import nonin_on_tcp

SIMULATION = "simulated radio"
"""Without targets: a Bluetooth host of its own runs inside the daemon, which no exam room has."""
FIGURES = (
    ("start to ready", "{:.2f} s", 1.0),
    ("of which processor time", "{:.2f} s", None),
    ("memory, two devices", "{:.1f} MB", 60.0),
)
BARE = """
import asyncio, sys, pydantic, serial, bleak, sqlite3, paho.mqtt.client as mqtt
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
client.on_connect = lambda *_: print("ready", flush=True)
client.connect("127.0.0.1", int(sys.argv[1])); client.loop_start(); sys.stdin.read()
"""
OXIMETER = '[devices.oximeter]\ndriver = "nonin"\nport = "{port}"\n'
CUFF = '[devices.cuff]\ndriver = "ble-blood-pressure"\naddress = "{address}"\n'
SIMULATED = '[bluetooth]\nradio = "simulated"\nradio_address = "{radio}"\n'


Figures = tuple[float, float, float]
"""As FIGURES has them."""


def rows(folder: Path, broker: Broker, rounds: int) -> Iterator[Row]:
    with nonin_on_tcp("spot") as port, compiled(folder):
        oximeter = OXIMETER.format(port=port)
        bare = _median([_bare(broker) for _ in range(rounds)])
        system = oximeter + CUFF.format(address="C0:00:00:00:00:01")
        found = {"system's radio": _rounds(rounds, folder, broker, system)}
        found[SIMULATION] = asyncio.run(_simulated(rounds, folder, broker, oximeter))
    for radio, ours in found.items():
        for place, (what, form, target) in enumerate(FIGURES):
            text, beside = form.format(ours[place]), f"bare imports {form.format(bare[place])}"
            row = Row(f"{what}, {radio}", text, beside, ours[place] / bare[place])
            if target and radio != SIMULATION:
                row = replace(row, target=f"under {form.format(target)}", met=ours[place] < target)
            yield row


async def _simulated(rounds: int, folder: Path, broker: Broker, oximeter: str) -> Figures:
    simulator = registry.simulator("ble-blood-pressure")
    async with Ether() as ether:
        cuff = await ether.add(simulator, "normal", awake=False)  # type: ignore[arg-type]
        extra = SIMULATED.format(radio=await ether.serve_tcp()) + oximeter + CUFF.format(address=cuff.address)
        return await asyncio.to_thread(_rounds, rounds, folder, broker, extra)


def _rounds(rounds: int, folder: Path, broker: Broker, devices: str) -> Figures:
    _once(folder, broker, devices)  # what it leaves compiled is part of what is installed
    return _median([_once(folder, broker, devices) for _ in range(rounds)])


def _once(folder: Path, broker: Broker, devices: str) -> Figures:
    daemon = Daemon(Path(tempfile.mkdtemp(dir=folder)), broker, devices)
    began_s = time.perf_counter()
    with daemon:
        daemon.wait_ready()
        start_s = time.perf_counter() - began_s
        assert daemon.process is not None
        process = psutil.Process(daemon.process.pid)
        used = process.cpu_times()
        time.sleep(1.5)  # lets what is imported late be imported
        memory = process.memory_info().rss
        daemon.stop()
    return start_s, used.user + used.system, memory / 1e6


def _bare(broker: Broker) -> Figures:
    began_s = time.perf_counter()
    command = [sys.executable, "-c", BARE, str(broker.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        start_s = time.perf_counter() - began_s
        used, memory = psutil.Process(process.pid).cpu_times(), psutil.Process(process.pid).memory_info().rss
        process.kill()
    return start_s, used.user + used.system, memory / 1e6


def _median(results: list[Figures]) -> Figures:
    start_s, used_s, memory_mb = map(statistics.median, zip(*results, strict=True))
    return start_s, used_s, memory_mb


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder)) as broker:
        print_head()
        return 0 if print_rows(rows(Path(folder), broker, rounds)) else 1


if __name__ == "__main__":
    sys.exit(main())
