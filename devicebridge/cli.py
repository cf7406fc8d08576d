"""The command line: each command is a module of `devicebridge.commands`, imported only when it is run."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence

from . import __version__
from .commands.errors import EX_SOFTWARE, EX_UNAVAILABLE, EX_USAGE, CommandError

EX_INTERRUPTED = 130
"""As shells say that Ctrl-C ended a program: 128 and SIGINT."""

OUTPUT_ERRORS = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Of writing; commands meet those of their own files themselves."""

COMMANDS = {
    "demo": "shows the whole way on simulated devices: a broker, a room, the daemon, readings as they arrive",
    "run": "runs the daemon",
    "init": "writes a commented config for this PC",
    "check": "shows each value of the config and its source, and what is wrong with it, ports and broker",
    "devices": "lists the configured devices, how each is and what to do about it",
    "reload": "lets the running daemon read its config file now",
    "scan": "shows Bluetooth LE devices and serial ports in reach, and the driver that reads each",
    "pair": "adds a device: bonds with it, takes a test reading, and writes its table into the config",
    "unpair": "takes a device out of the config, and undoes its bond",
    "bonds": "compares the bonds that this PC holds with the config",
    "drivers": "lists the installed drivers, their devices and options",
    "decode": "feeds bytes to a driver's codec and prints what it reads",
    "simulate": "runs a simulated device, or a whole room of them",
    "watch": "prints readings as they arrive at the broker",
    "outbox": "lists, sends again, parks or exports the readings kept on this PC",
    "ekg": "records an EKG strip, draws it or exports it",
    "schema": "prints the JSON Schema of the config or of the messages",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0, 64 wrong use, 69 something needed is not there, 70 our mistake, 78 configuration, 130 Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(words)
        if sys.stdout is not None:  # closed by whoever started us
            sys.stdout.flush()
    except CommandError as error:
        return _fail(str(error), error.code)
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OUTPUT_ERRORS:
            return _without_output(error)
        if _is_registry_error(error):
            return _fail(str(error))
        if os.environ.get("DEVICEBRIDGE_TRACEBACK"):
            raise
        remedy = "set DEVICEBRIDGE_TRACEBACK=1, try again, and report what it prints"
        return _fail(f"a mistake in the program ({type(error).__name__}); {remedy}", EX_SOFTWARE)
    return code


def _run(words: Sequence[str]) -> int:
    try:
        args = _parser(words).parse_args(words)
    except SystemExit as ended:  # help, version, wrong use: what there is to say was said
        return int(ended.code or 0)
    return int(args.run(args))


def _is_registry_error(error: Exception) -> bool:
    from .registry import RegistryError

    return isinstance(error, RegistryError)


def _without_output(error: OSError) -> int:
    """The reader of our output has gone, or the disk it goes to is full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains again when it flushes
    return 0 if error.errno == errno.EPIPE else _fail(f"the output cannot be written ({error.strerror}); make room")


def _fail(sentence: str, code: int = EX_UNAVAILABLE) -> int:
    print(f"devicebridge: {sentence}", file=sys.stderr)
    return code


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


if __name__ == "__main__":
    sys.exit(main())
