"""devicebridge devices: the configured devices as the running daemon knows them."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..web.client import DaemonAbsent
from .errors import client_of, no_daemon

WATCH_S = 2.0
_HOME_AND_CLEAR = "\x1b[H\x1b[J"
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_LINE = "{device:16} {state:12} {seen:34} {reading:16} {facts}"
_EVIDENCE = {
    "heard": "heard {evidence_age} ago",
    "link": "{ready}",
    "silence": "silent, heard {heard}",
    "loss": "for {evidence_age}, heard {heard}",
    "none": "heard {heard}",
}
_READY = {"serial": "port open, heard {heard}", "ble": "listening, heard {heard}"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--watch", action="store_true", help="again and again, until Ctrl-C")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    while True:
        _show(_asked(args.config), args)
        if not args.watch:
            return 0
        time.sleep(WATCH_S)


def _asked(config: Path) -> Mapping[str, Any]:
    try:
        answer: Mapping[str, Any] = client_of(config).get("/v1/devices")
    except DaemonAbsent:
        raise no_daemon(config) from None
    return answer


def _show(answer: Mapping[str, Any], args: argparse.Namespace) -> None:
    if args.json:
        print(json.dumps(answer), flush=True)
        return
    page = "\n".join(_page(answer))
    print(f"{_HOME_AND_CLEAR if args.watch and sys.stdout.isatty() else ''}{page}", flush=True)


def _page(answer: Mapping[str, Any]) -> list[str]:
    lines = [f"!  {text}" for text in answer["trouble"]]
    lines += [f"   {problem}" for problem in answer["config"]["problems"]]
    for device in answer["devices"]:
        lines += [_line(device), f"{'':16} {device['text']}"]
    return lines if answer["devices"] else [*lines, "no devices are configured"]


def _line(device: Mapping[str, Any]) -> str:
    heard = _ago(device["last_heard_age_s"])
    ready = _READY[device["link"]].format(heard=heard)
    seen = _EVIDENCE[device["evidence"]].format(evidence_age=_span(device["evidence_age_s"]), heard=heard, ready=ready)
    reading = f"read {_ago(device['last_reading_age_s'])}"
    facts = ", ".join(_facts(device))
    line = _LINE.format(device=device["device"], state=device["state"], seen=seen, reading=reading, facts=facts)
    return line.rstrip()


def _facts(device: Mapping[str, Any]) -> list[str]:
    found = []
    if device["battery_percent"] is not None:
        found.append(f"battery {device['battery_percent']} %")
    if device["battery_low"]:
        found.append("battery low")
    if firmware := device.get("firmware"):
        found.append(f"firmware {firmware}")
    if device["clock_offset_s"] is not None:
        found.append(f"clock {_offset(device['clock_offset_s'])}")
    if device["bond"] not in (None, "not-needed"):
        found.append(f"bond {device['bond']}")
    return found


def _offset(gateway_minus_device_s: int) -> str:
    if gateway_minus_device_s == 0:
        return "right"
    return f"{_span(abs(gateway_minus_device_s))} {'slow' if gateway_minus_device_s > 0 else 'fast'}"


def _ago(seconds: int | None) -> str:
    return "never" if seconds is None else f"{_span(seconds)} ago"


def _span(seconds: int) -> str:
    """In its largest whole unit."""
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), (1, "s"))
    return f"{seconds // size} {unit}"
