"""devicebridge watch: readings as they arrive at the broker."""

from __future__ import annotations

import argparse
import json
import queue
import sys
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from ..readings import to_json
from .errors import EX_USAGE, CommandError, load_config

EXPONENT_MAX = 30
"""No reading has such a number; written out, a larger one could fill the memory."""
WAIT_S = 0.5
"""On Windows Ctrl-C is not heard by who waits without end."""

_TITLES = {
    "systolic": "SYS",
    "diastolic": "DIA",
    "mean": "MAP",
    "pulse-rate": "pulse",
    "spo2": "SpO2",
    "perfusion-index": "PI",
}


NO_READING = "(a message that is no reading)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--room", help='another room of the site, or "+" for all of them')
    parser.add_argument("--json", action="store_true", help="the messages themselves, one a line")


def run(args: argparse.Namespace) -> int:
    from ..subscriber import NoBroker, subscription
    from ..topics import ROOT

    config = load_config(args.config)
    room = config.site.room if args.room is None else _room(args.room)
    topic = f"{ROOT}/{config.site.id}/{room}/+/reading/+"
    try:
        with subscription(config.broker, topic, tell=tell) as messages:
            while True:
                with suppress(queue.Empty):
                    show(messages.get(timeout=WAIT_S).payload, as_json=args.json)
    except NoBroker as error:
        raise CommandError(f"{args.config}: {error}") from None


def show(payload: bytes, *, as_json: bool) -> None:
    """One line on standard output; with `as_json` JSON or nothing."""
    if not as_json:
        print(line(payload), flush=True)
        return
    try:
        encoded = to_json(parsed(payload))
    except (ValueError, RecursionError):
        tell(NO_READING)
    else:
        print(encoded, flush=True)


def parsed(payload: bytes) -> dict[str, Any]:
    """A JSON object, its numbers with all their digits. Raises ValueError, RecursionError for anything else."""
    tree = json.loads(payload, parse_float=_number, parse_constant=_number)
    if not isinstance(tree, dict):
        raise ValueError("no object")  # noqa: TRY004  of the sender's making
    return tree


def line(payload: bytes) -> str:
    """One reading on one line of a terminal. Never raises."""
    try:
        reading = parsed(payload)
        when = reading["measured_at"] or reading["received_at"]
        values = "  ".join(map(_shown, reading["values"]))
        text = f"{when[11:19]}  {reading['room']:8} {reading['device']['name']:14} {values}{_remarks(reading)}"
        return printable(text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return NO_READING


def printable(text: str) -> str:
    """Whoever may publish must not be able to steer this terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _number(digits: str) -> Decimal:
    try:
        number = Decimal(digits)
    except InvalidOperation:
        raise ValueError("an exponent beyond all bounds") from None
    if not number.is_finite() or abs(number.adjusted()) > EXPONENT_MAX:
        raise ValueError("no number that a reading can have")
    return number


def _room(word: str) -> str:
    from pydantic import TypeAdapter, ValidationError

    from ..config import Segment

    try:
        return word if word == "+" else str(TypeAdapter(Segment).validate_python(word))
    except ValidationError:
        raise CommandError(f'no room "{printable(word)[:40]}"; give its id, or "+" for all of them', EX_USAGE) from None


def _shown(value: Mapping[str, Any]) -> str:
    title = _TITLES.get(value["name"], value["name"])
    if "text" in value:
        return f"{value.get('code', title)} {value['text']}"
    if "value" not in value:
        return f"{title} -- ({value['absent']})"
    return f"{title} {value.get('comparator', '')}{value['value']} {value['unit']}"


def _remarks(reading: Mapping[str, Any]) -> str:
    remarks = list(reading["status"])
    if reading["quality"] != "ok":
        remarks.insert(0, reading["quality"])
    if reading["origin"] == "stored":
        remarks.append("from memory")
    if reading["clock"] == "corrected":
        remarks.append(f"device clock off by {reading['clock_offset_s']} s")
    if reading["state"] == "held":
        remarks.append("time unknown")
    return f"  [{', '.join(remarks)}]" if remarks else ""
