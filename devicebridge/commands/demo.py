"""devicebridge demo: a broker, a simulated room, the daemon, and the readings as a subscriber receives them.

Every part is a process of its own and the links between them are the real ones. At the end what the simulated
devices measured is compared, value by value, with what came out of the broker.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..config import BrokerConfig
from ..subscriber import Message, NoBroker, subscription
from ..testing import broker as brokers
from ..testing.room import DEMO
from ..topics import ROOT
from .errors import CommandError
from .watch import line as shown
from .watch import printable

SITE, ROOM = "demo", "exam-1"
START_TIMEOUT_S = 20.0
SETTLE_S = 5.0
"""How long the end waits for readings that are on their way."""
STOP_TIMEOUT_S = 5.0
POLL_S = 0.1

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

_Measured = tuple[str, tuple[tuple[str, str], ...]]
"""A device and what it measured: names with normalized values or the reasons of their absence."""


@dataclass
class Ledger:
    """What was measured, against what arrived."""

    measured: Counter[_Measured] = field(default_factory=Counter)
    unfinished: Counter[_Measured] = field(default_factory=Counter)
    arrived: Counter[_Measured] = field(default_factory=Counter)
    ids: Counter[tuple[str, int]] = field(default_factory=Counter)
    said: dict[str, str] = field(default_factory=dict)
    """The last status text of each device."""
    is_closed: bool = False
    """The devices are being taken away: what their status says from here on is of no interest."""

    def report(self, event: dict[str, Any]) -> None:
        for phase, kept in (("measured", self.measured), ("aborted", self.unfinished)):
            if phase in event:
                kept.update(_measured(event[phase], expected["values"]) for expected in event["expected"])

    def receive(self, reading: dict[str, Any]) -> None:
        key = (str(reading["id"]), int(reading["revision"]))
        self.ids[key] += 1
        if self.ids[key] == 1:
            values = {v["name"]: str(v.get("value", v.get("absent"))) for v in reading["values"]}
            self.arrived[_measured(reading["device"]["name"], values)] += 1

    @property
    def lost(self) -> int:
        return (self.measured - self.arrived).total()

    @property
    def invented(self) -> int:
        return (self.arrived - self.measured - self.unfinished).total()

    @property
    def duplicated(self) -> int:
        return self.ids.total() - len(self.ids)

    def summary(self) -> dict[str, int]:
        return {
            "emitted": self.measured.total() + (self.arrived & self.unfinished).total(),
            "received": len(self.ids),
            "lost": self.lost,
            "duplicated": self.duplicated,
            "invented": self.invented,
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, metavar="N", help="end by itself; else Ctrl-C ends it")
    parser.add_argument("--room", type=Path, default=DEMO, metavar="FILE", help="another room file")
    parser.add_argument("--broker", choices=("mosquitto", "amqtt"), help="this one only")
    parser.add_argument("--json", action="store_true", help="readings as JSON lines; all else on standard error")


def run(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="devicebridge-demo-", ignore_cleanup_errors=True) as folder:
        try:
            return _demo(args, Path(folder))
        except (brokers.NoBroker, NoBroker) as error:
            raise CommandError(str(error)) from None


def _demo(args: argparse.Namespace, folder: Path) -> int:
    ledger = Ledger()
    with ExitStack() as stack:
        broker = stack.enter_context(brokers.broker(folder, prefer=args.broker))
        _tell(f"broker: {broker.name}, MQTT {broker.protocol}, 127.0.0.1:{broker.port}")
        if broker.protocol != "5":
            _tell("        (MQTT 3.1.1: a reading the broker refuses cannot be told from one it took)")
        room = stack.enter_context(_Room(args.room))
        config = _write_config(folder, broker, room.opened)
        settings = BrokerConfig(addresses=(f"127.0.0.1:{broker.port}",), protocol=broker.protocol)
        messages = stack.enter_context(subscription(settings, f"{ROOT}/{SITE}/{ROOM}/#"))
        daemon = stack.enter_context(_daemon(config, folder))
        _tell(f"room:   {', '.join(room.opened['devices'])} (simulated; nobody is measured)")
        try:
            _follow(args, room, messages, ledger, daemon)
        except KeyboardInterrupt:
            _tell("")
        ledger.is_closed = True
        room.close()
        _settle(args, room, messages, ledger)
    return _conclude(ledger)


def _follow(
    args: argparse.Namespace,
    room: _Room,
    messages: queue.Queue[Message],
    ledger: Ledger,
    daemon: subprocess.Popen[bytes],
) -> None:
    """Shows what arrives until the time is over."""
    end_s = time.monotonic() + args.seconds if args.seconds is not None else float("inf")
    while time.monotonic() < end_s:
        if daemon.poll() is not None:
            raise CommandError(f"the daemon ended (exit code {daemon.returncode})")
        _take(args, messages, ledger, POLL_S)
        room.report_to(ledger)


def _settle(args: argparse.Namespace, room: _Room, messages: queue.Queue[Message], ledger: Ledger) -> None:
    """Waits for what is on its way; not for what a device had not finished to measure."""
    end_s = time.monotonic() + SETTLE_S
    room.report_to(ledger)
    while ledger.lost and time.monotonic() < end_s:
        _take(args, messages, ledger, POLL_S)
        room.report_to(ledger)
    while _take(args, messages, ledger, POLL_S):
        pass


def _take(args: argparse.Namespace, messages: queue.Queue[Message], ledger: Ledger, timeout_s: float) -> bool:
    try:
        message = messages.get(timeout=timeout_s)
    except queue.Empty:
        return False
    if "/reading/" in message.topic or message.topic.endswith("/quarantine"):
        ledger.receive(json.loads(message.payload, parse_float=Decimal))
        print(message.payload.decode() if args.json else shown(message.payload), flush=True)
    elif not args.json and not ledger.is_closed:
        _show_status(json.loads(message.payload), ledger)
    return True


def _show_status(status: dict[str, Any], ledger: Ledger) -> None:
    """A device's status, when it says something new."""
    device, text = status.get("device"), status.get("text")
    if device and text and ledger.said.get(device) != text:
        ledger.said[device] = text
        print(printable(f"{status['as_of'][11:19]}  {ROOM:8} {device:14} ({text})"), flush=True)


