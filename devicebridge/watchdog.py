"""Watches from a thread of its own that the event loop turns. One that stands still is held up by code that does not
yield, which nothing in this process can stop: the stacks of all threads are left in a file, and the process ends, so
that the service manager starts another.

Code that holds Python's own lock (GIL) as well, such as a regular expression without end, keeps this thread from
running too; then `faulthandler`, which needs no lock, does the same after a longer time.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .logs import Logger

CHECK_S = 1.0

STALL_CHECKS = 10
"""Looks at a loop that has not turned; longer than any import or busy moment on a slow PC."""

LAST_RESORT_S = 60.0

TELL_S = 1.0
"""For the last line of the log: what holds up the loop may hold the log as well."""


@contextmanager
def watched(
    loop: asyncio.AbstractEventLoop,
    stack: Path,
    log: Logger,
    exit_code: int,
    *,
    check_s: float = CHECK_S,
    last_resort_s: float = LAST_RESORT_S,
) -> Iterator[None]:
    """While entered, on the loop's own thread. stack: the file for the stacks; if it cannot be had, nobody watches."""
    try:
        stack.parent.mkdir(parents=True, exist_ok=True)
        file = stack.open("wb")
    except OSError as error:
        log.warning("watchdog-unavailable", error=type(error).__name__)
        yield
        return
    watchdog = _Watchdog(loop, file, log, exit_code, check_s, last_resort_s)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()
        file.close()


class _Watchdog:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        stack: BinaryIO,
        log: Logger,
        exit_code: int,
        check_s: float,
        last_resort_s: float,
    ) -> None:
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._stack = stack
        self._log = log
        self._exit_code = exit_code
        self._check_s = check_s
        self._last_resort_s = last_resort_s
        self._turned = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        missed = 0
        while missed < STALL_CHECKS:
            faulthandler.dump_traceback_later(self._last_resort_s, exit=True, file=self._stack)
            self._turned.clear()
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._turned.set)
            looked_s = time.monotonic()
            if self._stopped.wait(self._check_s):
                return
            was_stopped = time.monotonic() - looked_s > 2 * self._check_s  # the process itself, or the PC
            missed = 0 if self._turned.is_set() or was_stopped else missed + 1
        self._end()

    def _end(self) -> None:
        faulthandler.dump_traceback(self._stack)
        last_word = threading.Timer(TELL_S, os._exit, [self._exit_code])
        last_word.daemon = True
        last_word.start()
        frame = sys._current_frames()[self._loop_thread]
        place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        self._log.error("stalled", seconds=round(STALL_CHECKS * self._check_s), place=place)
        os._exit(self._exit_code)
