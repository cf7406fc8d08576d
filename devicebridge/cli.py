"""The command line: each command is a module of `devicebridge.commands`, imported only when it is run."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from . import __version__
from .commands.errors import EX_CONFIG, EX_UNAVAILABLE, EX_USAGE, CommandError

COMMANDS = {
    "demo": "shows the whole way on simulated devices: a broker, a room, the daemon, readings as they arrive",
    "run": "runs the daemon",
    "check": "says what is wrong with the config, drivers, ports and broker, and how to mend it",
    "drivers": "lists the installed drivers, their devices and options",
    "decode": "feeds bytes to a driver's codec and prints what it reads",
    "simulate": "runs a simulated device, or a whole room of them",
    "watch": "prints readings as they arrive at the broker",
    "outbox": "lists, sends again, parks or exports the readings kept on this PC",
    "schema": "prints the JSON Schema of the config or of the messages",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0, 64 wrong use, 69 something needed is not there, 78 configuration."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(words)
    args = parser.parse_args(words)
    try:
        return int(args.run(args))
    except CommandError as error:
        print(f"devicebridge: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from .registry import RegistryError

        if isinstance(error, RegistryError):
            print(f"devicebridge: {error}", file=sys.stderr)
            return EX_UNAVAILABLE
        if os.environ.get("DEVICEBRIDGE_TRACEBACK"):
            raise
        print(
            f"devicebridge: a mistake in the program ({type(error).__name__}); "
            "set DEVICEBRIDGE_TRACEBACK=1, try again, and report what it prints",
            file=sys.stderr,
        )
        return 70


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="devicebridge", description="Exam-room medical devices to MQTT.")
    parser.add_argument("--version", action="version", version=f"devicebridge {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name in words:
            module = importlib.import_module(f"devicebridge.commands.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(EX_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


__all__ = ["EX_CONFIG", "EX_UNAVAILABLE", "main"]

if __name__ == "__main__":
    sys.exit(main())
