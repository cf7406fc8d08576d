"""The command line at its edges: closed and full streams, Ctrl-C too early, numbers that are none, rooms that end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest

from devicebridge import cli
from devicebridge.outbox import Entry, Outbox
from devicebridge.sdk.driver import SerialSpec
from devicebridge.sdk.simulation import SerialPort, SerialScenario, SerialSimulator, Vitals
from devicebridge.testing.room import Report, Room, RoomDevice, RoomPlan, _SerialPlayer
from support.clock import START, ManualClock
from support.waiting import until

DEMO_ROOM = Path(cli.__file__).with_name("testing") / "rooms/demo.toml"
OXIMETER_ROOM = """\
seed = 1
[[device]]
name = "oximeter"
simulator = "nonin"
first_s = 60
every_s = 60
"""


def run(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "devicebridge", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, **more)


# --- Streams -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize("words", [("drivers",), ("schema", "reading"), ("decode", "nonin", "0181010083")])
def test_a_full_disk_behind_the_output_is_a_sentence(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "devicebridge", *words]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
    assert result.returncode == 69
    assert result.stderr.startswith("devicebridge: the output cannot be written (")
    assert result.stderr.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="a shell that closes streams")
def test_bytes_from_a_closed_standard_input_are_a_sentence() -> None:
    command = f'"{sys.executable}" -m devicebridge decode nonin - <&-'
    result = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=30)
    assert (result.returncode, result.stderr.count("\n")) == (64, 1)
    assert "standard input is closed" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="a shell that closes streams")
def test_a_room_whose_standard_input_is_closed_ends(tmp_path: Path) -> None:
    room = tmp_path / "room.toml"
    room.write_text(OXIMETER_ROOM)
    command = f'"{sys.executable}" -m devicebridge simulate --room "{room}" <&-'
    result = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr
    assert "oximeter" in json.loads(result.stdout.splitlines()[0])["room"]["devices"]


@pytest.mark.skipif(os.name == "nt", reason="SIGINT to one process")
def test_ctrl_c_while_modules_are_imported_shows_no_traceback(tmp_path: Path) -> None:
    slow = tmp_path / "pydantic.py"
    slow.write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "devicebridge", "check", "-c", "room.toml"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
        assert process.wait(10) == 130


# --- simulate ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nonin", "--tcp", "99999"], "--tcp is a port from 1 to 65535, or 0 for any"),
        (["nonin", "--tcp", "-1"], "--tcp is a port from 1 to 65535, or 0 for any"),
        (["nonin", "--speed", "nan"], "--speed is a factor"),
        (["--room", str(DEMO_ROOM), "--timezone", "Mars/Olympus"], "--timezone is an IANA time zone"),
        (["--room", str(DEMO_ROOM), "--timezone", "../etc/passwd"], "--timezone is an IANA time zone"),
    ],
)
def test_simulate_used_wrongly(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulate", *words]) == 64
    assert sentence in capsys.readouterr().err


BROKEN = """\
from devicebridge.sdk.simulation import SerialSimulator
from devicebridge.sdk.driver import SerialSpec

def measure(vitals):
    raise RuntimeError("broken on purpose")

