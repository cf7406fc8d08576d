"""How a command fails: one sentence with its remedy, and an exit code of sysexits.h."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config import Config
    from ..web.client import Client

EX_USAGE = 64
EX_DATAERR = 65
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_TEMPFAIL = 75
EX_CONFIG = 78


class CommandError(Exception):
    def __init__(self, sentence: str, code: int = EX_UNAVAILABLE) -> None:
        super().__init__(sentence)
        self.code = code


def load_config(path: Path) -> Config:
    """The config, or a CommandError that lists every problem."""
    from ..config import load
    from ..mistakes import ConfigError

    try:
        return load(path)
    except ConfigError as error:
        raise CommandError(str(error), EX_CONFIG) from None


def client_of(path: Path) -> Client:
    """Asks the daemon of this config, also when the file was broken meanwhile: that is what it may be asked about."""
    from ..config import load
    from ..mistakes import ConfigError
    from ..web.client import Client, DaemonAbsent

    outbox: Path | None
    try:
        outbox = load(path).outbox.path
    except ConfigError as error:
        outbox = _outbox_of_broken(path)
        if outbox is None:
            raise CommandError(str(error), EX_CONFIG) from None
    try:
        return Client(outbox)
    except DaemonAbsent:
        raise no_daemon(path) from None


def no_daemon(path: Path) -> CommandError:
    return CommandError(f"no daemon is running with {path}, and no device is read; start: devicebridge run -c {path}")


def _outbox_of_broken(path: Path) -> Path | None:
    from ..mistakes import ConfigError, ConfigText

    try:
        written = ConfigText.of(path).glimpse(("outbox", "path"))
    except ConfigError:
        return None
    return path.absolute().parent / written if isinstance(written, str) else None
