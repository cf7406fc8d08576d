"""Questions to whoever sits before the terminal. What was typed before a question is no answer to it."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from .errors import CommandError
from .watch import printable

LINE_MAX = 200
"""Of an answer: a name, a number, six digits."""
PASSKEY_DIGITS = 6
TRIES = 3
"""Then whoever answers is no person, or has gone."""


class Console:
    """Where nobody is asked: what happens goes to standard error."""

    def say(self, line: str) -> None:
        print(printable(line), file=sys.stderr, flush=True)


class Terminal(Console):
    """Somebody who can be asked. Use it in one event loop only."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._reader: threading.Thread | None = None
        self._ended = False
        self._asking = ""

    @staticmethod
    def is_there() -> bool:
        return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()

    def say(self, line: str) -> None:
        """A line of its own, above a question that is open."""
        if self._asking:
            print("\r\x1b[K", end="")
        print(printable(line))
        print(self._asking, end="", flush=True)

    async def ask(self, question: str) -> str:
        """Raises CommandError where nobody answers any more."""
        self._listen()
        while not self._lines.empty():
            self._lines.get_nowait()
        self._asking = f"{question} "
        print(self._asking, end="", flush=True)
        try:
            line = None if self._ended else await self._lines.get()
        except asyncio.CancelledError:
            print()
            raise
        finally:
            self._asking = ""
        if line is None:
            raise CommandError("the input ended before all was answered; nothing was changed")
        return printable(line.strip())[:LINE_MAX]

    async def confirm(self, question: str) -> bool:
        """Only a whole word or letter counts; Enter alone is no answer."""
        for _ in range(TRIES):
            match (await self.ask(f"{question} [y/n]")).casefold():
                case "y" | "yes":
                    return True
                case "n" | "no":
                    return False
        return False

    async def choose(self, question: str, options: Sequence[str]) -> str:
        """options: numbered and shown; grows while the question is open, by whoever holds it."""
        for _ in range(TRIES):
            answer = await self.ask(question)
            if answer.isascii() and answer.isdigit() and 0 < int(answer) <= len(options):
                return options[int(answer) - 1]
            if answer in options:
                return answer
            self.say(f"Type a number from 1 to {len(options)}." if options else "Nothing was found yet.")
        raise CommandError("nothing was chosen; nothing was changed")

    def _listen(self) -> None:
        """The thread stays: a read cannot be ended everywhere."""
        if self._reader is None:
            loop = asyncio.get_running_loop()
            self._reader = threading.Thread(target=self._read, args=(loop,), name="terminal", daemon=True)
            self._reader.start()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        """Not through sys.stdin, whose lock would still be held at exit."""
        rest = b""
        with suppress(RuntimeError):  # the loop has ended before us
            while data := _some():
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    loop.call_soon_threadsafe(self._lines.put_nowait, line.decode(errors="replace"))
                rest = rest[:LINE_MAX]
            loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._ended = True
        self._lines.put_nowait(None)


class PersonHere:
    """`links.bonding.Person` at the terminal. An input that has ended cancels."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    async def passkey(self) -> int | None:
        for _ in range(TRIES):
            digits = ""
            with suppress(CommandError):
                answer = await self._terminal.ask("Type the six digits that the device shows (Enter alone cancels):")
                digits = answer.replace(" ", "")
            if not digits:
                return None
            if len(digits) == PASSKEY_DIGITS and digits.isascii() and digits.isdigit():
                return int(digits)
            self._terminal.say("That is not six digits.")
        return None

    async def is_same(self, number: int, /) -> bool:
        with suppress(CommandError):
            return await self._terminal.confirm(f"Does the device show {number:06}?")
        return False

    async def show(self, number: int, /) -> None:
        self._terminal.say(f"Type {number:06} on the device.")


class PersonByFlags:
    """digits: what the device shows, as whoever wrote the command line says; None where nobody did."""

    def __init__(self, digits: str | None) -> None:
        self._number = None if digits is None else int(digits)

    async def passkey(self) -> int | None:
        return self._number

    async def is_same(self, number: int, /) -> bool:
        return number == self._number

    async def show(self, number: int, /) -> None:
        print(f"Type {number:06} on the device.", file=sys.stderr, flush=True)


def _some() -> bytes:
    try:
        return os.read(sys.stdin.fileno(), 1024)
    except OSError:
        return b""
