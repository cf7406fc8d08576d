"""devicebridge reload: the running daemon reads its config file now, instead of in a moment."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..web.client import Client, DaemonAbsent, DaemonRefused
from .errors import EX_CONFIG, client_of, no_daemon

_WORDS = {
    "current": "the daemon runs by this file",
    "refused": "the daemon goes on with what it read before:",
    "restart-needed": "the daemon goes on with what it read before, and has to be started again:",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    try:
        answer = client_of(args.config).post("/v1/reload", {})
    except DaemonAbsent:
        raise no_daemon(args.config) from None
    print(json.dumps(answer) if args.json else told(answer))
    return 0 if answer["state"] == "current" else EX_CONFIG


def taken_up(outbox: Path) -> Mapping[str, Any] | None:
    """What the daemon answers after it has read its file anew; None where none runs."""
    try:
        answer: Mapping[str, Any] = Client(outbox).post("/v1/reload", {})
    except (DaemonAbsent, DaemonRefused):
        return None
    return answer


def told(answer: Mapping[str, Any]) -> str:
    return "\n".join([_WORDS[answer["state"]], *answer["problems"]])
