"""The daemon as a process, the broker it talks to, and what a subscriber of that broker receives."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from devicebridge.config import BrokerConfig
from devicebridge.subscriber import Message, subscription
from devicebridge.testing import broker as brokers

PATIENCE_S = 20.0
SITE, ROOM = "clinic", "exam-1"

CONFIG = """\
simulated = true
[site]
id = "clinic"
room = "exam-1"
timezone = "America/Chicago"
[broker]
addresses = ["127.0.0.1:{port}"]
protocol = "{protocol}"
[outbox]
path = "outbox.db"
reserve_mib = 1
[control]
port = 0
[log]
file = "daemon.log"
"""


def wait_for(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Polls; for what another process does."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {patience_s:g} s")


@contextmanager
def mosquitto(folder: Path) -> Iterator[brokers.Broker]:
    if brokers.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    with brokers.broker(folder, prefer="mosquitto") as broker:
        yield broker


@dataclass
class Daemon:
    """`devicebridge run` in `folder`. `extra`: more TOML, the [devices] tables."""

    folder: Path
    broker: brokers.Broker
    extra: str = ""
    python_path: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def config(self) -> Path:
        return self.folder / "room.toml"

    @property
    def log(self) -> Path:
        return self.folder / "daemon.log"

    def start(self) -> None:
        text = CONFIG.format(port=self.broker.port, protocol=self.broker.protocol)
        self.config.write_text(text + self.extra)
        self.ready_before = self.events("ready")
        with (self.folder / "stderr").open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "devicebridge", "run", "-c", str(self.config)],
                env={**os.environ, "PYTHONPATH": self.python_path, "PYTHONWARNINGS": "default"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    def wait_ready(self) -> None:
        wait_for(lambda: self.events("ready") > self.ready_before or self._ended(), "ready")
        assert not self._ended(), (self.folder / "stderr").read_text()

    def events(self, event: str) -> int:
        if not self.log.exists():
            return 0
        return sum(json.loads(line)["event"] == event for line in self.log.read_text().splitlines() if line)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """How many seconds it took."""
        assert self.process is not None
        began_s = time.monotonic()
        self.process.send_signal(how)
        assert self.process.wait(10) == 0, (self.folder / "stderr").read_text()
        return time.monotonic() - began_s

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A devicebridge command."""
        return subprocess.run(
            [sys.executable, "-m", "devicebridge", *words],
            env={**os.environ, "PYTHONPATH": self.python_path},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def _ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def __enter__(self) -> Daemon:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._ended():
            self.kill()


class Inbox:
    """What a subscriber has received so far."""

    def __init__(self, messages: queue.Queue[Message]) -> None:
        self._queue = messages
        self.messages: list[Message] = []

    def drain(self) -> list[Message]:
        while not self._queue.empty():
            self.messages.append(self._queue.get())
        return self.messages

    @property
    def readings(self) -> list[dict[str, Any]]:
        return [json.loads(m.payload) for m in self.drain() if "/reading/" in m.topic]

    def latest(self, topic_end: str) -> dict[str, Any] | None:
        found = [m for m in self.drain() if m.topic.endswith(topic_end)]
        return json.loads(found[-1].payload) if found else None


@contextmanager
def inbox(broker: brokers.Broker, topic: str = "devicebridge/v1/#") -> Iterator[Inbox]:
    settings = BrokerConfig(addresses=(f"127.0.0.1:{broker.port}",), protocol=broker.protocol)
    with subscription(settings, topic) as messages:
        yield Inbox(messages)
