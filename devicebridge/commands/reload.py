"""devicebridge reload: the running daemon reads its config file now, instead of in a moment."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..web.client import DaemonAbsent
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
    if args.json:
        print(json.dumps(answer))
    else:
        print("\n".join([_WORDS[answer["state"]], *answer["problems"]]))
    return 0 if answer["state"] == "current" else EX_CONFIG
