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
from typing import Any

from .errors import EX_CONFIG, EX_TEMPFAIL, CommandError, load_config

LEFT_BEHIND_S = 0.2
"""For tasks that are still there when the daemon has ended; longer than a cancellation takes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")


def run(args: argparse.Namespace) -> int:
    from ..config import Config, exposed_secrets

    config: Config = load_config(args.config)
    if exposed := exposed_secrets(config):
        raise CommandError("\n".join(map(str, exposed)), EX_CONFIG)
    return _run_to_the_end(_run(config))


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


async def _run(config: object) -> None:
    from ..app import Daemon, install_signal_handlers
    from ..clock import SystemClock
    from ..config import Config, ConfigError
    from ..links import StuckPorts
    from ..logs import configure, contain_unhandled
    from ..outbox import OutboxFailed
    from ..words import OUTBOX

    assert isinstance(config, Config)
    try:
        log = configure(config.log)
    except OSError as error:
        sentence = f"{config.log.file}: the log cannot be written ({error.strerror}); give a folder that can"
        raise CommandError(sentence, EX_CONFIG) from None
    asyncio.get_running_loop().set_exception_handler(contain_unhandled(log))
    stop = asyncio.Event()
    install_signal_handlers(stop.set)
    try:
        await Daemon(config, clock=SystemClock(), rng=random.Random(), log=log).run(stop)
    except ConfigError as error:
        raise CommandError(str(error), EX_CONFIG) from None
    except StuckPorts as error:
        raise CommandError(f"{error}; the service manager starts the program again", EX_TEMPFAIL) from None
    except OutboxFailed as error:
        raise CommandError(f"{config.outbox.path}: {OUTBOX[error.fault]}") from None
