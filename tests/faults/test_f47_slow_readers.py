"""F47, as far as there is anything to read from: a hundred who connect to the control endpoint and say nothing, say
half a request, or ask for everything and read none of it. The devices are read, and who asks properly is answered."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from pathlib import Path

import psutil

from devicebridge.testing.broker import Broker
from support.daemon import Daemon, Inbox, wait_for
from support.serial_device import nonin_on_tcp

CONNECTIONS = 100
GROWTH_MAX_MIB = 48
"""The endpoint's own code, which is read at the first request, is the most of it."""


def test_f47_a_hundred_slow_readers_of_the_control_endpoint_keep_nobody_waiting(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        port = stack.enter_context(nonin_on_tcp("spot"))
        device = f'[devices.oximeter]\ndriver = "nonin"\nport = "{port}"\n'
        daemon = stack.enter_context(Daemon(tmp_path, broker, device))
        daemon.wait_ready()
        wait_for(lambda: received.readings, "a reading")
        control = json.loads((tmp_path / "outbox.db.control.json").read_text())
        head = f"Host: 127.0.0.1\r\nX-Devicebridge-Token: {control['token']}\r\n"
        asks = (
            b"",
            f"GET /v1/status HTTP/1.1\r\n{head}".encode(),
            f"GET /v1/outbox/export HTTP/1.1\r\n{head}\r\n".encode(),
        )
        assert daemon.process is not None
        process = psutil.Process(daemon.process.pid)
        before_mib = process.memory_info().rss / 2**20
        for number in range(CONNECTIONS):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", control["port"]), 5))
            connection.sendall(asks[number % len(asks)])
        count = len(received.readings)
        wait_for(lambda: len(received.readings) > count + 2, "readings all the same")
        assert daemon.run("devices", "-c", str(daemon.config)).returncode == 0
        assert process.memory_info().rss / 2**20 - before_mib < GROWTH_MAX_MIB
        assert daemon.stop() < 3
