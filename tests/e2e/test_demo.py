"""The README's first command, with each of its brokers; its ends, wanted and not; and what it does not overlook."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

import psutil
import pytest

from devicebridge.commands.ledger import MISSED_S, Ledger
from devicebridge.testing.broker import find_mosquitto
from support.daemon import wait_for

START = Path(__file__).parents[2] / "start.py"
DEMO = [sys.executable, "-m", "devicebridge", "demo", "--json"]
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


@pytest.mark.long
@pytest.mark.parametrize("broker", ["mosquitto", "amqtt"])
def test_the_demo_loses_doubles_and_invents_nothing(broker: str) -> None:
    if broker == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    words = [*DEMO, "--seconds", "22", "--broker", broker]
    result = subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)
    assert result.returncode == 0, result.stderr
    readings = [json.loads(line) for line in result.stdout.splitlines()]
    assert {r["kind"] for r in readings} == {"blood-pressure", "pulse-oximetry"}
    assert all(r["simulated"] for r in readings)
    summary = summary_of(result.stderr)
    assert summary["received"] == summary["emitted"] == len(readings) >= 3
    assert [summary[word] for word in ("lost", "missed", "duplicated", "invented")] == [0, 0, 0, 0]
    assert f"broker: {broker}" in result.stderr
    assert ("MQTT 3.1.1: a reading the broker refuses" in result.stderr) == (broker == "amqtt")


def summary_of(said: str) -> dict[str, int]:
    return {word: int(count) for word, count in (part.rsplit(" ", 1) for part in said.splitlines()[-1].split(", "))}


class Running:
    """A demo that has shown its first reading, and every process that belongs to it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.first = json.loads(process.stdout.readline())
        self.parts = psutil.Process(process.pid).children(recursive=True)

    def part(self, *words: str) -> psutil.Process:
        """The one that was started with such words, not the keeper that started it."""
        [found] = [
            p for p in self.parts if set(words) <= set(p.cmdline()) and "devicebridge.testing.kept" not in p.cmdline()
        ]
        return found

    def end(self, timeout_s: float = 30) -> tuple[int, str]:
        """(exit code, standard error), once it has ended with all its parts."""
        _, said = self.process.communicate(timeout=timeout_s)
        self.wait_for_parts()
        return self.process.returncode, said

    def wait_for_parts(self) -> None:
        wait_for(
            lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in self.parts), "no parts left"
        )


@contextmanager
def running(command: list[str], **env: str) -> Iterator[Running]:
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    streams: dict[str, int | IO[str]] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **streams, text=True, start_new_session=True, env={**os.environ, **env}) as process:  # type: ignore[call-overload]
        demo: Running | None = None
        try:
            demo = Running(process)
            yield demo
        finally:
            for part in demo.parts if demo else ():
                if part.is_running():
                    part.kill()
            process.kill()


def to_the_group(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)


def to_one(number: int) -> Callable[[subprocess.Popen[str]], None]:
    return lambda process: process.send_signal(number)


@posix
@pytest.mark.long
@pytest.mark.parametrize(
    "interrupt",
    [to_the_group, to_one(signal.SIGINT), to_one(signal.SIGTERM), to_one(getattr(signal, "SIGHUP", signal.SIGTERM))],
    ids=["SIGINT to the group", "SIGINT", "SIGTERM", "SIGHUP"],
)
def test_each_way_to_end_start_py_ends_broker_room_and_daemon(
    interrupt: Callable[[subprocess.Popen[str]], None], tmp_path: Path
) -> None:
    with running([sys.executable, str(checkout(tmp_path)), "demo", "--json"]) as demo:
        interrupt(demo.process)
        code, said = demo.end()
    assert code == 0, said
    assert summary_of(said)["received"] >= 1


@posix
@pytest.mark.long
def test_ctrl_c_again_and_again_leaves_nothing_behind() -> None:
    with running(DEMO) as demo:
        while demo.process.poll() is None:
            demo.process.send_signal(signal.SIGINT)
            try:
                demo.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        code, said = demo.end()
    assert code in (0, -signal.SIGINT), said  # the last one may find Python with its handlers gone
    assert summary_of(said)["received"] >= 1


