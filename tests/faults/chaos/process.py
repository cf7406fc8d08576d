"""The daemon as a process: killed, stopped, put to sleep, its clock set."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from devicebridge.web.client import Client, DaemonAbsent

from .journal import Journal

STOP_S = 20.0
"""It promises two seconds; a machine may be busy."""
FAKETIME = "libfaketimeMT.so.1"
FAULTS_LOGGED = ("publisher-fault", "session-fault", "unhandled")


def find_faketime() -> str | None:
    """Debian's package libfaketime."""
    found = sorted(Path("/usr/lib").glob(f"*/faketime/{FAKETIME}"))
    return str(found[0]) if found else None


class Process:
    """`devicebridge run -c config`. complaints: what it did that it promised not to."""

    def __init__(self, folder: Path, config: Path, journal: Journal) -> None:
        self._folder = folder
        self._config = config
        self._journal = journal
        self._process: subprocess.Popen[bytes] | None = None
        self._ahead = folder / "ahead"
        self._asleep_s: float | None = None
        self.complaints: list[str] = []
        self.starts = 0

    def start(self) -> None:
        self.starts += 1
        self.set_clock(0)
        environment = {**os.environ, "PYTHONWARNINGS": "default"}
        if faketime := find_faketime():
            environment |= {
                "LD_PRELOAD": faketime,
                "FAKETIME_TIMESTAMP_FILE": str(self._ahead),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        with (self._folder / "stderr").open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "devicebridge", "run", "-c", str(self._config)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """Notes it if the daemon has ended by itself, and starts it again."""
        if self._process is not None and (code := self._process.poll()) is not None:
            self.complaints.append(f"the daemon ended by itself, exit code {code}")
            self._over()
            self.start()

    async def kill(self) -> None:
        assert self._process is not None
        self.wake()
        self._process.kill()
        await asyncio.to_thread(self._process.wait)
        self._over()

    async def stop(self) -> None:
        assert self._process is not None
        self.wake()
        began_s = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.to_thread(self._process.wait, STOP_S)
            if code:
                self.complaints.append(f"told to stop it ended with exit code {code}")
        except subprocess.TimeoutExpired:
            self.complaints.append(f"told to stop it did not within {STOP_S:g} s")
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        self._over(began_s)

    def sleep(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self._asleep_s = time.monotonic()

    def wake(self) -> None:
        if self._asleep_s is None or self._process is None:
            return
        self._journal.naps_s.append((self._asleep_s, time.monotonic()))
        self._asleep_s = None
        self._process.send_signal(signal.SIGCONT)

    def set_clock(self, ahead_s: float) -> None:
        """The wall clock it sees, from now on. Monotonic time is left alone, as an operating system does."""
        new = self._ahead.with_suffix(".new")
        new.write_text(f"{ahead_s:+.1f}\n")
        new.replace(self._ahead)

    async def ask(self, path: str, body: dict[str, Any] | None = None, **query: Any) -> Any:
        """What its control endpoint answers; None where it does not."""

        def asked() -> Any:
            client = Client(self._folder / "outbox.db")
            return client.get(path, **query) if body is None else client.post(path, body)

        try:
            return await asyncio.to_thread(asked)
        except (DaemonAbsent, OSError):
            return None

    def read_log(self) -> None:
        """Notes what it logged as a fault of its own, and any word on standard error."""
        for file in sorted(self._folder.glob("daemon.log*")):
            for line in file.read_text().splitlines():
                if (event := json.loads(line))["event"] in FAULTS_LOGGED:
                    self.complaints.append(f"logged: {event}")
        said = (self._folder / "stderr").read_text()
        if said:
            self.complaints.append(f"on standard error: {said[-2000:]}")

    def _over(self, began_s: float | None = None) -> None:
        now_s = time.monotonic()
        self._journal.ends_s.append(began_s or now_s)
        if began_s is not None:
            self._journal.naps_s.append((began_s, now_s))
