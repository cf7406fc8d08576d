"""devicebridge outbox: the readings kept on this PC. The running daemon is asked; without one, the file is read."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..outbox import OutboxFailed, Row, State, read_only_rows
from ..readings import to_json
from ..web.client import Client, DaemonAbsent, DaemonRefused
from ..web.rows import row_summary
from ..words import OUTBOX
from .errors import EX_USAGE, CommandError, load_config

LIST_COLUMNS = "{seq:>8}  {state:8} {created_at:32} {device:16} {reason}"
EXPORT_LIMIT = 1_000_000
_NEEDS_DAEMON = "the daemon does not answer, and only it may change the outbox; start it and try again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="one line a reading, without its values")
    listing.add_argument("--state", choices=("pending", "sent", "parked"))
    listing.add_argument("--limit", type=int, default=50)
    listing.set_defaults(action=_list)
    resend = actions.add_parser("resend", help="sends readings again, with the same ids")
    resend.add_argument("seqs", nargs="*", type=int, metavar="NUMBER")
    resend.add_argument("--since", metavar="TIME", help="with UTC offset: 2026-11-21T08:00-06:00")
    resend.add_argument("--until", metavar="TIME")
    resend.set_defaults(action=_resend)
    park = actions.add_parser("park", help="keeps readings and does not send them")
    park.add_argument("seqs", nargs="+", type=int, metavar="NUMBER")
    park.set_defaults(action=_park)
    export = actions.add_parser("export", help="prints readings as they are published, one JSON object a line")
    export.add_argument("--state", choices=("pending", "sent", "parked"))
    export.add_argument("--since", metavar="TIME")
    export.add_argument("--until", metavar="TIME")
    export.set_defaults(action=_export)
    for action in (listing, resend, park, export):
        action.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
        action.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    path: Path = load_config(args.config).outbox.path
    try:
        action: Callable[[argparse.Namespace, Path], None] = args.action
        action(args, path)
    except DaemonRefused as error:
        raise CommandError(str(error), EX_USAGE) from None
    except DaemonAbsent:
        raise CommandError(_NEEDS_DAEMON) from None
    return 0


def _list(args: argparse.Namespace, path: Path) -> None:
    try:
        rows = Client(path.parent).get("/v1/outbox", state=args.state, limit=args.limit)
    except DaemonAbsent:
        rows = [_summary(row) for row in _rows_of_file(path, args)]
    for row in rows:
        print(json.dumps(row) if args.json else LIST_COLUMNS.format(**{**row, "reason": row["reason"] or ""}))
    if not rows and not args.json:
        print("no readings")


def _resend(args: argparse.Namespace, path: Path) -> None:
    if not args.seqs and not args.since:
        raise CommandError("say which readings: their numbers, or --since a time", EX_USAGE)
    body = {"seqs": args.seqs or None, "since": args.since, "until": args.until}
    _report(args, Client(path.parent).post("/v1/outbox/resend", body), "resent", "to be sent again")


def _park(args: argparse.Namespace, path: Path) -> None:
    _report(args, Client(path.parent).post("/v1/outbox/park", {"seqs": args.seqs}), "parked", "parked")


def _report(args: argparse.Namespace, answer: Mapping[str, int], key: str, words: str) -> None:
    print(json.dumps(answer) if args.json else f"{answer[key]} readings {words}")


def _export(args: argparse.Namespace, path: Path) -> None:
    query = {"state": args.state, "since": args.since, "until": args.until}
    try:
        lines: Iterator[str] = Client(path.parent).lines("/v1/outbox/export", **query)
        for line in lines:
            print(line)
    except DaemonAbsent:
        for row in _rows_of_file(path, args):
            print(row.payload.decode())


def _rows_of_file(path: Path, args: argparse.Namespace) -> list[Row]:

    if not path.exists():
        raise CommandError(f"{path} is not there yet; it is made when the daemon first runs")
    state = State[args.state.upper()] if args.state else None
    try:
        return read_only_rows(path, state=state, limit=getattr(args, "limit", EXPORT_LIMIT))
    except OutboxFailed as error:
        raise CommandError(f"{path}: {OUTBOX[error.fault]}") from None


def _summary(row: Row) -> Mapping[str, Any]:
    summary: Mapping[str, Any] = json.loads(to_json(row_summary(row)))
    return summary
