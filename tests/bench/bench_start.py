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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from devicebridge import registry
from devicebridge.testing.broker import Broker
from devicebridge.testing.radio import Ether
from support.daemon import Daemon, mosquitto
from support.serial_device import nonin_on_tcp

TARGET_START_S, TARGET_MIB = 1.0, 60
BARE = """
import asyncio, sys, pydantic, serial, bleak, sqlite3, paho.mqtt.client as mqtt
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
client.on_connect = lambda *_: print("ready", flush=True)
client.connect("127.0.0.1", int(sys.argv[1])); client.loop_start(); sys.stdin.read()
"""
OXIMETER = '[devices.oximeter]\ndriver = "nonin"\nport = "{port}"\n'
CUFF = '[devices.cuff]\ndriver = "ble-blood-pressure"\naddress = "{address}"\n'
SIMULATED = '[bluetooth]\nradio = "simulated"\nradio_address = "{radio}"\n'


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder)) as broker, nonin_on_tcp("spot") as port:
        oximeter = OXIMETER.format(port=port)
        bare_s, bare_mib = _median([_bare(broker) for _ in range(rounds)])
        rows = {
            "system radio": _rounds(rounds, Path(folder), broker, oximeter + CUFF.format(address="C0:00:00:00:00:01"))
        }
        rows["simulated radio"] = asyncio.run(_simulated(rounds, Path(folder), broker, oximeter))
    print(f"{'':18}{'start to ready':>16}{'ratio':>8}{'memory':>12}{'ratio':>8}")
    print(f"{'bare imports':18}{bare_s:14.2f} s{1:8.2f}{bare_mib:8.1f} MiB{1:8.2f}")
    for name, (start_s, mib) in rows.items():
        print(f"{name:18}{start_s:14.2f} s{start_s / bare_s:8.2f}{mib:8.1f} MiB{mib / bare_mib:8.2f}")
    start_s, mib = rows["system radio"]
    print(
        f"targets: under {TARGET_START_S:g} s ({_met(start_s < TARGET_START_S)}), "
        f"under {TARGET_MIB} MB ({_met(mib * 1.048576 < TARGET_MIB)})"
    )
    return 0


async def _simulated(rounds: int, folder: Path, broker: Broker, oximeter: str) -> tuple[float, float]:
    simulator = registry.simulator("ble-blood-pressure")
    async with Ether() as ether:
        cuff = await ether.add(simulator, "normal", awake=False)  # type: ignore[arg-type]
        extra = SIMULATED.format(radio=await ether.serve_tcp()) + oximeter + CUFF.format(address=cuff.address)
        return await asyncio.to_thread(_rounds, rounds, folder, broker, extra)


def _rounds(rounds: int, folder: Path, broker: Broker, devices: str) -> tuple[float, float]:
    return _median([_once(folder, broker, devices) for _ in range(rounds)])


def _once(folder: Path, broker: Broker, devices: str) -> tuple[float, float]:
    daemon = Daemon(folder, broker, devices)
    began_s = time.perf_counter()
    with daemon:
        daemon.wait_ready()
        start_s = time.perf_counter() - began_s
        time.sleep(1.5)  # lets what is imported late be imported
        assert daemon.process is not None
        memory = psutil.Process(daemon.process.pid).memory_info().rss / 2**20
        daemon.stop()
    return start_s, memory


def _bare(broker: Broker) -> tuple[float, float]:
    began_s = time.perf_counter()
    command = [sys.executable, "-c", BARE, str(broker.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        start_s = time.perf_counter() - began_s
        memory = psutil.Process(process.pid).memory_info().rss / 2**20
        process.kill()
    return start_s, memory


def _median(results: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(r[0] for r in results), statistics.median(r[1] for r in results)


def _met(met: bool) -> str:
    return "met" if met else "NOT met"


if __name__ == "__main__":
    sys.exit(main())
