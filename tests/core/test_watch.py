"""devicebridge watch: whatever the broker carries, the terminal stays the reader's own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import paho.mqtt.client as mqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from devicebridge import cli
from devicebridge.commands.watch import NO_READING, line, show
from support import mosquitto

CONFIG = """\
[site]
id = "clinic"
room = "exam-1"
timezone = "America/Chicago"
[broker]
addresses = ["127.0.0.1:{port}"]
[outbox]
path = "outbox.db"
"""
READING = {
    "id": "76ceb060-7a62-5352-b148-a4026b4b226d",
    "room": "exam-1",
    "device": {"name": "cuff"},
    "measured_at": "2026-11-21T10:32:05-06:00",
    "received_at": "2026-11-21T10:32:07-06:00",
    "clock": "ok",
    "origin": "live",
    "quality": "ok",
    "state": "preliminary",
    "status": [],
    "values": [{"name": "systolic", "value": 128, "unit": "mm[Hg]"}],
}
FOREIGN = {
    "no JSON": b"\x1b[2Jhello",
    "no text": b"\xff\xfe",
    "too deep": b"[" * 100_000,
    "deep, and whole": b'{"a":' * 900 + b"1" + b"}" * 900,
    "a number without end": b'{"measured_at": "x", "values": [{"name": "a", "value": 1E99999999999999999999}]}',
    "a number that would fill the memory": b'{"value": 1E999999999}',
    "not a number": b'{"value": NaN}',
    "a list": b"[1, 2]",
    "a word": b'"reading"',
}


@pytest.mark.parametrize("payload", FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_reading_is_one_line_and_never_raises(payload: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    assert line(payload) == NO_READING
    show(payload, as_json=True)
    said = capsys.readouterr()
    if said.out:  # deep, and whole: it depends on the stack
        assert json.loads(said.out)
    else:
        assert said.err == f"{NO_READING}\n"


@given(
    st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(lambda tree: json.dumps(tree).encode())
)
def test_nor_does_any_message_whatever(payload: bytes) -> None:
    assert line(payload).isprintable()


def test_a_reading_keeps_its_digits_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    show(b'{"values": [{"value": 37.60, "unit": "Cel"}], "clock_offset_s": null}', as_json=True)
    assert capsys.readouterr().out == '{"values": [{"value": 37.60, "unit": "Cel"}], "clock_offset_s": null}\n'


def test_no_escape_sequence_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """C0, DEL, C1 (8-bit CSI), and the override of the writing direction."""
    hostile = {**READING, "device": {"name": "\x1b[2J\x07\x7f\x9b31m\u202e"}}
    payload = json.dumps(hostile, ensure_ascii=False).encode()
    for as_json in (True, False):
        show(payload, as_json=as_json)
        assert capsys.readouterr().out.rstrip("\n").isprintable()


@pytest.mark.parametrize("room", ["#", "+/#", "exam/1", "Exam 1", "", "$SYS"])
def test_a_room_that_is_none_is_wrong_use(room: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "room.toml"
    config.write_text(CONFIG.format(port=1))
    assert cli.main(["watch", "-c", str(config), "--room", room]) == 64
    assert "give its id" in capsys.readouterr().err


def test_a_password_file_that_is_missing_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "room.toml"
    config.write_text(CONFIG.format(port=1).replace("[outbox]", 'username = "u"\npassword_file = "absent"\n[outbox]'))
    assert cli.main(["watch", "-c", str(config)]) == 69
    assert "the password file cannot be read; check broker.password_file" in capsys.readouterr().err


@contextmanager
def watching(config: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "devicebridge", "watch", "-c", str(config), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def publish(port: int, payload: str) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    topic = "devicebridge/v1/clinic/exam-1/cuff/reading/blood-pressure"
    client.publish(topic, payload, qos=1, retain=True).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def test_watch_says_once_that_the_broker_went_and_once_that_it_is_back(tmp_path: Path) -> None:
    if mosquitto.find() is None:
        pytest.skip("mosquitto is not installed")
    with mosquitto.Mosquitto(tmp_path / "broker") as broker:
        config = tmp_path / "room.toml"
        config.write_text(CONFIG.format(port=broker.port))
        publish(broker.port, json.dumps(READING))
        with watching(config) as watch:
            assert "SYS 128 mm[Hg]" in _line(watch.stdout)
            broker.kill()
            assert _line(watch.stderr) == "the broker has gone; waiting for it\n"
            broker.start()
            assert _line(watch.stderr) == "the broker is back\n"
            publish(broker.port, json.dumps({**READING, "room": "exam-1"}))
            assert "SYS 128 mm[Hg]" in _line(watch.stdout)


def test_watch_prints_json_that_is_json(tmp_path: Path) -> None:
    if mosquitto.find() is None:
        pytest.skip("mosquitto is not installed")
    with mosquitto.Mosquitto(tmp_path / "broker") as broker:
        config = tmp_path / "room.toml"
        config.write_text(CONFIG.format(port=broker.port))
        publish(broker.port, "\x1b]0;owned\x07")
        with watching(config, "--json") as watch:
            assert _line(watch.stderr) == f"{NO_READING}\n"
            publish(broker.port, json.dumps(READING))
            assert json.loads(_line(watch.stdout)) == READING


def _line(stream: IO[str] | None) -> str:
    """The test's own time-out is the limit."""
    assert stream is not None
    read: Callable[[], str] = stream.readline
    return read()
