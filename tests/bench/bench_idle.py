"""What eight quiet devices cost: processor time and memory of the daemon, beside a bare interpreter that is connected.

    python tests/bench/bench_idle.py [--seconds 60]

Four are serial: two on TCP ports, two on pseudo-terminals where there are any, open and silent. Four are Bluetooth LE,
configured and not in reach, so that the radio listens all the time. It is measured three ways at once, with a daemon
for each: with eight serial devices and no radio; on the system's Bluetooth stack, bleak and BlueZ, whose place a
stand-in in this process takes; and on the simulated radio, without targets, for a Bluetooth host of its own then runs
inside the daemon, which no exam room has.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from table import Row, print_head, print_rows

from devicebridge.sdk.simulation import SerialPort, SerialScenario
from devicebridge.testing.bluez import find_dbus_daemon, stand_in
from devicebridge.testing.broker import Broker
from devicebridge.testing.radio import Ether
from devicebridge.testing.serial_host import serve_pty, serve_tcp
from support.bluez import system_bus
from support.daemon import Daemon, mosquitto
from support.load import Load, load_of

TARGET_CPU_PERCENT, TARGET_MB = 0.5, 60
NO_RADIO, SYSTEM, SIMULATION = "no radio", "system's radio", "simulated radio"
SETTLED_S = 5.0  # what is imported late, and the first connections
SERIAL = ("nonin", "scale-text", "barcode", "masimo")
BLE = ("ble-blood-pressure", "ble-thermometer", "ble-pulse-oximeter", "ble-weight-scale")
BARE = """
import asyncio, sys, pydantic, serial, bleak, sqlite3, paho.mqtt.client as mqtt
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
client.connect("127.0.0.1", int(sys.argv[1]), keepalive=15); client.loop_forever()
"""


async def _measured(folder: Path, broker: Broker, seconds: float) -> list[Row]:
    async with AsyncExitStack() as stack:
        ways = {NO_RADIO: await _serial(stack, 2)}
        ether = await stack.enter_async_context(Ether())
        if sys.platform == "linux" and find_dbus_daemon():
            bus = stack.enter_context(system_bus())
            await stack.enter_async_context(stand_in(ether, bus))
            ways[SYSTEM] = await _serial(stack, 1) + _ble('radio = "system"')
        simulated = f'radio = "simulated"\nradio_address = "{await ether.serve_tcp()}"'
        ways[SIMULATION] = await _serial(stack, 1) + _ble(simulated)
        pids = {"": stack.enter_context(_bare(broker))}
        for number, (way, devices) in enumerate(ways.items()):
            pids[way] = await stack.enter_async_context(_daemon(folder / str(number), broker, devices))
        await asyncio.sleep(SETTLED_S)
        loads = dict(zip(pids, await asyncio.gather(*(load_of(pid, seconds) for pid in pids.values())), strict=True))
    bare = loads.pop("")
    return [row for way, load in loads.items() for row in _rows(way, load, bare)]


def rows(folder: Path, broker: Broker, seconds: float) -> Iterator[Row]:
    yield from asyncio.run(_measured(folder, broker, seconds))


def _rows(way: str, load: Load, bare: Load) -> Iterator[Row]:
    devices = "8 serial" if way == NO_RADIO else f"4 serial, 4 BLE, {way}"
    memory_mb, bare_mb = load.memory_mib * 1.048576, bare.memory_mib * 1.048576
    cpu = Row(f"idle, {devices}: CPU", f"{load.cpu_percent:.2f} %", f"bare interpreter {bare.cpu_percent:.2f} %")
    memory = Row(
        f"idle, {devices}: memory", f"{memory_mb:.1f} MB", f"bare interpreter {bare_mb:.1f} MB", memory_mb / bare_mb
    )
    if way != SIMULATION:
        cpu = replace(cpu, target=f"under {TARGET_CPU_PERCENT} %", met=load.cpu_percent < TARGET_CPU_PERCENT)
        memory = replace(memory, target=f"under {TARGET_MB} MB", met=memory_mb < TARGET_MB)
    yield from (cpu, memory)


async def _serial(stack: AsyncExitStack, each: int) -> str:
    """The tables of the four devices, `each` times."""
    silent = SerialScenario(title="silent", run=_silence)
    tables = ""
    for number, driver in enumerate(SERIAL * each):
        serve = serve_pty if sys.platform != "win32" and number % 2 else serve_tcp
        host = await stack.enter_async_context(serve(silent))
        tables += f'[devices.s{number}]\ndriver = "{driver}"\nport = "{host.port}"\n'
    return tables


async def _silence(_: SerialPort) -> None:
    await asyncio.Event().wait()


def _ble(radio: str) -> str:
    devices = (
        f'[devices.b{n}]\ndriver = "{driver}"\naddress = "C0:00:00:00:00:0{n + 1}"\n' for n, driver in enumerate(BLE)
    )
    return f"[bluetooth]\n{radio}\n" + "".join(devices)


@asynccontextmanager
async def _daemon(folder: Path, broker: Broker, devices: str) -> AsyncIterator[int]:
    folder.mkdir()
    with Daemon(folder, broker, devices) as daemon:
        await asyncio.to_thread(daemon.wait_ready)
        assert daemon.process is not None
        yield daemon.process.pid
        await asyncio.to_thread(daemon.stop)


@contextmanager
def _bare(broker: Broker) -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", BARE, str(broker.port)]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder)) as broker:
        print_head()
        return 0 if print_rows(rows(Path(folder), broker, seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
