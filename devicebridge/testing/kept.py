"""Runs a program for as long as the one that asked for it lives, however that one ends.

    python -m devicebridge.testing.kept PROGRAM ARGUMENT...

Standard input is the thread of life: when it ends, the program is told to end, and made to a little later.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

GRACE_S = 5.0
"""Between being told to end and being killed; a daemon takes less than 2 s."""
APART: dict[str, Any] = {"creationflags": 0x200} if os.name == "nt" else {"start_new_session": True}
"""CREATE_NEW_PROCESS_GROUP: Ctrl-C in the terminal is for whoever asked, who ends the parts in order."""


@contextmanager
def kept(command: list[str], output: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The program runs while entered. Afterwards the exit code is its own; 128 and more: a signal ended it."""
    words = [sys.executable, "-m", __name__, *command]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, **APART)
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            process.wait(2 * GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main(command: list[str]) -> int:
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, **APART)
    threading.Thread(target=_end_with_input, args=(child,), daemon=True).start()
    code = child.wait()
    return 128 - code if code < 0 else code


def _end_with_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(sys.stdin.fileno(), 1):  # not through sys.stdin, whose lock would still be held at exit
        pass
    with suppress(OSError):  # it has ended by itself
        if sys.platform == "win32":
            child.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            child.terminate()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
