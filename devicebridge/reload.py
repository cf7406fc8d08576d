"""The config file of a running daemon: looked at again and again, taken whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from .assemble import read
from .clock import Clock
from .config import Config
from .mistakes import Problem

POLL_S = 1.0
REST_S = 2.0
"""A file that has looked the same for so long is not in the middle of being written."""

LIVE = frozenset({"broker", "devices"})
"""What a running daemon changes; the other tables are in force from its next start on."""

_Look = tuple[int, int, int, int] | None


class ConfigWord(StrEnum):
    """current: the file is in force. refused, restart-needed: the one before it is, whole."""

    CURRENT = "current"
    REFUSED = "refused"
    RESTART_NEEDED = "restart-needed"


_SENTENCES: dict[ConfigWord, str | None] = {
    ConfigWord.CURRENT: None,
    ConfigWord.REFUSED: "the config file was changed and has a mistake; all goes on as before it; call IT",
    ConfigWord.RESTART_NEEDED: "the config file was changed, for which the program has to be started again; call IT",
}


@dataclass(frozen=True, slots=True)
class ConfigState:
    word: ConfigWord
    since: datetime
    problems: tuple[Problem, ...] = ()

    @property
    def status(self) -> Mapping[str, Any]:
        """For the room's status topic: the problems may quote the file, and are told on this PC only."""
        return {
            "state": self.word,
            "text": _SENTENCES[self.word],
            "since": self.since,
            "problems": len(self.problems),
        }


class ConfigFile:
    """One file. It is polled, which works alike on every system, on network shares, and when it is replaced."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._read = _look(path)

    def read(self) -> Config:
        """Checked whole. Raises ConfigError."""
        self._read = _look(self._path)
        return read(self._path)

    async def changed(self) -> None:
        """Returns when it is not what was last read, and rests."""
        seen, seen_s = self._read, self._clock.monotonic_s()
        while True:
            await self._clock.sleep(POLL_S)
            now, now_s = _look(self._path), self._clock.monotonic_s()
            if now != seen:
                seen, seen_s = now, now_s
            elif now != self._read and now_s - seen_s >= REST_S:
                return


def changed_devices(old: Config, new: Config) -> set[str]:
    """Names of those that are new or are another than before."""
    return {name for name, device in new.devices.items() if old.devices.get(name) != device}


def for_the_next_start(old: Config, new: Config) -> tuple[Problem, ...]:
    """The tables that cannot be changed while the daemon runs."""
    tables = (name for name in Config.model_fields if name not in LIVE and getattr(old, name) != getattr(new, name))
    return tuple(Problem(name, "has changed", "start the program again for it to take effect") for name in tables)


def _look(path: Path) -> _Look:
    """What shows that it is another file, or has other content; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
