"""A broker for a demonstration: a mosquitto child process where one is found, else amqtt in a child process.

Loopback only, anonymous, nothing kept: never for patients. amqtt speaks MQTT 3.1.1, where refusals cannot be seen.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .kept import kept

START_TIMEOUT_S = 10.0

_ELSEWHERE = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", r"C:\Program Files\mosquitto")
"""Where installers put mosquitto without putting it on everybody's PATH."""

_MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
max_queued_messages 0
"""

_AMQTT = """\
listeners:
  default:
    type: tcp
    bind: 127.0.0.1:{port}
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin:
    allow_anonymous: true
"""


class NoBroker(Exception):
    """One sentence: why none can be started and what to do."""


@dataclass(frozen=True, slots=True)
class Broker:
    name: str
    port: int
    protocol: Literal["5", "3.1.1"]


@contextmanager
def broker(folder: Path, *, prefer: str | None = None) -> Iterator[Broker]:
    """A running broker while entered. prefer: "mosquitto" or "amqtt" only. Raises NoBroker."""
    port = free_port()
    program = None if prefer == "amqtt" else find_mosquitto()
    if program:
        command, found = _mosquitto(program, folder, port), Broker("mosquitto", port, "5")
    elif prefer != "mosquitto" and importlib.util.find_spec("amqtt"):
        command, found = _amqtt(folder, port), Broker("amqtt", port, "3.1.1")
    else:
        raise NoBroker('no broker to start; install mosquitto, or: pip install "devicebridge[demo]"')
    with (folder / "broker.log").open("wb") as log, kept(command, log) as process:
        _await_listening(process, port)
        yield found


def find_mosquitto() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=os.pathsep.join(_ELSEWHERE))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _mosquitto(program: str, folder: Path, port: int) -> list[str]:
    config = folder / "mosquitto.conf"
    config.write_text(_MOSQUITTO.format(port=port))
    return [program, "-c", str(config)]


def _amqtt(folder: Path, port: int) -> list[str]:
    config = folder / "amqtt.yaml"
    config.write_text(_AMQTT.format(port=port))
    return [sys.executable, "-m", "amqtt.scripts.broker_script", "-c", str(config)]


def _await_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NoBroker(f"the broker ended at once (exit code {process.returncode})")
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise NoBroker(f"the broker did not answer within {START_TIMEOUT_S:g} s")
