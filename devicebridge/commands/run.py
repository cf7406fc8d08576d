"""devicebridge run: the daemon."""

from __future__ import annotations

import argparse
import asyncio
import random
from pathlib import Path

from .errors import EX_CONFIG, EX_TEMPFAIL, CommandError, load_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")


def run(args: argparse.Namespace) -> int:
    from ..config import Config, exposed_secrets

    config: Config = load_config(args.config)
    if exposed := exposed_secrets(config):
        raise CommandError("\n".join(map(str, exposed)), EX_CONFIG)
    asyncio.run(_run(config))
    return 0


async def _run(config: object) -> None:
    from ..app import Daemon, install_signal_handlers
    from ..clock import SystemClock
    from ..config import Config, ConfigError
    from ..links import StuckPorts
    from ..logs import configure
    from ..outbox import OutboxFailed
    from ..words import OUTBOX

    assert isinstance(config, Config)
    try:
        log = configure(config.log)
    except OSError as error:
        sentence = f"{config.log.file}: the log cannot be written ({error.strerror}); give a folder that can"
        raise CommandError(sentence, EX_CONFIG) from None
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
