"""The daemon as its users meet it: status, stopping, the control endpoint, what it logs."""

from __future__ import annotations

import json
import re
import signal
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from devicebridge.testing.broker import Broker
from support.daemon import Daemon, Inbox, wait_for
from support.serial_device import nonin_on_tcp


@pytest.fixture
def port() -> Iterator[str]:
    """A simulated oximeter that is put on a finger again and again."""
    with nonin_on_tcp("spot") as place:
        yield place


def oximeter(port: str) -> str:
    return f'[devices.oximeter]\ndriver = "nonin"\nport = "{port}"\n'


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_readings_and_status_and_a_clean_stop(
    how: signal.Signals, port: str, broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    with Daemon(tmp_path, broker, oximeter(port)) as daemon:
        daemon.wait_ready()
        wait_for(lambda: received.readings, "a reading")
        wait_for(lambda: (received.latest("/oximeter/status") or {}).get("state") == "ok", "status ok")
        room = wait_for(lambda: received.latest("/exam-1/status"), "the room's status")
        assert room["state"] == "online"
        assert room["broker"]["phase"] == "connected"
        assert daemon.stop(how) < 2.0
        wait_for(lambda: (received.latest("/exam-1/status") or {}).get("state") == "offline", "offline")
    emitted = daemon.run("outbox", "list", "-c", str(daemon.config), "--json", "--limit", "1000").stdout
    rows = [json.loads(line) for line in emitted.splitlines()]
    wait_for(lambda: {r["id"] for r in received.readings} >= {row["id"] for row in rows}, "all that was emitted")
    assert {row["state"] for row in rows} == {"sent"}


def test_f35_the_last_will_says_offline_after_a_kill(
    port: str, broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    with Daemon(tmp_path, broker, oximeter(port)) as daemon:
        daemon.wait_ready()
        daemon.kill()
        wait_for(lambda: (received.latest("/exam-1/status") or {}).get("state") == "offline", "the last will")


def test_f40_a_second_daemon_on_the_same_outbox_says_so_and_ends(port: str, broker: Broker, tmp_path: Path) -> None:
    with Daemon(tmp_path, broker, oximeter(port)) as daemon:
        daemon.wait_ready()
        second = daemon.run("run", "-c", str(daemon.config))
        assert second.returncode == 69
        assert "another devicebridge is running with this outbox; stop it first" in second.stderr
        assert "Traceback" not in second.stderr


def test_the_outbox_commands_on_a_live_daemon(port: str, broker: Broker, received: Inbox, tmp_path: Path) -> None:
    with Daemon(tmp_path, broker, oximeter(port)) as daemon:
        daemon.wait_ready()
        first = wait_for(lambda: received.readings, "a reading")[0]
        listed = daemon.run("outbox", "list", "-c", str(daemon.config), "--json")
        row = json.loads(listed.stdout.splitlines()[0])
        assert row["id"] == first["id"]
        assert "values" not in row
        resent = daemon.run("outbox", "resend", "-c", str(daemon.config), str(row["seq"]), "--json")
        assert json.loads(resent.stdout) == {"resent": 1}
        wait_for(lambda: [r["id"] for r in received.readings].count(first["id"]) == 2, "the reading again")
        exported = daemon.run("outbox", "export", "-c", str(daemon.config))
        assert first in [json.loads(line) for line in exported.stdout.splitlines()]
        wrong = daemon.run("outbox", "resend", "-c", str(daemon.config), "--since", "yesterday")
        assert (wrong.returncode, wrong.stderr.count("\n")) == (64, 1)
    without = daemon.run("outbox", "park", "-c", str(daemon.config), "1")
    assert without.returncode == 69
    assert "start it and try again" in without.stderr


def test_f44_f45_the_control_endpoint_is_for_programs_with_the_token(port: str, broker: Broker, tmp_path: Path) -> None:
    with Daemon(tmp_path, broker, oximeter(port)) as daemon:
        daemon.wait_ready()
        file = tmp_path / "outbox.db.control.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        control = json.loads(file.read_text())
        url, token = f"http://127.0.0.1:{control['port']}/v1/status", control["token"]

        def status(**headers: str) -> int:
            request = urllib.request.Request(url, headers={k.replace("_", "-"): v for k, v in headers.items()})
            try:
                with urllib.request.urlopen(request, timeout=5) as response:
                    return int(response.status)
            except urllib.error.HTTPError as error:
                return error.code

        assert status(X_Devicebridge_Token=token) == 200
        assert status() == 401
        assert status(X_Devicebridge_Token="guess") == 401
        assert status(X_Devicebridge_Token=token, Host="evil.example.org") == 403
        assert status(X_Devicebridge_Token=token, Origin="http://127.0.0.1") == 403
        daemon.stop()
        assert not file.exists()


def test_f48_the_log_and_the_status_hold_no_value(port: str, broker: Broker, received: Inbox, tmp_path: Path) -> None:
    with Daemon(tmp_path, broker, oximeter(port)) as daemon:
        daemon.wait_ready()
        reading = wait_for(lambda: received.readings, "a reading")[0]
        daemon.stop()
    log = daemon.log.read_text()
    assert reading["id"] not in log
    assert "spo2" not in log.lower()
    assert not re.search(r'"(value|systolic|pulse-rate)"', log)
    statuses = [m for m in received.drain() if m.topic.endswith("/status")]
    assert not any(b'"values"' in m.payload or reading["id"].encode() in m.payload for m in statuses)


def test_f25_a_broker_that_comes_later_gets_everything_once_and_in_order(
    port: str, broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    absent = Broker("none", 1, "5")
    with Daemon(tmp_path, absent, oximeter(port)) as daemon:
        wait_for(lambda: len(_rows(daemon)) >= 3, "readings on disk")
        daemon.stop()
    waiting = [row["id"] for row in _rows(daemon)]
    daemon.broker = broker
    with daemon:
        wait_for(lambda: len(received.readings) >= len(waiting), "the backlog")
    assert [r["id"] for r in received.readings][: len(waiting)] == waiting


def _rows(daemon: Daemon) -> list[dict[str, str]]:
    listed = daemon.run("outbox", "list", "-c", str(daemon.config), "--json", "--limit", "1000")
    return [json.loads(line) for line in listed.stdout.splitlines()]
