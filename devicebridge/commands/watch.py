"""devicebridge watch: readings as they arrive at the broker."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from .errors import CommandError, load_config

_TITLES = {
    "systolic": "SYS",
    "diastolic": "DIA",
    "mean": "MAP",
    "pulse-rate": "pulse",
    "spo2": "SpO2",
    "perfusion-index": "PI",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--room", help='another room of the site, or "+" for all of them')
    parser.add_argument("--json", action="store_true", help="the messages themselves, one a line")


def run(args: argparse.Namespace) -> int:
    from ..subscriber import NoBroker, subscription
    from ..topics import ROOT

    config = load_config(args.config)
    topic = f"{ROOT}/{config.site.id}/{args.room or config.site.room}/+/reading/+"
    try:
        with subscription(config.broker, topic) as messages:
            while True:
                payload = messages.get().payload
                print(payload.decode(errors="replace") if args.json else line(payload), flush=True)
    except NoBroker as error:
        raise CommandError(f"{error}; check [broker] in {args.config}") from None


def line(payload: bytes) -> str:
    """One reading on one line of a terminal. Never raises: the broker may carry anything."""
    try:
        reading = json.loads(payload, parse_float=Decimal)
        when = reading["measured_at"] or reading["received_at"]
        values = "  ".join(map(_shown, reading["values"]))
        text = f"{when[11:19]}  {reading['room']:8} {reading['device']['name']:14} {values}{_remarks(reading)}"
        return printable(text)
    except (ValueError, KeyError, TypeError, AttributeError):
        return "(a message that is no reading)"


def printable(text: str) -> str:
    """Whoever may publish must not be able to steer this terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


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
