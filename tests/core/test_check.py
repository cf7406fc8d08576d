"""devicebridge check: one line each, with its remedy."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
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
        ('driver = "nonim"\nport = "COM1"', 78, 'no driver "nonim"; did you mean "nonin"?'),
        ('driver = "x"\nport = "COM1"', 78, 'room.toml:11: devices.box.driver: no driver "x"; installed are: '),
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


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ('username = "u"\npassword_file = "absent"', "the password file cannot be read; check broker.password_file"),
        ('username = "u"\npassword_file = "."', "the password file cannot be read; check broker.password_file"),
        ('[broker.tls]\nca_file = "absent"', "a TLS file cannot be used; check ca_file, cert_file and key_file"),
        ('[broker.tls]\nca_file = "room.toml"', "a TLS file cannot be used; check ca_file, cert_file and key_file"),
    ],
)
def test_a_file_of_the_broker_that_cannot_be_read(
    settings: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = check(tmp_path, GOOD.replace("[outbox]", f"{settings}\n[outbox]"), capsys)
    assert code == 69
    assert sentence in out
    assert "outbox.path" in out  # what comes after it is looked at all the same


CUFF = '[devices.cuff]\ndriver = "ble-blood-pressure"\naddress = "C0:00:00:00:00:01"\n'


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ('radio = "nonsuch"', 'bluetooth.radio: no radio "nonsuch"; installed are: system, '),
        ('radio = "simulated"', 'a simulated radio is reached at "tcp:HOST:PORT", not ""; write where'),
        ('radio = "simulated"\nradio_address = "tcp:x"', 'is reached at "tcp:HOST:PORT", not "tcp:x"; write where'),
    ],
)
def test_a_simulated_radio_that_cannot_be_had(
    command: str, settings: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "room.toml"
    file.write_text(f"simulated = true\n{GOOD}[bluetooth]\n{settings}\n{CUFF}")
    assert cli.main([command, "-c", str(file)]) == 78
    said = capsys.readouterr()
    assert sentence in said.out + said.err


def test_a_simulated_radio_that_does_not_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    radio = '[bluetooth]\nradio = "simulated"\nradio_address = "tcp:127.0.0.1:1"\n'
    code, out = check(tmp_path, f"simulated = true\n{GOOD}{radio}{CUFF}", capsys)
    assert code == 69
    assert "BAD  bluetooth: adapter-absent" in out


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"outbox.db"', '"."', "outbox.path: "),
        ('"outbox.db"', '"room.toml/outbox.db"', "outbox.path: "),
        ("[outbox]", '[log]\nfile = "."\n[outbox]', "log.file: "),
        ("[outbox]", '[log]\nfile = "room.toml/log"\n[outbox]', "log.file: "),
    ],
)
def test_what_cannot_be_written_is_found_before_the_daemon_does(
    old: str, new: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = check(tmp_path, GOOD.replace(old, new), capsys)
    assert code == 78
    [bad] = [line for line in out.splitlines() if line.startswith(f"BAD  {sentence}")]
    assert "cannot be written (" in bad
    assert {path.name for path in tmp_path.iterdir()} == {"room.toml"}  # nothing is left behind


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that not even root can write to")
def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(tmp_path, GOOD.replace("outbox.db", "/proc/self/outbox.db"), capsys)
    assert code == 78
    assert "BAD  outbox.path: /proc/self/outbox.db cannot be written" in out


def test_a_file_that_is_no_outbox(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as db:
        db.execute("CREATE TABLE somebody_elses (x)")
    code, out = check(tmp_path, GOOD, capsys)
    assert code == 78
    assert "the file is not an outbox; name another in outbox.path" in out


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


ABOUT_ROOM = 'The room, for example "exam-3".'


def test_each_value_is_shown_with_its_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device = '[devices.box]\ndriver = "nonin"\nport = "socket://127.0.0.1:9"\n[devices.box.options]\nsteady_s = 3\n'
    _, out = check(tmp_path, GOOD + device, capsys)
    file = tmp_path / "room.toml"
    assert f'     site.room = "exam-1"  ({file}:3)' in out
    assert f'     broker.addresses = ["127.0.0.1:1"]  ({file}:6)' in out
    assert "     broker.tls = none  (default)" in out
    assert f"     devices.box.options.steady_s = 3.0  ({file}:14)" in out
    assert "     devices.box.baud = none  (default)" in out


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "room.toml"
    file.write_text(GOOD)
    assert cli.main(["check", "-c", str(file), "--json"]) == 69
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    findings = [line for line in lines if "exit_code" in line]
    assert [line["exit_code"] for line in findings] == [0, 69, 0]
    assert all(line.keys() == {"where", "what", "remedy", "exit_code"} for line in findings)
    values = {line["key"]: line for line in lines if "key" in line}
    assert values["site.room"] == {"key": "site.room", "value": "exam-1", "source": f"{file}:3", "about": ABOUT_ROOM}
    assert (values["broker.window"]["value"], values["broker.window"]["source"]) == (20, "default")
    assert values["outbox.path"]["value"] == str(tmp_path / "outbox.db")
    assert len(lines) == len(values) + len(findings)
