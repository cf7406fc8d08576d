"""A real mosquitto on a free loopback port, with a configuration of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", r"C:\Program Files\mosquitto")
START_S = 10.0


def find() -> str | None:
    """The program, which some systems keep off the path."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=os.pathsep.join(PLACES))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """`listener` are lines for the listener's part of the configuration, `general` for before it."""

    def __init__(self, folder: Path, *, listener: str = "", general: str = "", anonymous: bool = True) -> None:
        program = find()
        if program is None:
            raise FileNotFoundError("mosquitto")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._log = folder / "mosquitto.log"
        self._command = [program, "-c", str(self._config)]
        self._process: subprocess.Popen[bytes] | None = None
        self._config.write_text(
            f"{_same_user()}{general}\nset_tcp_nodelay true\npersistence false\n"
            f"allow_anonymous {str(anonymous).lower()}\n"
            f"listener {self.port} 127.0.0.1\n{listener}\n",
            "utf-8",
        )

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    def start(self) -> None:
        """Returns once it takes connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        try:
            wait_until_listening(self.port, self._process)
        except TimeoutError:
            raise RuntimeError(f"mosquitto did not start: {self._log.read_text()}") from None

    def kill(self) -> None:
        """At once, without a word to its clients."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def freeze(self) -> None:
        assert self._process is not None and sys.platform != "win32"
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None and sys.platform != "win32"
        self._process.send_signal(signal.SIGCONT)


def wait_until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """Raises TimeoutError, at once when the process has ended."""
    deadline_s = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise TimeoutError


def _same_user() -> str:
    """Started by root it would become another user, who cannot read the test's files."""
    return "user root\n" if sys.platform != "win32" and os.geteuid() == 0 else ""
