"""devicebridge ekg: records a strip through the running daemon; draws or exports one that was recorded."""

from __future__ import annotations

import argparse
import json
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ekg.recording import SECONDS_MAX
from ..readings import ReadingMessage, to_json
from ..sdk.values import Kind
from ..web.client import Client, DaemonAbsent, DaemonRefused, DaemonSlow
from .errors import EX_DATAERR, EX_TEMPFAIL, EX_USAGE, CommandError, load_config

if TYPE_CHECKING:
    from ..sdk.wave import Strip

SAVING_S = 60.0
"""Beyond the strip's own length: for a device that stops, and a disk that is slow."""
WAIT_S = 0.5
"""On Windows Ctrl-C is not heard by who waits without end."""

_NEEDS_DAEMON = "the daemon does not answer, or ended while it recorded; see that it runs, and record again"
_SLOW = (
    "the daemon has not stored the strip yet; its disk may be full: see `devicebridge devices`, and look with "
    "`devicebridge outbox list` before you record again"
)
_GOES_ON = "the daemon goes on without you: the strip will be stored and published"
_NEEDS_EXTRA = "this needs more packages; install them with: pip install 'devicebridge[ekg]'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    record = actions.add_parser("record", help="records a strip from now on, stores it and publishes it")
    record.add_argument("device", help="its name in the config")
    record.add_argument("--seconds", type=float, default=10, metavar="NUMBER", help="10 if left out")
    record.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    record.add_argument("--json", action="store_true")
    record.set_defaults(action=_record)
    render = actions.add_parser("render", help="draws a strip at true scale, as SVG or PDF")
    render.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="ends in .svg or .pdf")
    render.set_defaults(action=_render)
    export = actions.add_parser("export", help="writes a strip as EDF+, with the device's own integers")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="ends in .edf (or .bdf)")
    export.set_defaults(action=_export)
    for action in (render, export):
        action.add_argument("--id", help="the reading's id, or how it begins; the latest strip if left out")
        action.add_argument("-c", "--config", type=Path, metavar="FILE", help="takes it from this PC's outbox")
        action.add_argument("--broker", action="store_true", help="with -c: waits for the next strip at the broker")
        action.add_argument("--file", type=Path, metavar="FILE", help='takes it from readings in JSON, one a line; "-"')


def run(args: argparse.Namespace) -> int:
    action: Callable[[argparse.Namespace], None] = args.action
    action(args)
    return 0


def _record(args: argparse.Namespace) -> None:
    if not 1 <= args.seconds <= SECONDS_MAX:
        raise CommandError(f"a strip has from 1 to {SECONDS_MAX} seconds; say so with --seconds", EX_USAGE)
    outbox = load_config(args.config).outbox.path
    if not args.json:
        print(f"recording {args.seconds:g} s from {args.device}; keep the patient still", flush=True)
    try:
        answer = _recorded(Client(outbox), args.device, args.seconds)
    except KeyboardInterrupt:
        print(_GOES_ON, file=sys.stderr)
        raise
    except DaemonRefused as error:
        raise CommandError(str(error)) from None
    except DaemonSlow:
        raise CommandError(_SLOW, EX_TEMPFAIL) from None
    except DaemonAbsent:
        raise CommandError(_NEEDS_DAEMON) from None
    if args.json:
        print(to_json(answer))
        return
    gaps = f", {answer['missing']} of them missing" if answer["missing"] else ", whole"
    print(f"stored: {', '.join(answer['leads'])}, {answer['count']} samples{gaps}, id {answer['id']}")


def _recorded(client: Client, device: str, seconds: float) -> Any:
    """The daemon's answer; waited for in a way that Ctrl-C can end on Windows too."""
    answer: Future[Any] = Future()

    def ask() -> None:
        try:
            request = {"device": device, "seconds": seconds}
            answer.set_result(client.post("/v1/ekg/record", request, timeout_s=seconds + SAVING_S))
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    while True:
        with suppress(TimeoutError):
            return answer.result(WAIT_S)


