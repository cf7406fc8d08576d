"""What made this program end by itself, kept beside the outbox for its next start.

A driver in which everything stood still is shut out; after too many ends in a short time no device is read for a
while, and what is on the disk still goes out. An end in order, asked for by a person or the system, wipes the slate.
What ends without a word of its own, by a kill or a crash of Python itself, is left to the service manager to count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from .clock import Clock

BUDGET, BUDGET_S = 3, 600.0
"""After so many ends in so long a time the devices rest until the time is over."""

KEPT = 20
"""Older setbacks are forgotten."""

FILE_MAX_BYTES = 64 * 1024
"""Of what is read back: neither file of ours is as long."""

_FRAME = re.compile(r'^  File "(.+)", line (\d+) in ', re.MULTILINE)
"""As `faulthandler` writes it, the innermost frame of each thread first."""


class Why(StrEnum):
    STALLED = "stalled"
    """The event loop stood still."""
    STUCK_PORTS = "stuck-ports"
    FAULT = "fault"
    """A mistake of ours."""


@dataclass(frozen=True, slots=True)
class Setback:
    at: str
    why: Why
    drivers: tuple[str, ...] = ()
    """In whose code it happened."""
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Restraint:
    """Which drivers are not started, and until when on the monotonic clock no device is read."""

    shut_out: frozenset[str] = frozenset()
    until_s: float = 0.0


class Setbacks:
    """Of the daemon that has `outbox` open. A file that cannot be read or written counts for nothing: readings matter
    more."""

    def __init__(self, outbox: Path, clock: Clock) -> None:
        self._file = outbox.with_name(f"{outbox.name}.setbacks.json")
        self._clock = clock
        self.stack = outbox.with_name(f"{outbox.name}.stack")
        """Where `watchdog` leaves the stacks of all threads when it ends the program."""

    def take_up(self, homes: Mapping[str, Path]) -> tuple[Restraint, Setback | None]:
        """At a start. homes: where the code of each driver in use lies. With the stall that ended the last run."""
        stall = self._stall(homes)
        found = self._read()
        shut_out = frozenset(driver for setback in found for driver in setback.drivers)
        return Restraint(shut_out, self._clock.monotonic_s() + self._rest_s(found)), stall

    def add(self, why: Why, drivers: tuple[str, ...] = (), place: str | None = None) -> Setback:
        setback = Setback(self._clock.now().isoformat(), why, drivers, place)
        text = json.dumps([asdict(one) for one in [*self._read(), setback][-KEPT:]])
        with suppress(OSError):
            partial = self._file.with_suffix(".new")
            partial.write_text(text, "utf-8")
            partial.replace(self._file)
        return setback

    def clear(self) -> None:
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _stall(self, homes: Mapping[str, Path]) -> Setback | None:
        dump = _text_of(self.stack)
        if not dump:
            return None
        return self.add(Why.STALLED, *culprits(dump, homes))

    def _read(self) -> list[Setback]:
        try:
            return [_setback(found) for found in json.loads(_text_of(self._file) or "[]")][-KEPT:]
        except (ValueError, TypeError, KeyError, RecursionError):
            return []

    def _rest_s(self, setbacks: list[Setback]) -> float:
        if len(setbacks) < BUDGET:
            return 0.0
        since = self._clock.now() - datetime.fromisoformat(setbacks[-BUDGET].at)
        return BUDGET_S - since.total_seconds() if timedelta() <= since < timedelta(seconds=BUDGET_S) else 0.0


def culprits(dump: str, homes: Mapping[str, Path]) -> tuple[tuple[str, ...], str | None]:
    """The drivers whose code is innermost in a dump of stacks, with its "file:line"; none where it is in no driver's.

    Several where they share a folder or file.
    """
    for file, line in _FRAME.findall(dump):
        path = Path(file)
        if owners := sorted(driver for driver, home in homes.items() if path == home or home in path.parents):
            return tuple(owners), f"{path.name}:{line}"
    return (), None


def _setback(found: Mapping[str, Any]) -> Setback:
    """Raises ValueError, TypeError, KeyError for what is none."""
    if datetime.fromisoformat(found["at"]).tzinfo is None:
        raise ValueError("a time of no zone")
    return Setback(found["at"], Why(found["why"]), tuple(map(str, found["drivers"])), found["place"])


def _text_of(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(FILE_MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
