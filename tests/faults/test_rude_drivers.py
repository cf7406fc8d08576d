"""F48, F51, F52 in the real process: a driver may do its worst, and only its own device suffers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from devicebridge.testing.broker import Broker
from support import rude
from support.daemon import Daemon, Inbox, wait_for
from support.serial_device import nonin_on_tcp


@pytest.fixture
def port() -> Iterator[str]:
    with nonin_on_tcp("spot") as place:
        yield place


@pytest.fixture
def other_port() -> Iterator[str]:
    with nonin_on_tcp("spot") as place:
        yield place


def room(driver: str, port: str, other_port: str) -> str:
    return (
        f'[devices.oximeter]\ndriver = "nonin"\nport = "{port}"\n'
        f'[devices.rude]\ndriver = "{driver}"\nport = "{other_port}"\n'
    )


@pytest.mark.parametrize("driver", ["hangs", "exits", "tells", "tells-late"])
def test_f48_f51_f52_the_others_go_on_and_the_daemon_stops_when_told(
    driver: str, port: str, other_port: str, broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    site = rude.install(tmp_path)
    with Daemon(tmp_path, broker, room(driver, port, other_port), python_path=str(site)) as daemon:
        daemon.wait_ready()
        if driver in ("exits", "tells"):
            wait_for(lambda: (received.latest("/rude/status") or {}).get("state") == "fault", "the fault told")
        wait_for(lambda: len(received.readings) >= 2, "readings of the other device")
        assert daemon.stop() < 2.5
    wait_for(lambda: (received.latest("/exam-1/status") or {}).get("state") == "offline", "offline")
    for device in ("oximeter", "rude"):
        assert (received.latest(f"/{device}/status") or {}).get("state") == "stopped"
    said = daemon.log.read_text() + (tmp_path / "stderr").read_text()
    assert "JANE" not in said
    assert all(json.loads(line) for line in daemon.log.read_text().splitlines())


def test_a_stop_takes_two_seconds_with_a_broker_that_is_frozen_too(
    port: str, tmp_path: Path, frozen_broker: Broker
) -> None:
    with Daemon(tmp_path, frozen_broker, f'[devices.oximeter]\ndriver = "nonin"\nport = "{port}"\n') as daemon:
        wait_for(lambda: daemon.log.exists() and daemon.events("device"), "a start")
        assert daemon.stop() < 2.0
