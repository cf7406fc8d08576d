"""A program at a real terminal (a pseudo-terminal), and a person who reads and types."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from support.daemon import wait_for

ROWS, COLUMNS = 40, 120
AT_TERMINAL = (
    "import fcntl, os, sys, termios\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
)
"""Makes its standard input the terminal whose Ctrl-C it hears."""


class Screen:
    """text: all that was written so far, control sequences included."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process = process
        self._terminal = terminal
        self._seen = 0
        self._bytes = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        return self._bytes.decode(errors="replace")

    def expect(self, pattern: str) -> re.Match[str]:
        """The first place after the last one expected."""

        def found() -> re.Match[str] | None:
            return re.compile(pattern).search(self.text, self._seen)

        try:
            match: re.Match[str] = wait_for(lambda: found() or self.process.poll() is not None, pattern) and found()  # type: ignore[assignment]
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text}") from None
        assert match, self.text
        self._seen = match.end()
        return match

    def type(self, line: str) -> None:
        os.write(self._terminal, f"{line}\n".encode())

    def interrupt(self) -> None:
        os.write(self._terminal, b"\x03")

    def close(self) -> None:
        """The end of the input: Ctrl-D."""
        os.write(self._terminal, b"\x04")

    def end(self) -> int:
        code = self.process.wait(20)
        self._reader.join(5)
        return code

    def _read(self) -> None:
        try:
            while data := os.read(self._terminal, 4096):
                self._bytes += data
        except OSError:  # the other end has gone
            return


@contextmanager
def screen(*words: str) -> Iterator[Screen]:
    """`devicebridge` with these words; skip where there are no pseudo-terminals."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", AT_TERMINAL, "-m", "devicebridge", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    os.close(theirs)
    shown = Screen(process, ours)
    try:
        yield shown
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(10)
        os.close(ours)