def _conclude(ledger: Ledger) -> int:
    summary = ledger.summary()
    _tell(", ".join(f"{word} {count}" for word, count in summary.items()))
    return 1 if ledger.lost or ledger.duplicated or ledger.invented else 0


def _measured(device: str, values: dict[str, str]) -> _Measured:
    return device, tuple(sorted(values.items()))


def _write_config(folder: Path, broker: brokers.Broker, opened: dict[str, Any]) -> Path:
    text = CONFIG.format(
        site=SITE,
        room=ROOM,
        timezone=_timezone(),
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
    """This PC's zone, which the simulated devices' clocks show."""
    link = Path("/etc/localtime")
    _, found, zone = str(link.resolve()).partition("zoneinfo/") if link.is_symlink() else ("", "", "")
    return zone if found and zone else os.environ.get("TZ") or "UTC"


class _Room:
    """The simulated room, in a process of its own."""

    def __init__(self, plan: Path) -> None:
        command = [sys.executable, "-m", "devicebridge", "simulate", "--room", str(plan)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **_apart())
        self._lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
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
                ledger.report(json.loads(event))

    def close(self) -> None:
        """Ends the measurements; those under way are reported as aborted."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        _wait(self._process)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(b"")


@contextmanager
def _daemon(config: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "daemon.err").open("wb") as errors:
        command = [sys.executable, "-m", "devicebridge", "run", "-c", str(config)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=errors, **_apart())
        try:
            yield process
        finally:
            _stop(process)
            if process.returncode not in (0, None):
                _tell((folder / "daemon.err").read_text(errors="replace").strip())


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        if sys.platform == "win32":
            process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            process.terminate()
    _wait(process)


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _apart() -> dict[str, Any]:
    """Ctrl-C in the terminal is for the demo, which ends its parts in order."""
    return {"creationflags": 0x200} if os.name == "nt" else {"start_new_session": True}


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