def _render(args: argparse.Namespace) -> None:
    from ..ekg.drawing import pdf, svg
    from ..ekg.page import pages

    kind = args.output.suffix.lower()
    if kind not in (".svg", ".pdf"):
        raise CommandError("the drawing is SVG or PDF; end --output in .svg or .pdf", EX_USAGE)
    reading, strip = _found(args)
    drawn = pages(strip, _heading(reading))
    if kind == ".pdf":
        try:
            _write(args.output, pdf(drawn, f"EKG {reading.id}"))
        except ModuleNotFoundError:
            raise CommandError(_NEEDS_EXTRA) from None
        return
    for number, page in enumerate(drawn, 1):
        stem = args.output.stem if number == 1 else f"{args.output.stem}-{number}"
        _write(args.output.with_name(f"{stem}.svg"), svg(page))


def _export(args: argparse.Namespace) -> None:
    from ..ekg.edf import save, suffix

    reading, strip = _found(args)
    try:
        ending = suffix(strip)
        if args.output.suffix.lower() != ending:
            raise CommandError(f"these samples need {ending}; name --output so", EX_USAGE)
        save(strip, reading.measured_at, reading.device.model or reading.device.driver, args.output)
    except ValueError as error:
        raise CommandError(f"{error}; take the samples from the reading itself", EX_DATAERR) from None
    except ModuleNotFoundError:
        raise CommandError(_NEEDS_EXTRA) from None
    except OSError as error:
        raise CommandError(f"{args.output} cannot be written ({error.strerror}); name another --output") from None
    print(args.output)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise CommandError(f"{path} cannot be written ({error.strerror}); name another --output") from None
    print(path)


def _heading(reading: ReadingMessage) -> tuple[str, str, str]:
    device = reading.device
    model = " ".join(filter(None, (device.manufacturer, device.model, device.serial)))
    warning = "SIMULATED, never chart it \u00b7 " if reading.simulated else ""
    return (
        f"{warning}{reading.site} \u00b7 {reading.room} \u00b7 {device.name} \u00b7 {model or device.driver}",
        f"{reading.measured_at or 'time unknown'} \u00b7 {reading.quality}{_said(reading)} \u00b7 patient not assigned",
        f"{reading.id}",
    )


def _said(reading: ReadingMessage) -> str:
    return f" ({', '.join(reading.status)})" if reading.status else ""


def _found(args: argparse.Namespace) -> tuple[ReadingMessage, Strip]:
    from ..ekg.strip import strip_of

    if (args.file is None) == (args.config is None):
        raise CommandError("say where the strip is: -c for this PC's outbox or its broker, or --file", EX_USAGE)
    reading = _chosen(_lines(args), args.id or "")
    if reading is None or reading.strip is None:
        raise CommandError("there is no such EKG recording; `devicebridge outbox list` shows what there is", EX_DATAERR)
    try:
        return reading, strip_of(reading.strip)
    except ValueError:
        sentence = (
            "this is no EKG recording that can be drawn or exported: its leads or its rate cannot be; take another"
        )
        raise CommandError(sentence, EX_DATAERR) from None


def _lines(args: argparse.Namespace) -> Iterable[str]:
    if args.file is not None:
        return _lines_of_file(args.file)
    if args.broker:
        return _next_at_broker(args)
    from .outbox import exported

    return exported(load_config(args.config).outbox.path, None, {})


def _lines_of_file(path: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read ({error}); name a file of readings in JSON", EX_DATAERR) from None
    return text.splitlines()


def _next_at_broker(args: argparse.Namespace) -> Iterator[str]:
    from ..subscriber import NoBroker, subscription
    from ..topics import ROOT

    config = load_config(args.config)
    topic = f"{ROOT}/{config.site.id}/{config.site.room}/+/reading/{Kind.ECG}"
    try:
        with subscription(config.broker, topic) as messages:
            print("waiting for the next EKG recording", file=sys.stderr, flush=True)
            while True:
                with suppress(queue.Empty):
                    yield messages.get(timeout=WAIT_S).payload.decode(errors="replace")
                    return
    except NoBroker as error:
        raise CommandError(f"{args.config}: {error}") from None


def _chosen(lines: Iterable[str], id_: str) -> ReadingMessage | None:
    """The last EKG recording whose id begins so."""
    found: ReadingMessage | None = None
    for line in lines:
        with suppress(ValueError, RecursionError, AttributeError):  # what is no reading is not ours to mend
            tree = json.loads(line)
            if tree.get("kind") == Kind.ECG and tree.get("strip") and str(tree.get("id")).startswith(id_):
                found = ReadingMessage.model_validate_json(line)
    return found
