"""devicebridge check: what is wrong, one line each with its remedy. Changes nothing, here or at the broker."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ..config import Config, ConfigError, Problem, exposed_secrets, load
from ..sdk.links import LinkLost, Loss
from .errors import EX_CONFIG, EX_UNAVAILABLE

RADIO_WAIT_S = 2.0
"""An adapter that is there starts scanning within a few tenths of this."""
RADIO_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """exit_code: 0 for what is in order, else what this alone would end with."""

    where: str
    what: str
    remedy: str = ""
    exit_code: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    worst = 0
    for finding in findings(args.config):
        print(json.dumps(asdict(finding)) if args.json else _line(finding), flush=True)
        worst = max(worst, finding.exit_code)
    return worst


def findings(path: Path) -> Iterator[Finding]:
    """The config first: where it cannot be read there is nothing else to look at."""
    try:
        config = load(path)
    except ConfigError as error:
        yield from map(_bad_config, error.problems)
        return
    yield Finding(str(path), f"{len(config.devices)} devices in {config.site.id}/{config.site.room}")
    yield from map(_bad_config, exposed_secrets(config))
    yield from _devices(config, path)
    yield from _radio(config)
    yield from _broker(config)
    yield from _outbox(config)


def _devices(config: Config, path: Path) -> Iterator[Finding]:
    from ..assemble import device_problems

    problems = device_problems(config, str(path), path.read_text(encoding="utf-8"))
    yield from map(_bad_config, problems)
    if problems:
        return
    for name, device in config.devices.items():
        yield from _port(f"devices.{name}", device.port) if device.port else ()


def _port(where: str, port: str) -> Iterator[Finding]:
    from ..health import REMEDIES
    from ..links.serial_ports import resolve

    try:
        yield Finding(where, f"{port} is {resolve(port)}")
    except LinkLost as lost:
        yield Finding(where, f"{port}: {lost.reason}", REMEDIES[lost.reason][1], EX_UNAVAILABLE)


def _radio(config: Config) -> Iterator[Finding]:
    if not any(device.address for device in config.devices.values()):
        return
    from ..health import REMEDIES

    reason = asyncio.run(_radio_reason(config))
    if reason is None:
        yield Finding("bluetooth", "the radio is scanning")
    else:
        yield Finding("bluetooth", str(reason), REMEDIES[reason][1], EX_UNAVAILABLE)


async def _radio_reason(config: Config) -> Loss | None:
    """Why there is no scan; None once there is one."""
    from contextlib import AsyncExitStack

    from ..assemble import start_radio
    from ..clock import SystemClock

    async with AsyncExitStack() as stack:
        radio = await start_radio(config, SystemClock(), stack)
        for _ in range(int(RADIO_WAIT_S / RADIO_POLL_S)):
            if radio.state.scanning_s is not None:
                return None
            await asyncio.sleep(RADIO_POLL_S)
        return radio.state.reason or Loss.FAILED


def _broker(config: Config) -> Iterator[Finding]:
    from ..subscriber import NoBroker, subscription
    from ..topics import Topics

    topic = Topics(config.site.id, config.site.room).room_status
    where = f"broker {', '.join(config.broker.addresses)}"
    try:
        with subscription(config.broker, topic):
            yield Finding(where, f"answers, MQTT {config.broker.protocol}")
    except NoBroker as error:
        yield Finding(where, str(error), "check [broker] and the network, or call IT", EX_UNAVAILABLE)
        return
    if config.broker.protocol != "5":
        yield Finding(where, "MQTT 3.1.1: a reading that the broker refuses cannot be told from one it took")
    if config.broker.tls is None and not config.simulated:
        yield Finding(where, "no TLS: readings cross the network in the clear; add [broker.tls]")


def _outbox(config: Config) -> Iterator[Finding]:
    import os

    path = config.outbox.path
    folder = next(p for p in (path.parent, *path.parents) if p.exists())
    if os.access(folder, os.W_OK):
        yield Finding(str(path), "the outbox can be written")
    else:
        yield Finding(str(path), f"{folder} cannot be written", "give a folder that the service may write", EX_CONFIG)


def _bad_config(problem: Problem) -> Finding:
    return Finding(problem.where, problem.what, problem.remedy, EX_CONFIG)


def _line(finding: Finding) -> str:
    mark = "ok  " if finding.exit_code == 0 else "BAD "
    return f"{mark} {finding.where}: {finding.what}" + (f"; {finding.remedy}" if finding.remedy else "")
