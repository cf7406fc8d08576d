"""devicebridge simulate: one simulated serial device for others to talk to, or a whole room of simulated devices."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .. import registry
from ..sdk.simulation import Expected, SerialSimulator, Simulator, links
from .errors import EX_USAGE, CommandError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("driver", nargs="?", metavar="DRIVER")
    parser.add_argument("--scenario", metavar="NAME", help="the first one if left out; --list shows them")
    parser.add_argument("--list", action="store_true", help="the scenarios of DRIVER, or of every simulator")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--pty", action="store_true", help="on a pseudo-terminal (not on Windows)")
    where.add_argument("--tcp", type=int, metavar="PORT", help="on a TCP port of this PC, for socket://; 0: any")
    parser.add_argument("--room", type=Path, metavar="FILE", help="a whole room, until standard input ends")
    parser.add_argument("--timezone", metavar="ZONE", help="of the room's clocks; this PC's if left out")
    parser.add_argument("--speed", type=float, default=1.0, metavar="FACTOR", help="times the device's own pace")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    if args.list:
        return _list(args)
    if args.room is not None:
        return asyncio.run(_room(args.room, _clock(args.timezone)))
    if args.driver is None:
        raise CommandError("say which DRIVER to simulate; devicebridge simulate --list shows them", EX_USAGE)
    simulator = next((s for s in links(_simulator(args.driver)) if isinstance(s, SerialSimulator)), None)
    if simulator is None:
        raise CommandError(f"{args.driver} is a Bluetooth LE device: simulate it in a room, with --room FILE", EX_USAGE)
    if not 0 < args.speed <= 1000:
        raise CommandError("--speed is a factor from above 0 to 1000", EX_USAGE)
    if not 0 <= (args.tcp or 0) <= 65_535:
        raise CommandError("--tcp is a port from 1 to 65535, or 0 for any", EX_USAGE)
    return asyncio.run(_serve(simulator, args))


def _list(args: argparse.Namespace) -> int:
    for name in [args.driver] if args.driver else registry.names(registry.SIMULATORS):
        for scenario, what in _simulator(name).scenarios.items():
            row = {"simulator": name, "scenario": scenario, "title": what.title}
            print(json.dumps(row) if args.json else f"{name:22} {scenario:18} {what.title}")
    return 0


def _simulator(name: str) -> Simulator:
    try:
        return registry.simulator(name)
    except KeyError:
        installed = ", ".join(registry.names(registry.SIMULATORS))
        raise CommandError(f'no simulator "{name}"; installed are: {installed}') from None
    except registry.RegistryError as error:
        raise CommandError(str(error)) from None


async def _serve(simulator: SerialSimulator, args: argparse.Namespace) -> int:
    from ..app import install_signal_handlers
    from ..testing.serial_host import End, real_time, serve_pty, serve_tcp

    name = args.scenario or next(iter(simulator.scenarios))
    if name not in simulator.scenarios:
        raise CommandError(f'no scenario "{name}"; there are: {", ".join(simulator.scenarios)}', EX_USAGE)
    stop = asyncio.Event()
    install_signal_handlers(stop.set)
    scenario, pause = simulator.scenarios[name], real_time(args.speed)
    try:
        if args.pty:
            hosted = serve_pty(scenario, pause=pause, end=End.REPEAT)
        else:
            hosted = serve_tcp(scenario, pause=pause, end=End.REPEAT, port=args.tcp or 0)
        async with hosted as host:
            place = {"simulator": simulator.id, "scenario": name, "port": host.port}
            print(json.dumps(place) if args.json else f'{simulator.id} ({name}) is at port = "{host.port}"', flush=True)
            await stop.wait()
    except (NotImplementedError, OSError) as error:
        raise CommandError(f"the simulated device cannot be served: {error}; choose another --tcp PORT") from None
    return 0


def _clock(zone: str | None) -> Callable[[], datetime]:
    """What the clocks of the room's devices show: local time, naive."""
    if zone is None:
        return datetime.now
    try:
        found = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CommandError("--timezone is an IANA time zone such as America/Chicago", EX_USAGE) from None
    return lambda: datetime.now(found).replace(tzinfo=None)


async def _room(path: Path, now: Callable[[], datetime]) -> int:
    """Prints the room's devices, then a line for each measurement; ends when standard input does."""
    from ..app import install_signal_handlers
    from ..testing.room import load_plan, open_room

    try:
        plan = load_plan(path)
    except (OSError, ValueError) as error:
        raise CommandError(f"{path}: no room file ({str(error).splitlines()[0]}); see the README") from None
    stop = asyncio.Event()
    install_signal_handlers(stop.set)
    loop = asyncio.get_running_loop()
    threading.Thread(target=_await_end_of_input, args=(loop, stop), daemon=True).start()
    try:
        async with open_room(plan, now=now) as room:
            _say({"room": {"devices": room.devices, "radio_address": room.radio_address}})
            running = asyncio.create_task(
                room.run(lambda r: _say({r.phase: r.device, "expected": [_plain(e) for e in r.expected]}))
            )
            await asyncio.wait({running, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
    except KeyError as error:
        raise CommandError(f"no simulator {error}; devicebridge simulate --list shows them") from None
    except ImportError as error:
        raise CommandError(f'{error.name} is not installed; run: pip install "devicebridge[demo]"') from None
    return 0


def _await_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while sys.stdin is not None and os.read(
        sys.stdin.fileno(), 100
    ):  # sys.stdin's own lock would still be held at exit
        pass
    with suppress(RuntimeError):  # the loop has ended for another reason
        loop.call_soon_threadsafe(stop.set)


def _say(line: Mapping[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def _plain(expected: Expected) -> Mapping[str, Any]:
    return {"kind": expected.kind, "values": {name: str(value) for name, value in expected.values.items()}}