@posix
@pytest.mark.long
def test_a_demo_that_is_killed_takes_its_parts_along() -> None:
    with running(DEMO) as demo:
        demo.process.kill()
        demo.wait_for_parts()


@posix
@pytest.mark.long
def test_a_room_that_dies_is_seen() -> None:
    with running(DEMO) as demo:
        demo.part("simulate").kill()
        code, said = demo.end()
    assert code == 69
    assert "the simulated room ended (exit code -9)" in said


@posix
@pytest.mark.long
def test_a_daemon_that_dies_is_seen() -> None:
    with running(DEMO) as demo:
        demo.part("run", "-c").kill()
        code, said = demo.end()
    assert code == 69
    assert "the daemon ended (exit code 137)" in said


@posix
@pytest.mark.long
def test_a_daemon_that_hangs_at_the_end_is_no_success() -> None:
    with running(DEMO) as demo:
        demo.part("run", "-c").suspend()
        demo.process.send_signal(signal.SIGINT)
        code, said = demo.end(60)
    assert code != 0, said


@pytest.mark.long
def test_the_clocks_of_the_simulated_devices_show_the_zone_of_the_config() -> None:
    with running(DEMO, TZ="Asia/Tokyo") as demo:
        assert demo.first["device"]["name"] == "cuff"
        assert abs(demo.first["clock_offset_s"] or 0) < 60
        assert demo.first["measured_at"].endswith("+09:00")
        apart = datetime.fromisoformat(demo.first["received_at"]) - datetime.fromisoformat(demo.first["measured_at"])
        assert abs(apart.total_seconds()) < 60
        demo.process.terminate()
        demo.end()


def checkout(folder: Path) -> Path:
    """start.py with a .venv that is up to date: this one's Python."""
    from hashlib import sha256

    start = folder / "start.py"
    start.write_bytes(START.read_bytes())
    (folder / "pyproject.toml").write_text("")
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (folder / ".venv/installed-demo").write_text(sha256(sys.version.encode()).hexdigest())
    return start


# --- What it counts ------------------------------------------------------------------------------------------------

EXPECTED = [{"kind": "pulse-oximetry", "values": {"spo2": "97"}}]
READING = {"id": "a", "revision": 1, "device": {"name": "oximeter"}, "values": [{"name": "spo2", "value": 97}]}


def ledger(*events: tuple[str, float], closes_s: float = 60) -> Ledger:
    """Of one device: what it reported when. The room is closed at `closes_s`."""
    kept = Ledger()
    for phase, now_s in events:
        kept.is_closed = now_s >= closes_s
        kept.report({phase: "oximeter", "expected": EXPECTED}, now_s)
    return kept


def test_a_daemon_that_reads_nothing_is_no_success() -> None:
    young = ledger(("measuring", 58), ("aborted", 60))
    assert (young.missed, young.lost) == (1, 0)


def test_a_measurement_that_had_only_begun_is_not_missed_where_others_arrived() -> None:
    kept = ledger(("measuring", 40), ("measured", 50), ("measuring", 58), ("aborted", 60))
    kept.receive(READING)
    assert (kept.missed, kept.lost, kept.invented) == (0, 0, 0)


def test_a_measurement_that_began_long_ago_and_was_never_read_is_missed() -> None:
    kept = ledger(("measuring", 10), ("measured", 20), ("measuring", 60 - MISSED_S - 1), ("aborted", 60))
    kept.receive(READING)
    assert kept.missed == 1


def test_a_measurement_that_was_read_before_it_was_finished_is_not_missed() -> None:
    kept = ledger(("measuring", 10), ("aborted", 60))
    kept.receive(READING)
    assert (kept.missed, kept.lost, kept.invented) == (0, 0, 0)


def test_a_measurement_that_the_daemon_hung_up_on_is_missed() -> None:
    kept = ledger(("measuring", 10), ("measured", 20), ("measuring", 30), ("aborted", 31), ("measuring", 58))
    kept.receive(READING)
    assert kept.missed == 1


def test_nothing_measured_and_nothing_read_is_no_fault() -> None:
    assert not any(Ledger().summary().values())
