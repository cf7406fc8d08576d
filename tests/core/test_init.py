"""devicebridge init: a config that loads, for this PC, and nothing that was there is touched."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from devicebridge import cli
from devicebridge.commands.init import config_text
from devicebridge.commands.schema import schema
from devicebridge.config import load, parse
from devicebridge.links.serial_ports import AttachedPort
from devicebridge.pairing.discover import Cable
from devicebridge.pairing.recognise import Recognition
from devicebridge.zone import is_zone, local_zone

ANSWERS = {"site": "main-street", "room": "exam-3", "broker": "localhost", "timezone": "America/Chicago"}
FLAGS = [f"--{name}={answer}" for name, answer in ANSWERS.items()]


def test_what_it_writes_loads_and_points_to_its_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "room.toml"
    assert cli.main(["init", "-c", str(file), *FLAGS]) == 0
    config = load(file)
    assert (config.site.id, config.site.room, config.site.timezone) == ("main-street", "exam-3", "America/Chicago")
    assert config.broker.addresses == ("localhost",)
    assert not config.devices
    pointer = file.read_text().splitlines()[0].removeprefix("#:schema ")
    assert json.loads((tmp_path / pointer).read_text()) == schema("config")
    assert str(file) in capsys.readouterr().out


def test_it_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, schema_file = tmp_path / "room.toml", tmp_path / "config.schema.json"
    file.write_text("mine")
    assert cli.main(["init", "-c", str(file), *FLAGS]) == 78
    assert "is there already and was left alone" in capsys.readouterr().err
    schema_file.write_text("mine too")
    assert cli.main(["init", "-c", str(tmp_path / "other.toml"), *FLAGS]) == 0
    assert (file.read_text(), schema_file.read_text()) == ("mine", "mine too")


def test_answers_that_no_config_may_have_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "room.toml"
    flags = ["--site=Main St", "--room=exam-3", "--broker=a b", "--timezone=Mars/Olympus"]
    assert cli.main(["init", "-c", str(file), *flags]) == 64
    said = capsys.readouterr().err
    assert 'site.id: "Main St" is not allowed here; use lower-case letters' in said
    assert '"Mars/Olympus" is not an IANA time zone' in said
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_it_says_what_it_lacks(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "devicebridge", "init", "-c", str(tmp_path / "x.toml"), "--site=a"]
    made = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert made.returncode == 64
    assert "give --room, --broker" in made.stderr


def cable(product: str | None, *drivers: str, usb: tuple[int, int] | None = (0x0403, 0x6001)) -> Cable:
    port = AttachedPort(device="/dev/ttyUSB0", usb=usb, serial_number="A1", product=product)
    return Cable(port=port, drivers=tuple(Recognition(d, "", 0) for d in drivers), device=None, is_twin=False)


def test_ports_are_suggestions_that_work_once_the_comment_signs_are_gone(tmp_path: Path) -> None:
    text = config_text(ANSWERS, [cable("FT232R", "nonin", "masimo")], tmp_path / "room.toml")
    assert not parse(text, tmp_path / "room.toml").devices
    assert "# FT232R\n" in text
    head, _, tail = text.partition("# FT232R\n")
    config = parse(head + tail.replace("# [", "[").replace("# driver", "driver").replace("# port", "port"), tmp_path)
    assert config.devices["device-1"].driver == "nonin"
    assert config.devices["device-1"].port == "usb:0403:6001:A1"


@pytest.mark.parametrize(
    "name", ['x\n[devices.evil]\ndriver = "nonin"\nport = "COM1"', "\x1b[2J", "\u2028x = 1", "\r\ny = 2"]
)
def test_f49_a_cable_cannot_write_into_the_config(name: str, tmp_path: Path) -> None:
    text = config_text(ANSWERS, [cable(name)], tmp_path / "room.toml")
    assert not parse(text, tmp_path / "room.toml").devices
    assert "\x1b" not in text


@pytest.mark.skipif(sys.platform == "win32", reason="how Linux and macOS keep it")
def test_the_time_zone_of_this_pc(tmp_path: Path) -> None:
    assert local_zone({}, tmp_path) is None
    (tmp_path / "timezone").write_text("Europe/Zurich\n")
    assert local_zone({}, tmp_path) == "Europe/Zurich"
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/America/Chicago")
    assert local_zone({}, tmp_path) == "America/Chicago"
    assert local_zone({"TZ": ":America/Denver"}, tmp_path) == "America/Denver"
    assert local_zone({"TZ": "EST5EDT4,M3.2.0,M11.1.0"}, tmp_path) == "America/Chicago"
    assert local_zone({"TZ": "../../etc/passwd"}, tmp_path) == "America/Chicago"
    assert is_zone("America/Chicago") and not is_zone("America/Chicagoo")
