"""devicebridge outbox: the readings kept on this PC. The running daemon is asked; without one, the file is read."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ..outbox import OutboxFailed, Row, State, read_only_rows
from ..readings import to_json
from ..web.client import Client, DaemonAbsent, DaemonLost, DaemonRefused
from ..web.rows import LIST_LIMIT, instant, row_summary
from ..words import OUTBOX
from .errors import EX_USAGE, CommandError, load_config

LIST_COLUMNS = "{seq:>8}  {state:8} {created_at:32} {device:16} {reason}"
_NEEDS_DAEMON = "the daemon does not answer, and only it may change the outbox; start it and try again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="one line a reading, without its values")
    listing.add_argument("--state", choices=("pending", "sent", "parked"))
    listing.add_argument("--limit", type=_limit, default=50, metavar="NUMBER")
    listing.set_defaults(action=_list)
    resend = actions.add_parser("resend", help="sends readings again, with the same ids")
    resend.add_argument("seqs", nargs="*", type=int, metavar="NUMBER")
    resend.set_defaults(action=_resend)
    park = actions.add_parser("park", help="keeps readings and does not send them")
    park.add_argument("seqs", nargs="+", type=int, metavar="NUMBER")
    park.set_defaults(action=_park)
    export = actions.add_parser("export", help="prints readings as they are published, one JSON object a line")
    export.add_argument("--state", choices=("pending", "sent", "parked"))
    export.set_defaults(action=_export)
    for action in (resend, export):
        action.add_argument("--since", type=_time, metavar="TIME", help="with UTC offset: 2026-11-21T08:00-06:00")
        action.add_argument("--until", type=_time, metavar="TIME", help="this time not included")
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
    except DaemonLost:
        raise CommandError("the daemon broke off in the middle; try again") from None
    return 0


def _list(args: argparse.Namespace, path: Path) -> None:
    try:
        rows = Client(path).get("/v1/outbox", state=args.state, limit=args.limit)
    except DaemonAbsent:
        rows = [_summary(row) for row in _rows_of_file(path, args.state, limit=args.limit)]
    for row in rows:
        print(json.dumps(row) if args.json else LIST_COLUMNS.format(**{**row, "reason": row["reason"] or ""}))
    if not rows and not args.json:
        print("no readings")


def _resend(args: argparse.Namespace, path: Path) -> None:
    times = _times(args)
    if bool(args.seqs) == bool(times) or (times and not args.since):
        raise CommandError("say which readings: their numbers, or --since a time (and --until another)", EX_USAGE)
    body = {"seqs": args.seqs} if args.seqs else {name: at.isoformat() for name, at in times.items()}
    _report(args, Client(path).post("/v1/outbox/resend", body), "resent", "to be sent again")


def _park(args: argparse.Namespace, path: Path) -> None:
    _report(args, Client(path).post("/v1/outbox/park", {"seqs": args.seqs}), "parked", "parked")


def _report(args: argparse.Namespace, answer: Mapping[str, int], key: str, words: str) -> None:
    print(json.dumps(answer) if args.json else f"{answer[key]} readings {words}")


def _export(args: argparse.Namespace, path: Path) -> None:
    for line in exported(path, args.state, _times(args)):
        print(line)


def exported(path: Path, state: str | None, times: Mapping[str, datetime]) -> Iterator[str]:
    """Readings as they are published, one JSON object each: of the running daemon, else of its file."""
    query = {name: at.isoformat() for name, at in times.items()}
    try:
        yield from Client(path).lines("/v1/outbox/export", state=state, **query)
    except DaemonAbsent:
        yield from (payload.decode() for payload in _payloads_of_file(path, state, times))


def _payloads_of_file(path: Path, state: str | None, times: Mapping[str, datetime]) -> Iterator[bytes]:
    after_seq = 0
    while rows := _rows_of_file(path, state, limit=LIST_LIMIT, after_seq=after_seq, **times):
        yield from (row.payload for row in rows)
        after_seq = rows[-1].seq


def _rows_of_file(path: Path, state: str | None, **chosen: Any) -> list[Row]:
    if not path.exists():
        raise CommandError(f"{path} is not there yet; it is made when the daemon first runs")
    try:
        return read_only_rows(path, state=State[state.upper()] if state else None, **chosen)
    except OutboxFailed as error:
        raise CommandError(f"{path}: {OUTBOX[error.fault]}") from None


def _times(args: argparse.Namespace) -> dict[str, datetime]:
    """Of `since` and `until` those that were given."""
    return {name: at for name, at in (("since", args.since), ("until", args.until)) if at is not None}


def _time(text: str) -> datetime:
    try:
        return instant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= LIST_LIMIT):
        raise argparse.ArgumentTypeError(f"it is a number from 1 to {LIST_LIMIT}")
    return int(text)


def _summary(row: Row) -> Mapping[str, Any]:
    summary: Mapping[str, Any] = json.loads(to_json(row_summary(row)))
    return summary
