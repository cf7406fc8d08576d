"""devicebridge check: each value with its source, then what is wrong, one line each with its remedy.

Changes nothing, here or at the broker.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ..config import Config, exposed_secrets, parse
from ..mistakes import ConfigError, ConfigText, Problem
from ..sdk.links import LinkLost, Loss
from .errors import EX_CONFIG, EX_UNAVAILABLE
from .values import Value, values

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

    def __str__(self) -> str:
        mark = "ok  " if self.exit_code == 0 else "BAD "
        return f"{mark} {self.where}: {self.what}" + (f"; {self.remedy}" if self.remedy else "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    worst = 0
    for said in findings(args.config):
        print(json.dumps(asdict(said)) if args.json else str(said), flush=True)
        worst = max(worst, said.exit_code if isinstance(said, Finding) else 0)
    return worst


def findings(path: Path) -> Iterator[Finding | Value]:
    """The config first: where it cannot be read there is nothing else to look at."""
    try:
        source = ConfigText.of(path)
        config = parse(source.text, path)
    except ConfigError as error:
        yield from map(_bad_config, error.problems)
        return
    problems = _device_problems(config, source)
    if not problems:
        yield from values(config, source)
    yield Finding(str(path), f"{len(config.devices)} devices in {config.site.id}/{config.site.room}")
    yield from map(_bad_config, [*exposed_secrets(config, source), *problems])
    if not problems:
        yield from _ports(config)
    yield from _radio(config)
    yield from _broker(config)
    yield from _outbox(config.outbox.path)
    if config.log.file is not None:
        yield _file("log.file", config.log.file)


def _device_problems(config: Config, source: ConfigText) -> list[Problem]:
    from ..assemble import device_problems

    return device_problems(config, source)


def _ports(config: Config) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    for name, device in config.devices.items():
        if device.port:
            yield _port(name, device.port, taken)


def _port(name: str, port: str, taken: dict[str, str]) -> Finding:
    """taken: which device has which port so far; two addresses may mean one adapter."""
    from ..health import REMEDIES
    from ..links.serial_ports import resolve

    where = f"devices.{name}"
    try:
        device = resolve(port)
    except LinkLost as lost:
        return Finding(where, f"{port}: {lost.reason}", REMEDIES[lost.reason][1], EX_UNAVAILABLE)
    other = taken.setdefault(device, name)
    if other != name:
        return Finding(where, f"{port} is {device}, where {other} is too", "give each its own adapter", EX_CONFIG)
    return Finding(where, f"{port} is {device}")


def _radio(config: Config) -> Iterator[Finding]:
    if not any(device.address for device in config.devices.values()):
        return
    from ..health import REMEDIES
    from ..registry import RegistryError

    try:
        reason = asyncio.run(_radio_reason(config))
    except ConfigError as error:
        yield from map(_bad_config, error.problems)
        return
    except RegistryError as error:
        yield _bad("bluetooth", str(error), EX_UNAVAILABLE)
        return
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
        radio = await start_radio(config.bluetooth, SystemClock(), stack)
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
        yield _bad(where, str(error), EX_UNAVAILABLE)
        return
    if config.broker.protocol != "5":
        yield Finding(where, "MQTT 3.1.1: a reading that the broker refuses cannot be told from one it took")
    if config.broker.tls is None and not config.simulated:
        yield Finding(where, "no TLS: readings cross the network in the clear; add [broker.tls]")


def _outbox(path: Path) -> Iterator[Finding]:
    from ..outbox import Fault, OutboxFailed, read_only_rows
    from ..words import OUTBOX

    writable = _file("outbox.path", path)
    yield writable
    if writable.exit_code or not path.exists() or path.stat().st_size == 0:
        return
    try:
        read_only_rows(path, limit=1)
    except OutboxFailed as error:
        if error.fault in (Fault.NOT_OURS, Fault.NEWER_VERSION):  # what else there may be is mended at the start
            yield _bad("outbox.path", f"{path}: {OUTBOX[error.fault]}", EX_CONFIG)


def _file(where: str, path: Path) -> Finding:
    """Whether it can be written, and other files beside it. Tried, because not every system tells beforehand."""
    import tempfile

    try:
        folder = next(parent for parent in path.parents if parent.exists())
        with tempfile.TemporaryFile(dir=folder):
            pass
        if path.exists():
            path.open("r+b").close()
    except OSError as error:
        what = f"{path} cannot be written ({error.strerror})"
        return Finding(where, what, "give a file in a folder that the service may write", EX_CONFIG)
    return Finding(where, f"{path} can be written")


def _bad(where: str, sentence: str, exit_code: int) -> Finding:
    what, _, remedy = sentence.rpartition("; ")
    return Finding(where, what or remedy, remedy if what else "", exit_code)


def _bad_config(problem: Problem) -> Finding:
    return Finding(problem.where, problem.what, problem.remedy, EX_CONFIG)
