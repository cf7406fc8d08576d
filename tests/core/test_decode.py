"""devicebridge decode: the shapes of its lines, and that nothing makes it fail."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicebridge import cli, registry


def decode(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert cli.main(["decode", *words]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    """A capture of a physical cuff (derdilla/blood-pressure-monitor-fl, ble_measurement_data_test.dart)."""
    [line] = decode(capsys, "ble-blood-pressure", "167c0056006100e807060f11111b33000000")
    assert line["group"][0] == {
        "name": "systolic",
        "value": 124,
        "unit": "mm[Hg]",
        "raw": {"value": "124", "unit": "mm[Hg]"},
    }
    assert {v["name"]: v["value"] for v in line["group"]} == {
        "systolic": 124,
        "diastolic": 86,
        "mean": 97,
        "pulse-rate": 51,
    }
    del line["group"]
    assert line == {
        "kind": "blood-pressure",
        "status": [],
        "quality": "ok",
        "device_time": "2024-06-15T17:17:27",
        "origin": "live",
    }


def test_an_absent_value_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    """A capture: the cuff showed Err (github.com/derdilla/blood-pressure-monitor-fl/issues/80)."""
    [line] = decode(capsys, "ble-blood-pressure", "16ff07ff07ff07e80706170e230aff070000")
    assert line["group"][0] == {"name": "systolic", "absent": "not-a-number", "unit": "mm[Hg]"}
    assert not any("value" in value for value in line["group"])


def test_a_frame_and_noise(capsys: pytest.CaptureFixture[str]) -> None:
    """pez-globo/pufferfish-software, TestFrameReceiver.cpp: two bytes of noise before a frame."""
    noise, frame = decode(capsys, "nonin", "01810181010083")
    assert noise == {"noise": "0181", "why": "unsynchronised"}
    assert frame["frame"]["raw"] == "0181010083"


@pytest.mark.parametrize("written", [["0181010083"], ["01", "81", "0x01", "00:83"], ["01 81 01 00 83"]])
def test_however_the_bytes_are_written(capsys: pytest.CaptureFixture[str], written: list[str]) -> None:
    assert decode(capsys, "nonin", *written)[0]["frame"]["raw"] == "0181010083"


def test_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    value = "167c0056006100e807060f11111b33000000"
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{value}\n\n{value}\n"))
    assert len(decode(capsys, "ble-blood-pressure", "--characteristic", "2A35", "-")) == 2


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["nonin", "xyz"], 65, "not hexadecimal"),
        (["nonin", "--text", r"\x"], 65, "no byte"),
        (["nonsuch", "00"], 69, 'no driver "nonsuch"; installed are: '),
        (["nonin", "--option", "steady=1", "00"], 64, "steady: Extra inputs are not permitted; options are: "),
    ],
)
def test_wrong_use_is_one_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], code: int, sentence: str
) -> None:
    assert cli.main(["decode", *words]) == code
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert not said.out


@pytest.mark.parametrize("driver", registry.names(registry.DRIVERS))
@settings(max_examples=60)
@given(data=st.binary(min_size=1, max_size=200))
def test_no_bytes_whatever_end_in_anything_but_json_and_zero(driver: str, data: bytes) -> None:
    """Every byte comes out again: in a frame, a group or as noise."""
    out, sys.stdout = sys.stdout, io.StringIO()
    try:
        assert cli.main(["decode", driver, data.hex()]) == 0
        lines = sys.stdout.getvalue().splitlines()
    finally:
        sys.stdout = out
    assert lines
    assert all(json.loads(line).keys() & {"group", "frame", "noise"} for line in lines)


def test_a_reader_that_goes_away_is_no_fault() -> None:
    words = [sys.executable, "-m", "devicebridge", "decode", "nonin", "-"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(b"80486100" * 20_000)
        process.stdin.close()
        os.read(process.stdout.fileno(), 10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 0
