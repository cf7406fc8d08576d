"""devicebridge demo: a broker, a simulated room, the daemon, and the readings as a subscriber receives them.

Every part is a process of its own and the links between them are the real ones. At the end what the simulated
devices measured is compared, value by value, with what came out of the broker.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..config import BrokerConfig
from ..subscriber import Message, NoBroker, subscription
from ..testing import broker as brokers
from ..testing.kept import APART, kept
from ..testing.room import DEMO
from ..topics import ROOT
from .errors import CommandError
from .ledger import Ledger
from .watch import parsed, printable, show, tell

SITE, ROOM = "demo", "exam-1"
START_TIMEOUT_S = 20.0
SETTLE_S = 5.0
"""How long the end waits for readings that are on their way."""
STOP_TIMEOUT_S = 5.0
POLL_S = 0.1
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Each an orderly end, where the system has it. The parts are processes of their own and would be left behind."""

CONFIG = """\
simulated = true
[site]
id = "{site}"
room = "{room}"
timezone = "{timezone}"
[broker]
addresses = ["127.0.0.1:{port}"]
protocol = "{protocol}"
[outbox]
path = {outbox}
[control]
port = 0
[log]
file = {log}
[bluetooth]
radio = "{radio}"
radio_address = "{radio_address}"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, metavar="N", help="end by itself; else Ctrl-C ends it")
    parser.add_argument("--room", type=Path, default=DEMO, metavar="FILE", help="another room file")
    parser.add_argument("--broker", choices=("mosquitto", "amqtt"), help="this one only")
    parser.add_argument("--json", action="store_true", help="readings as JSON lines; all else on standard error")


def run(args: argparse.Namespace) -> int:
    stop = threading.Event()
    for name in SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: stop.set())
    with tempfile.TemporaryDirectory(prefix="devicebridge-demo-", ignore_cleanup_errors=True) as folder:
        try:
            return _demo(args, Path(folder), stop)
        except (brokers.NoBroker, NoBroker) as error:
            raise CommandError(str(error)) from None


def _demo(args: argparse.Namespace, folder: Path, stop: threading.Event) -> int:
    ledger, zone = Ledger(), _timezone()
    with ExitStack() as stack:
        broker = stack.enter_context(brokers.broker(folder, prefer=args.broker))
        tell(f"broker: {broker.name}, MQTT {broker.protocol}, 127.0.0.1:{broker.port}")
        if broker.protocol != "5":
            tell("        (MQTT 3.1.1: a reading the broker refuses cannot be told from one it took)")
        room = stack.enter_context(_Room(args.room, zone))
        config = _write_config(folder, broker, room.opened, zone)
        settings = BrokerConfig(addresses=(f"127.0.0.1:{broker.port}",), protocol=broker.protocol)
        messages = stack.enter_context(subscription(settings, f"{ROOT}/{SITE}/{ROOM}/#", tell=tell))
        daemon = stack.enter_context(_daemon(config, folder))
        tell(f"room:   {', '.join(room.opened['devices'])} (simulated; nobody is measured)")
        take = functools.partial(_take, args, messages, ledger)
        _follow(args.seconds, stop, take, room, ledger, daemon)
        ledger.is_closed = True
        room.close()
        _settle(take, room, ledger)
    return _conclude(ledger) or room.exit_code or daemon.returncode


def _follow(
    seconds: float | None,
    stop: threading.Event,
    take: Callable[[], bool],
    room: _Room,
    ledger: Ledger,
    daemon: subprocess.Popen[bytes],
) -> None:
    """Shows what arrives until the time is over, or Ctrl-C."""
    end_s = time.monotonic() + seconds if seconds is not None else float("inf")
    while time.monotonic() < end_s and not stop.is_set():
        if daemon.poll() is not None:
            raise CommandError(f"the daemon ended (exit code {daemon.returncode})")
        if room.exit_code is not None:
            raise CommandError(f"the simulated room ended (exit code {room.exit_code})")
        take()
        room.report_to(ledger)


def _settle(take: Callable[[], bool], room: _Room, ledger: Ledger) -> None:
    """Waits for what is on its way; not for what a device had not finished to measure."""
    end_s = time.monotonic() + SETTLE_S
    room.report_to(ledger)
    while ledger.lost and time.monotonic() < end_s:
        take()
    while take():
        pass


def _take(args: argparse.Namespace, messages: queue.Queue[Message], ledger: Ledger) -> bool:
    """One message, if there is one within POLL_S."""
    try:
        message = messages.get(timeout=POLL_S)
    except queue.Empty:
        return False
    if "/reading/" in message.topic or message.topic.endswith("/quarantine"):
        show(message.payload, as_json=args.json)
        try:
            ledger.receive(parsed(message.payload))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            ledger.foreign += 1
    elif not args.json and not ledger.is_closed:
        _show_status(parsed(message.payload), ledger)
    return True


def _show_status(status: dict[str, Any], ledger: Ledger) -> None:
    """A device's status, when it says something new."""
    device, text = status.get("device"), status.get("text")
    if device and text and ledger.said.get(device) != text:
        ledger.said[device] = text
        print(printable(f"{status['as_of'][11:19]}  {ROOM:8} {device:14} ({text})"), flush=True)


def _conclude(ledger: Ledger) -> int:
    summary = ledger.summary()
    tell(", ".join(f"{word} {count}" for word, count in summary.items()))
    return 1 if ledger.lost or ledger.missed or ledger.duplicated or ledger.invented else 0


def _write_config(folder: Path, broker: brokers.Broker, opened: dict[str, Any], zone: str) -> Path:
    text = CONFIG.format(
        site=SITE,
        room=ROOM,
        timezone=zone,
        port=broker.port,
        protocol=broker.protocol,
        outbox=json.dumps(str(folder / "outbox.db")),
        log=json.dumps(str(folder / "daemon.log")),
        radio="simulated" if opened["radio_address"] else "system",
        radio_address=opened["radio_address"],
    )
    for name, table in opened["devices"].items():
        text += f"[devices.{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
    config = folder / "room.toml"
    config.write_text(text, encoding="utf-8")
    return config


def _timezone() -> str:
    """This PC's zone where it can be told, for the daemon and for the clocks of the simulated devices."""
    link = Path("/etc/localtime")
    linked = str(link.resolve()).partition("zoneinfo/")[2] if link.is_symlink() else ""
    for zone in (os.environ.get("TZ", "").removeprefix(":"), linked):
        try:
            return ZoneInfo(zone).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return "UTC"


class _Room:
    """The simulated room, in a process of its own."""

    def __init__(self, plan: Path, zone: str) -> None:
        command = [sys.executable, "-m", "devicebridge", "simulate", "--room", str(plan), "--timezone", zone]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **APART)
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.opened: dict[str, Any] = {}

    def __enter__(self) -> _Room:
        try:
            self.opened = json.loads(self._lines.get(timeout=START_TIMEOUT_S))["room"]
        except (queue.Empty, ValueError):
            self.close()
            raise CommandError("the simulated room did not start") from None
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def report_to(self, ledger: Ledger) -> None:
        while not self._lines.empty():
            if event := self._lines.get():
                ledger.report(json.loads(event), time.monotonic())

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def close(self) -> None:
        """Ends the measurements; those under way are reported as aborted."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(STOP_TIMEOUT_S)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(b"")


@contextmanager
def _daemon(config: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "devicebridge", "run", "-c", str(config)]
    output = folder / "daemon.err"
    with output.open("wb") as errors, kept(command, errors) as process:
        yield process
    if process.returncode:
        tell(output.read_text(errors="replace").strip())