SIMULATOR = SerialSimulator(id="broken", line=SerialSpec(baud=9600), scenarios={}, measure=measure)
"""


def test_a_room_whose_device_breaks_does_not_go_on_as_if_it_lived(tmp_path: Path) -> None:
    package = tmp_path / "broken-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[devicebridge.simulators]\nbroken = broken:SIMULATOR\n")
    (tmp_path / "broken.py").write_text(BROKEN)
    room = tmp_path / "room.toml"
    room.write_text(OXIMETER_ROOM.replace('"nonin"', '"broken"').replace("first_s = 60", "first_s = 0"))
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "devicebridge", "simulate", "--room", str(room)]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.wait(20) == 70


def vitals() -> Vitals:
    return Vitals(
        systolic_mmhg=120,
        diastolic_mmhg=80,
        mean_mmhg=93,
        pulse_per_min=70,
        spo2_percent=97,
        temperature_cel=Decimal("36.6"),
        local_time=datetime(2026, 11, 21, 10, 32),
    )


def test_a_room_goes_on_after_a_host_that_hung_up_while_it_was_measured() -> None:
    async def play(port: SerialPort) -> None:
        await port.write(b"measuring")
        await port.read()

    scenario = SerialScenario(title="says that it measures, and ends when answered", run=play)
    simulator = SerialSimulator(id="x", line=SerialSpec(baud=9600), scenarios={}, measure=lambda measured: scenario)

    async def connect(place: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        port = urlsplit(place).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readexactly(9) == b"measuring"
        return reader, writer

    async def main() -> list[str]:
        reports: list[Report] = []
        plan = RoomPlan(seed=1, device=(RoomDevice(name="x", simulator="x", every_s=0.05),))
        async with _SerialPlayer.host(simulator) as player:
            room = Room(plan, {"x": player}, "", datetime.now)
            running = asyncio.create_task(room.run(reports.append))
            _, writer = await connect(player.place[1])
            writer.close()
            await until(lambda: any(report.phase == "aborted" for report in reports))
            _, writer = await connect(player.place[1])
            writer.write(b"answer")
            await until(lambda: any(report.phase == "measured" for report in reports))
            writer.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return [report.phase for report in reports]

    phases = asyncio.run(main())
    assert phases[:4] == ["measuring", "aborted", "measuring", "measured"]


def test_the_clocks_of_a_room_show_its_zone() -> None:
    from devicebridge.commands.simulate import _clock

    for zone in ("Asia/Tokyo", "America/Chicago"):
        shown = _clock(zone)()
        assert shown.tzinfo is None
        assert abs(shown.replace(tzinfo=ZoneInfo(zone)) - datetime.now(UTC)) < timedelta(seconds=5)


# --- outbox --------------------------------------------------------------------------------------------------------

CONFIG = """\
[site]
id = "clinic"
room = "exam-1"
timezone = "America/Chicago"
[broker]
addresses = ["127.0.0.1:1"]
[outbox]
path = "outbox.db"
reserve_mib = 1
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of an outbox with three readings that were stored a minute apart, from START on; no daemon runs."""
    clock = ManualClock()

    async def fill() -> None:
        path = tmp_path / "outbox.db"
        outbox = Outbox(path, max_bytes=8 << 20, reserve_bytes=1 << 20, keep_s=3600, clock=clock)
        await outbox.open()
        for number in range(3):
            payload = json.dumps({"n": number}).encode()
            await outbox.put([Entry(id=str(number), revision=1, lane="cuff", topic="t", payload=payload, raw=b"")])
            clock.advance(60)
        await outbox.close()

    asyncio.run(fill())
    file = tmp_path / "room.toml"
    file.write_text(CONFIG)
    return file


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ([], [0, 1, 2]),
        (["--since", (START + timedelta(seconds=60)).isoformat()], [1, 2]),
        (["--until", (START + timedelta(seconds=60)).isoformat()], [0]),
        (["--since", (START + timedelta(seconds=30)).isoformat(), "--until", "2026-11-21T10:01:30-06:00"], [1]),
        (["--since", "2026-11-21T09:00-06:00", "--until", "2026-11-21T09:30-06:00"], []),
        (["--state", "sent"], []),
        (["--state", "pending"], [0, 1, 2]),
    ],
)
def test_export_without_a_daemon_takes_the_times_it_was_given(
    words: list[str], numbers: list[int], config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["outbox", "export", "-c", str(config), *words]) == 0
    assert [json.loads(line)["n"] for line in capsys.readouterr().out.splitlines()] == numbers


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["export", "--since", "yesterday"], '"yesterday" is not a time'),
        (["export", "--until", "2026-11-21T08:00"], "a time needs its UTC offset"),
        (["resend", "5", "--until", "2026-11-21T08:00-06:00"], "their numbers, or --since a time"),
        (["resend", "5", "--since", "2026-11-21T08:00-06:00"], "their numbers, or --since a time"),
        (["resend", "--until", "2026-11-21T08:00-06:00"], "their numbers, or --since a time"),
        (["resend"], "their numbers, or --since a time"),
        (["list", "--limit", "-1"], "it is a number from 1 to 1000"),
        (["list", "--limit", "1001"], "it is a number from 1 to 1000"),
    ],
)
def test_outbox_used_wrongly(words: list[str], sentence: str, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["outbox", *words, "-c", str(config)]) == 64
    said = capsys.readouterr()
    assert sentence in said.err
    assert not said.out


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"5", b"null", b"{}", b"\xff", b"[" * 900, b'{"port": null, "token": "x"}',
        b'{"port": [], "token": "x"}',
        b'{"port": 99999, "token": "x"}', b'{"port": 1e999, "token": "x"}', b'{"port": 1, "token": "a\\nb"}',
        b'{"port": 1, "token": "x"}',
    ],
)  # fmt: skip
def test_whatever_stands_in_the_control_file_the_outbox_can_be_listed(
    content: bytes, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.with_name("outbox.db.control.json").write_bytes(content)
    assert cli.main(["outbox", "list", "-c", str(config)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert cli.main(["outbox", "park", "-c", str(config), "1"]) == 69
    assert "start it and try again" in capsys.readouterr().err


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.0 404 Not Found\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\nhello", b"\x00\xff\r\n", b""]
)
def test_another_program_at_the_port_of_a_killed_daemon_is_no_daemon(
    answer: bytes, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            config.with_name("outbox.db.control.json").write_text(json.dumps({"port": port, "token": "t"}))
            return await asyncio.to_thread(cli.main, ["outbox", "list", "-c", str(config)])

    assert asyncio.run(main()) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
