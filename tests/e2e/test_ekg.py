"""An EKG strip all the way: the board's bytes, the daemon's process, the broker; and the command that asks for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyedflib
import pytest

from devicebridge.ekg.strip import MISSING
from devicebridge.testing.broker import Broker
from devicebridge_simulators.openbci import LEADS, heart, scenario
from support.daemon import SITE, Daemon, Inbox, inbox, wait_for
from support.mosquitto import Mosquitto
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


def test_a_strip_larger_than_the_broker_takes_is_parked_and_said(board: str, tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", general="max_packet_size 3000") as small:
        broker = Broker("mosquitto", small.port, "5")
        with inbox(broker) as received, Daemon(tmp_path, broker, leads(board)) as daemon:
            daemon.wait_ready()
            wait_for(lambda: (received.latest("/leads/status") or {}).get("state") == "ok", "the board")
            answer = wait_for(lambda: stored(record(daemon, "--seconds", "1", "--json")), "a strip")
            listed = wait_for(lambda: parked(daemon), "the parked strip")
            assert [(row["id"], row["reason"]) for row in listed] == [(answer["id"], "packet-too-large")]
            wait_for(
                lambda: (received.latest("/exam-1/status") or {}).get("outbox", {}).get("parked") == 1, "its being said"
            )
            assert not received.readings


def stored(answer: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return json.loads(answer.stdout) if answer.returncode == 0 else {}


def parked(daemon: Daemon) -> list[dict[str, Any]]:
    said = daemon.run("outbox", "list", "--state", "parked", "--json", "-c", str(daemon.config)).stdout
    return [json.loads(line) for line in said.splitlines()]


CONTINUOUS = '[devices.leads.ekg]\nrecord = "continuous"\nseconds = 1\n'


@pytest.mark.long
def test_f39_killed_at_any_moment_each_strip_is_whole_or_absent(
    board: str, broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    """Strip follows strip, so that every kill meets one under way, and some one that is just being stored."""
    with Daemon(tmp_path, broker, leads(board, CONTINUOUS)) as daemon:
        for turn in range(5):
            daemon.wait_ready()
            before = len(received.readings)
            wait_for(lambda before=before: len(received.readings) > before, "a strip")
            time.sleep(0.93 + 0.03 * turn)  # a strip takes a second: around the end of the next
            daemon.kill()
            daemon.start()
        daemon.wait_ready()
        wait_for(lambda: daemon.events("recording-missing") >= 5, "what is missing")
        daemon.stop()
    strips = {reading["id"]: samples(reading) for reading in received.readings}
    assert len(strips) >= 5
    for strip in strips.values():
        first = SENT.index(strip[0])
        assert strip == SENT[first : first + 250]


def test_a_strip_that_a_stop_ends_is_absent_and_said_so(
    board: str, broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    with Daemon(tmp_path, broker, leads(board)) as daemon:
        daemon.wait_ready()
        wait_for(lambda: received.latest("/leads/wave"), "the live trace")
        with asking(daemon, 30) as asked:
            assert daemon.stop() < 2.5
            _, said = asked.communicate(timeout=10)
        assert asked.returncode == 69, said
        assert "record again" in said
        assert daemon.events("recording-broken") == 1
        assert (received.latest("/leads/status") or {})["counts"]["ekg_recordings_broken"] == 1
        assert not received.readings


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_ends_the_waiting_and_not_the_strip(board: str, broker: Broker, received: Inbox, tmp_path: Path) -> None:
    with Daemon(tmp_path, broker, leads(board)) as daemon:
        daemon.wait_ready()
        wait_for(lambda: received.latest("/leads/wave"), "the live trace")
        with asking(daemon, 4) as asked:
            asked.send_signal(signal.SIGINT)
            _, said = asked.communicate(timeout=10)
        assert (asked.returncode, said) == (
            130,
            "the daemon goes on without you: the strip will be stored and published\n",
        )
        assert not received.readings
        assert len(samples(wait_for(lambda: received.readings, "the strip")[0])) == 1000


@contextmanager
def asking(daemon: Daemon, seconds: int) -> Iterator[subprocess.Popen[str]]:
    """The command, once it has asked."""
    words = ("ekg", "record", "leads", "--seconds", str(seconds), "-c", str(daemon.config))
    command = [sys.executable, "-m", "devicebridge", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asked:
        assert asked.stdout is not None
        assert "keep the patient still" in asked.stdout.readline()
        wait_for(lambda: "a strip is being recorded" in record(daemon).stderr, "the recording")
        yield asked
