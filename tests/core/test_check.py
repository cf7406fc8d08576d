"""devicebridge check: one line each, with its remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devicebridge import cli

GOOD = """\
[site]
id = "clinic"
room = "exam-1"
timezone = "America/Chicago"
[broker]
addresses = ["127.0.0.1:1"]
connect_timeout_s = 1
[outbox]
path = "outbox.db"
"""


def check(folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    file = folder / "room.toml"
    file.write_text(text)
    code = cli.main(["check", "-c", str(file)])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out


@pytest.mark.parametrize(
    ("device", "code", "sentence"),
    [
        ('driver = "nonim"\nport = "COM1"', 78, 'no driver "nonim"; installed are: ble-blood-pressure, nonin'),
        ('driver = "nonin"\naddress = "C0:00:00:00:00:01"', 78, "nonin is not a Bluetooth LE device; give its port"),
        ('driver = "ble-blood-pressure"\nport = "COM1"', 78, "is not a serial device; give its Bluetooth address"),
        ('driver = "nonin"\nport = "/dev/ttyUSB0"', 78, "the name of a USB adapter, which changes"),
        ('driver = "nonin"\nport = "usb:0403:6001:NONE"', 69, "not-found; The device is not plugged in."),
        (
            'driver = "nonin"\nport = "socket://127.0.0.1:9"\n[devices.box.options]\nsteady = 3',
            78,
            'devices.box.options.steady: unknown key; did you mean "steady_s"?',
        ),
    ],
)
def test_each_mistake_of_a_device(
    device: str, code: int, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out = check(tmp_path, GOOD + f"[devices.box]\n{device}\n", capsys)
    assert sentence in out
    assert found == code


def test_a_broker_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(tmp_path, GOOD, capsys)
    assert code == 69
    assert "no broker can be reached at 127.0.0.1:1" in out
    assert "ok   " in out


def test_a_config_that_cannot_be_read_is_all_there_is_to_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = check(tmp_path, GOOD.replace("room =", "rom ="), capsys)
    assert code == 78
    assert f'{tmp_path / "room.toml"}:3: site.rom: unknown key; did you mean "room"?' in out
    assert "broker" not in out


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "room.toml"
    file.write_text(GOOD)
    cli.main(["check", "-c", str(file), "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(line.keys() == {"where", "what", "remedy", "exit_code"} for line in lines)
