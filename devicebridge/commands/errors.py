"""How a command fails: one sentence with its remedy, and an exit code of sysexits.h."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config import Config

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
    from ..config import ConfigError, load

    try:
        return load(path)
    except ConfigError as error:
        raise CommandError(str(error), EX_CONFIG) from None
