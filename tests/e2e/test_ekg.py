"""An EKG strip all the way: the board's bytes, the daemon's process, the broker; and the command that asks for it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyedflib
import pytest

from devicebridge.ekg.strip import MISSING
from devicebridge.testing.broker import Broker
from devicebridge_simulators.openbci import LEADS, heart, scenario
from support.daemon import SITE, Daemon, Inbox, wait_for
from support.serial_device import on_tcp

SENT = heart(72, 60)
LEAD_NAMES = [lead.value for lead in LEADS]


@pytest.fixture
def board() -> Iterator[str]:
    """At its own pace, for a minute."""
    with on_tcp(scenario("a minute", SENT), speed=1) as place:
        yield place


def leads(port: str, more: str = "") -> str:
    names = json.dumps(LEAD_NAMES)
    return f'[devices.leads]\ndriver = "openbci"\nport = "{port}"\noptions = {{ leads = {names} }}\n{more}'


def record(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    return daemon.run("ekg", "record", "leads", "-c", str(daemon.config), *words)


def samples(reading: dict[str, object]) -> list[tuple[int, ...]]:
    columns = [[int(word) for word in lead["data"].split(" ")] for lead in reading["strip"]["leads"]]  # type: ignore[index]
    return list(zip(*columns, strict=True))


def test_a_strip_has_exactly_what_the_board_sent(board: str, broker: Broker, received: Inbox, tmp_path: Path) -> None:
    with Daemon(tmp_path, broker, leads(board)) as daemon:
        daemon.wait_ready()
        wait_for(lambda: received.latest("/leads/wave"), "the live trace")
        answer = record(daemon, "--seconds", "2", "--json")
        assert answer.returncode == 0, answer.stderr
        told = json.loads(answer.stdout)
        reading = wait_for(lambda: next((r for r in received.readings if r["id"] == told["id"]), None), "the strip")
        assert reading["kind"] == "ecg"
        assert reading["quality"] == "ok"
        assert reading["simulated"] is True
        strip = samples(reading)
        assert len(strip) == told["count"] == 500
        first = SENT.index(strip[0])
        assert strip == SENT[first : first + 500]
        assert MISSING not in reading["strip"]["leads"][0]["data"]
        drawn = daemon.run("ekg", "render", "-c", str(daemon.config), "--id", told["id"], "-o", str(tmp_path / "a.svg"))
        assert drawn.returncode == 0, drawn.stderr


def test_the_live_trace_is_what_the_board_sent(board: str, broker: Broker, received: Inbox, tmp_path: Path) -> None:
    with Daemon(tmp_path, broker, leads(board)) as daemon:
        daemon.wait_ready()
        chunks = wait_for(lambda: [m for m in received.drain() if m.topic.endswith("/leads/wave")][:4], "the trace")
        assert chunks[0].topic == f"devicebridge/v1/{SITE}/exam-1/leads/wave"
        for payload in (json.loads(m.payload) for m in chunks):
            first = payload["first_index"]
            assert payload["leads"] == LEAD_NAMES
            assert [tuple(row) for row in zip(*payload["data"], strict=True)] == SENT[
                first : first + len(payload["data"][0])
            ]


def test_f57_a_strip_that_a_kill_ends_is_absent_and_said_so(
    board: str, broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    with Daemon(tmp_path, broker, leads(board, '[devices.leads.ekg]\nrecord = "leads-on"\nseconds = 30\n')) as daemon:
        daemon.wait_ready()
        wait_for(lambda: (received.latest("/leads/wave") or {}).get("first_index", 0) > 3 * 250, "three seconds")
        assert "is being recorded from this device already" in record(daemon).stderr
        daemon.kill()
        daemon.start()
        daemon.wait_ready()
        wait_for(lambda: daemon.events("recording-missing") == 1, "the missing recording")
        wait_for(
            lambda: (received.latest("/leads/status") or {}).get("counts", {}).get("ekg_recordings_broken"), "its count"
        )
        assert not received.readings


def test_what_cannot_be_recorded_is_said(broker: Broker, tmp_path: Path) -> None:
    extra = '[devices.cuff]\ndriver = "suntech"\nport = "socket://127.0.0.1:10"\n'
    with Daemon(tmp_path, broker, leads("socket://127.0.0.1:9") + extra) as daemon:
        daemon.wait_ready()
        silent = record(daemon)
        assert (silent.returncode, "no EKG signal is coming" in silent.stderr) == (69, True)
        unknown = daemon.run("ekg", "record", "cuff", "-c", str(daemon.config))
        assert "no EKG device of that name" in unknown.stderr
        too_long = record(daemon, "--seconds", "999")
        assert "from 1 to 300 seconds" in too_long.stderr
        daemon.stop()
    without = record(daemon)
    assert (without.returncode, "the daemon does not answer" in without.stderr) == (69, True)


def test_edf_of_the_recorded_strip_opens_elsewhere(board: str, broker: Broker, received: Inbox, tmp_path: Path) -> None:
    with Daemon(tmp_path, broker, leads(board)) as daemon:
        daemon.wait_ready()
        wait_for(lambda: received.latest("/leads/wave"), "the live trace")
        assert record(daemon, "--seconds", "1").returncode == 0
        reading = wait_for(lambda: received.readings, "the strip")[0]
        for ending in (".edf", ".bdf"):
            exported = daemon.run("ekg", "export", "-c", str(daemon.config), "-o", str(tmp_path / f"strip{ending}"))
            if exported.returncode == 0:
                break
        assert exported.returncode == 0, exported.stderr
        with pyedflib.EdfReader(exported.stdout.strip()) as file:
            columns = [file.readSignal(n, digital=True).tolist() for n in range(len(LEADS))]
            assert list(zip(*columns, strict=True)) == samples(reading)
