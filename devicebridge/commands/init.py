"""devicebridge init: writes a commented config for this PC. What is there already is left alone."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ..config import parse
from ..mistakes import ConfigError
from ..pairing.discover import Cable, cables
from ..pairing.recognise import manifests
from ..zone import local_zone
from .errors import EX_CONFIG, EX_USAGE, CommandError
from .schema import schema
from .terminal import Terminal
from .watch import printable

SCHEMA_FILE = "config.schema.json"

_FOLDERS = {"win32": ("C:/ProgramData/devicebridge",) * 2, "darwin": ("/usr/local/var/devicebridge",) * 2}
_LINUX_FOLDERS = ("/var/lib/devicebridge", "/var/log/devicebridge")
"""Of the outbox and of the log."""

_QUESTIONS = {
    "site": 'The clinic, in lower-case letters, digits and dashes ("main-street"):',
    "room": 'The room, likewise ("exam-3"):',
    "broker": 'The MQTT broker, "host" or "host:port":',
    "timezone": 'The time zone ("America/Chicago"):',
}

_TEMPLATE = """\
#:schema ./{schema}
# One exam room. A typo is an error with its line and the nearest key:
#   devicebridge check -c {file}
# Devices are added by `devicebridge pair -c {file}`, or by hand below. A running daemon takes changes up by itself.

[site]
id = {site}    # the clinic; this and the room become parts of every topic
room = {room}
timezone = {timezone}    # whose local time the devices show

[broker]
addresses = [{broker}]    # tried in order; port 8883 with TLS, 1883 without, unless given as "host:port"
# username = "exam-3"
# password_file = "broker-password"    # the password and nothing else, readable by the service's user only

# [broker.tls]    # leave out only for a broker on this PC or a trusted wire
# ca_file = "ca.pem"    # who signed the broker's certificate; the system's authorities if left out

[outbox]
path = {outbox}    # a local disk, not a network share
keep_days = 7    # sent readings stay this long, so that they can be sent again

[log]
file = {log}
"""

_NO_PORTS = (
    "# No serial port was found on this PC. `devicebridge scan` looks again, and for Bluetooth LE devices too.\n"
)
_PORTS = (
    "# The serial ports found on this PC. Take the # away, name the device and its driver (`devicebridge drivers`).\n"
)
_PORT = """\
#
# {name}
# [devices.device-{number}]
# driver = {driver}
# port = {port}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c", "--config", type=Path, default=Path("room.toml"), metavar="FILE", help="default: room.toml"
    )
    parser.add_argument("--site", metavar="ID", help="the clinic")
    parser.add_argument("--room", metavar="ID", help="the room")
    parser.add_argument("--broker", metavar="ADDRESS", help="host or host:port")
    parser.add_argument("--timezone", metavar="ZONE", help="default: this PC's")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    file: Path = args.config
    if file.exists():
        raise CommandError(f"{file} is there already and was left alone; name another with -c", EX_CONFIG)
    given = {name: getattr(args, name) for name in _QUESTIONS}
    answers = asyncio.run(_answered({**given, "timezone": given["timezone"] or local_zone()}))
    found = cables(manifests(), {})
    text = config_text(answers, found, file)
    try:
        parse(text, file)
    except ConfigError as error:
        said = [f"{problem.where.rpartition(' ')[2]}: {problem.what}; {problem.remedy}" for problem in error.problems]
        raise CommandError("\n".join([*said, "nothing was written"]), EX_USAGE) from None
    schema_file = file.with_name(SCHEMA_FILE)
    _write_new(file, text)
    if not schema_file.exists():
        _write_new(schema_file, json.dumps(schema("config"), indent=2) + "\n")
    if args.json:
        print(json.dumps({"config": str(file), "schema": str(schema_file), "ports": len(found)}))
    else:
        print(f"written: {file}\nnext: devicebridge check -c {file}, then devicebridge pair -c {file}")
    return 0


def config_text(answers: Mapping[str, str], found: Iterable[Cable], file: Path) -> str:
    """answers: of _QUESTIONS. found: each a commented suggestion."""
    data, logs = _FOLDERS.get(sys.platform, _LINUX_FOLDERS)
    quoted = {name: _quoted(answer) for name, answer in answers.items()}
    paths = {"outbox": _quoted(f"{data}/outbox.db"), "log": _quoted(f"{logs}/devicebridge.log")}
    text = _TEMPLATE.format(schema=SCHEMA_FILE, file=_comment(file.name), **quoted, **paths)
    ports = "".join(_suggestions(found))
    return f"{text}\n{_PORTS + ports if ports else _NO_PORTS}"


def _suggestions(found: Iterable[Cable]) -> Iterator[str]:
    for number, cable in enumerate(found, 1):
        drivers = [recognition.driver for recognition in cable.drivers]
        yield _PORT.format(
            name=_comment(cable.port.product or cable.port.device),
            number=number,
            driver=_quoted(drivers[0] if drivers else "...")
            + (f"    # or {', '.join(drivers[1:])}" if drivers[1:] else ""),
            port=_comment(_quoted(cable.port.address)),
        )


async def _answered(given: Mapping[str, str | None]) -> dict[str, str]:
    lacking = [name for name, answer in given.items() if not answer]
    if lacking and not Terminal.is_there():
        flags = ", ".join(f"--{name}" for name in lacking)
        raise CommandError(f"there is no terminal to ask at; give {flags}", EX_USAGE)
    terminal = Terminal()
    return {name: answer or await terminal.ask(_QUESTIONS[name]) for name, answer in given.items()}


def _write_new(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise CommandError(f"{file} is there already and was left alone; name another with -c", EX_CONFIG) from None
    except OSError as error:
        raise CommandError(f"{file} cannot be written ({error.strerror}); name another with -c") from None


def _quoted(text: str) -> str:
    """A TOML basic string, whose escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False)


def _comment(text: str) -> str:
    """What a cable says of itself must not end the comment it stands in."""
    return re.sub(r"\s+", " ", printable(text))
