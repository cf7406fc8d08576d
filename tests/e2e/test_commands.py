"""The commands and the control endpoint of a daemon that runs."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from devicebridge.testing.broker import Broker
from support.daemon import Daemon, wait_for

NOBODY = Broker("none", 1, "5")
"""No broker: the control endpoint does not need one."""


def control_file(daemon: Daemon, outbox: str = "outbox.db") -> Path:
    return daemon.folder / f"{outbox}.control.json"


def post(daemon: Daemon, path: str, body: Mapping[str, Any]) -> tuple[int, str]:
    control = json.loads(control_file(daemon).read_text())
    request = urllib.request.Request(
        f"http://127.0.0.1:{control['port']}{path}",
        data=json.dumps(body).encode(),
        headers={"X-Devicebridge-Token": control["token"]},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_two_daemons_with_their_outboxes_in_one_folder_are_both_reached(tmp_path: Path) -> None:
    class Second(Daemon):
        """Beside the first: another config, with another outbox and log."""

        @property
        def config(self) -> Path:
            text = (tmp_path / "room.toml").read_text().replace('"outbox.db"', '"second.db"')
            config = tmp_path / "second.toml"
            config.write_text(text.replace('"daemon.log"', '"second.log"'))
            return config

    with Daemon(tmp_path, NOBODY) as first, Second(tmp_path, NOBODY) as second:
        files = [control_file(first), control_file(first, "second.db")]
        wait_for(lambda: all(file.exists() for file in files), "both control files")
        for daemon in (first, second):
            assert daemon.run("outbox", "park", "-c", str(daemon.config), "1", "--json").stdout == '{"parked": 0}\n'
        first.stop()
        assert not files[0].exists()
        assert second.run("outbox", "park", "-c", str(second.config), "1", "--json").stdout == '{"parked": 0}\n'


def test_a_folder_in_the_place_of_the_control_file_does_not_end_the_daemon(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, NOBODY)
    control_file(daemon).mkdir()
    with daemon:
        wait_for(lambda: daemon.events("control-unavailable"), "what is wrong, in the log")
        wait_for(lambda: daemon.events("started"), "started")
        assert daemon.stop() < 3
    assert control_file(daemon).is_dir()


def test_a_daemon_leaves_the_control_file_of_another_alone(tmp_path: Path) -> None:
    with Daemon(tmp_path, NOBODY) as daemon:
        wait_for(lambda: daemon.events("started"), "started")
        newer = json.dumps({"port": 1, "token": "of a newer daemon"})
        control_file(daemon).write_text(newer)
        daemon.stop()
    assert control_file(daemon).read_text() == newer


@pytest.mark.parametrize(
    "body",
    [
        {"seqs": [5], "until": "2026-11-21T08:00-06:00"},
        {"seqs": [], "until": "2026-11-21T08:00-06:00"},
        {"seqs": [5], "since": "2026-11-21T08:00-06:00"},
        {"until": "2026-11-21T08:00-06:00"},
        {},
    ],
)
def test_numbers_and_times_together_send_nothing(body: Mapping[str, Any], live: Daemon) -> None:
    assert post(live, "/v1/outbox/resend", body) == (400, "say which readings: by number, or since when")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Daemon(tmp_path_factory.mktemp("live"), NOBODY) as daemon:
        wait_for(lambda: daemon.events("started"), "started")
        yield daemon


def test_garbage_in_a_time_is_wrong_use_with_a_daemon_too(live: Daemon) -> None:
    wrong = live.run("outbox", "export", "-c", str(live.config), "--since", "garbage")
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (64, "", 1)
