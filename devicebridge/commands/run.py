"""devicebridge run: the daemon."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import EX_CONFIG, EX_TEMPFAIL, CommandError

if TYPE_CHECKING:
    from ..clock import Clock
    from ..config import Config
    from ..logs import Logger
    from ..reload import ConfigFile
    from ..setbacks import Restraint, Setbacks

LEFT_BEHIND_S = 0.2
"""For tasks that are still there when the daemon has ended; longer than a cancellation takes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")


def run(args: argparse.Namespace) -> int:
    from ..clock import SystemClock
    from ..mistakes import ConfigError
    from ..reload import ConfigFile

    file = ConfigFile(args.config, SystemClock())
    try:
        config = file.read()
    except ConfigError as error:
        raise CommandError(str(error), EX_CONFIG) from None
    return _run_to_the_end(_run(config, file))


def _run_to_the_end(main: Coroutine[Any, Any, None]) -> int:
    """As asyncio.run, but a driver that swallows its cancellation, or a thread that hangs, cannot keep us alive."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    failure: BaseException | None = None
    try:
        loop.run_until_complete(main)
    except BaseException as error:  # noqa: BLE001 - raised again below, unless the process cannot end properly
        failure = error
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        _, left = loop.run_until_complete(asyncio.wait(left, timeout=LEFT_BEHIND_S))
    if left:
        _tell(failure)
        logging.shutdown()
        os._exit(getattr(failure, "code", EX_TEMPFAIL) if failure else 0)
    loop.close()
    if failure is not None:
        raise failure
    return 0


def _tell(failure: BaseException | None) -> None:
    if isinstance(failure, CommandError):
        print(f"devicebridge: {failure}", file=sys.stderr, flush=True)


async def _run(config: Config, file: ConfigFile) -> None:
    from ..app import install_signal_handlers
    from ..logs import configure, contain_unhandled

    try:
        log = configure(config.log)
    except OSError as error:
        sentence = f"{config.log.file}: the log cannot be written ({error.strerror}); give a folder that can"
        raise CommandError(sentence, EX_CONFIG) from None
    asyncio.get_running_loop().set_exception_handler(contain_unhandled(log))
    stop = asyncio.Event()
    install_signal_handlers(stop.set)
    await _serve(config, file, stop, log)


async def _serve(config: Config, file: ConfigFile, stop: asyncio.Event, log: Logger) -> None:
    """The daemon until it is told to stop. Where it ends by itself, its next start is told why."""
    from ..app import Daemon
    from ..clock import SystemClock
    from ..links import StuckPorts
    from ..mistakes import ConfigError
    from ..outbox import OutboxFailed
    from ..setbacks import Setbacks, Why
    from ..watchdog import watched
    from ..words import OUTBOX

    clock = SystemClock()
    setbacks = Setbacks(config.outbox.path, clock)
    restraint = _restraint(setbacks, config, clock, log)
    daemon = Daemon(config, file=file, clock=clock, rng=random.Random(), log=log, restraint=restraint)
    try:
        with watched(asyncio.get_running_loop(), setbacks.stack, log, EX_TEMPFAIL):
            await daemon.run(stop)
    except ConfigError as error:
        raise CommandError(str(error), EX_CONFIG) from None
    except OutboxFailed as error:
        raise CommandError(f"{config.outbox.path}: {OUTBOX[error.fault]}") from None
    except StuckPorts as error:
        setbacks.add(Why.STUCK_PORTS)
        raise CommandError(f"{error}; the service manager starts the program again", EX_TEMPFAIL) from None
    except Exception:
        setbacks.add(Why.FAULT)
        raise
    setbacks.clear()


def _restraint(setbacks: Setbacks, config: Config, clock: Clock, log: Logger) -> Restraint:
    """What earlier runs ask of this one, told in the log."""
    from ..registry import home

    restraint, stall = setbacks.take_up({device.driver: home(device.driver) for device in config.devices.values()})
    if stall is not None:
        log.error("stalled-last-time", place=stall.place, driver=", ".join(stall.drivers) or None)
    for driver in sorted(restraint.shut_out):
        log.error("driver-shut-out", driver=driver)
    if (rest_s := restraint.until_s - clock.monotonic_s()) > 0:
        log.error("devices-rest", seconds=round(rest_s))
    return restraint
