"""F01, F05, F50: a cable that is pulled, or a port that another program holds, as a person sees it: the status topic
says so within two seconds with what to do, the log has a line for it, and the device is read when the port is there."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import serial

from devicebridge import registry
from devicebridge.sdk.simulation import SerialSimulator
from devicebridge.testing.broker import Broker
from devicebridge.testing.serial_host import End, real_time, serve_pty
from support.daemon import Daemon, Inbox, wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
SHOWN_S = 2.0


@contextmanager
def plugged(path: Path) -> Iterator[None]:
    """An oximeter at a device path, as udev makes them: there while entered, gone afterwards."""
    started, pull = threading.Event(), threading.Event()
    simulator = registry.simulator("nonin")
    assert isinstance(simulator, SerialSimulator)
    spot = simulator.scenarios["spot"]

    async def serve() -> None:
        async with serve_pty(spot, pause=real_time(50), end=End.REPEAT) as host:
            path.unlink(missing_ok=True)
            path.symlink_to(host.port)
            started.set()
            await asyncio.to_thread(pull.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(10)
        yield
    finally:
        pull.set()
        thread.join()


def oximeter(path: Path) -> str:
    return f'[devices.oximeter]\ndriver = "nonin"\nport = "{path}"\n'


def status(received: Inbox) -> dict[str, Any]:
    return received.latest("/oximeter/status") or {}


def said_of_the_device(daemon: Daemon) -> list[tuple[str, str | None]]:
    lines = map(json.loads, daemon.log.read_text().splitlines())
    return [(line["state"], line["reason"]) for line in lines if line["event"] == "device"]


def test_f01_f50_a_pulled_cable_is_shown_within_two_seconds_and_logged_once(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    path = tmp_path / "ttyUSB0"
    with Daemon(tmp_path, broker, oximeter(path)) as daemon:
        with plugged(path):
            daemon.wait_ready()
            wait_for(lambda: received.readings, "a reading")
            wait_for(lambda: status(received).get("state") == "ok", "ok")
        pulled_s = time.monotonic()
        wait_for(lambda: status(received).get("state") == "lost", "the loss shown")
        assert time.monotonic() - pulled_s < SHOWN_S
        assert "Check its cable" in status(received)["text"] or "cable is out" in status(received)["text"]
        with plugged(path):
            before = len(received.readings)
            wait_for(lambda: len(received.readings) > before, "a reading after its return")
            wait_for(lambda: status(received).get("state") == "ok", "ok again")
            daemon.stop()
    said = said_of_the_device(daemon)
    assert len(said) == len(set(said)) + 2, f"once when lost, once when back: {said}"
    assert len({r["id"] for r in received.readings}) == len(received.readings)


def test_f05_a_port_that_another_program_holds_is_busy_and_used_when_it_is_let_go(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    path = tmp_path / "ttyUSB0"
    with plugged(path):
        holder = serial.Serial(str(path.resolve()), exclusive=True)
        with Daemon(tmp_path, broker, oximeter(path)) as daemon:
            wait_for(lambda: status(received).get("reason") == "busy", "busy told")
            assert "Another program" in status(received)["text"]
            assert said_of_the_device(daemon).count(("lost", "busy")) == 1
            holder.close()
            wait_for(lambda: status(received).get("state") == "ok", "in use", 40)
