"""devicebridge scan: Bluetooth LE devices and serial ports in reach, and the driver that reads each."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ..clock import SystemClock
from ..config import BluetoothConfig, Config
from ..health import REMEDIES
from ..pairing.discover import Cable, Neighbourhood, cables
from ..pairing.probe import Heard, probe
from ..pairing.recognise import manifests
from ..sdk.links import LinkLost
from .errors import EX_USAGE, CommandError, load_config
from .inreach import ble_line, ble_row, configured_ports, neighbourhood, open_radio, serial_line, serial_row

REDRAW_S = 0.5
SECONDS_MAX = 3600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="to say which devices it has already")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="NUMBER", help="how long to listen for devices")
    parser.add_argument("--probe", action="store_true", help="listens to each serial port; sends nothing")
    parser.add_argument("--json", action="store_true", help="one object a device, when the time is over")


def run(args: argparse.Namespace) -> int:
    if not 0 < args.seconds <= SECONDS_MAX:
        raise CommandError(f"--seconds is a number above 0, up to {SECONDS_MAX:g}", EX_USAGE)
    config = load_config(args.config) if args.config else None
    return asyncio.run(_scan(args, config))


async def _scan(args: argparse.Namespace, config: Config | None) -> int:
    known = manifests()
    ports = await asyncio.to_thread(cables, known, configured_ports(config))
    heard = await _probed(ports) if args.probe else {}
    page = _Page(live=not args.json and sys.stdout.isatty())
    async with open_radio(config.bluetooth if config else BluetoothConfig(), SystemClock()) as radio:
        around = await neighbourhood(radio, config, known)
        drawing = asyncio.create_task(_redraw(lambda: page.draw(_lines(around, ports, heard))))
        try:
            async for sighting in radio.scan(args.seconds):
                around.hear(sighting)
        except LinkLost as lost:
            print(f"Bluetooth: {REMEDIES[lost.reason][1]}", file=sys.stderr)
        finally:
            drawing.cancel()
            await asyncio.wait({drawing})
            page.clear()
    rows = [*map(ble_row, around.neighbours), *(serial_row(p, heard.get(p.port.device)) for p in ports)]
    print("\n".join(map(json.dumps, rows) if args.json else _lines(around, ports, heard)))
    return 0


async def _probed(ports: tuple[Cable, ...]) -> Mapping[str, Heard]:
    """By system name. Ports of configured devices are the daemon's."""
    from .. import registry

    drivers = [registry.driver(name) for name in registry.names(registry.DRIVERS)]
    heard = {}
    for cable in ports:
        if cable.device is None and not cable.is_twin:
            print(f"listening to {cable.port.device} ...", file=sys.stderr)
            heard[cable.port.device] = await probe(cable.port.address, drivers, SystemClock(), lambda _: None)
    return heard


def _lines(around: Neighbourhood, ports: tuple[Cable, ...], heard: Mapping[str, Heard]) -> list[str]:
    neighbours = around.neighbours
    lines = [f"Bluetooth LE devices: {len(neighbours)}", *(f"  {ble_line(n)}" for n in neighbours)]
    lines += [f"Serial ports: {len(ports)}", *(f"  {serial_line(p, heard.get(p.port.device))}" for p in ports)]
    return lines


async def _redraw(draw: Callable[[], None]) -> None:
    while True:
        draw()
        await asyncio.sleep(REDRAW_S)


class _Page:
    """Drawn over itself, cut to what the terminal shows; nothing where there is none."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._height = 0

    def draw(self, lines: list[str]) -> None:
        if not self._live:
            return
        size = shutil.get_terminal_size()
        shown = [*lines, "Listening; Ctrl-C ends."][-(size.lines - 1) :]
        self.clear()
        print("\n".join(line[: size.columns - 1] for line in shown), flush=True)
        self._height = len(shown)

    def clear(self) -> None:
        if self._height:
            print(f"\x1b[{self._height}A\r\x1b[J", end="", flush=True)
        self._height = 0
