"""The README's first command, with each of its brokers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from devicebridge.testing.broker import find_mosquitto


@pytest.mark.long
@pytest.mark.parametrize("broker", ["mosquitto", "amqtt"])
def test_the_demo_loses_doubles_and_invents_nothing(broker: str) -> None:
    if broker == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    words = [sys.executable, "-m", "devicebridge", "demo", "--seconds", "22", "--json", "--broker", broker]
    result = subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)
    assert result.returncode == 0, result.stderr
    readings = [json.loads(line) for line in result.stdout.splitlines()]
    assert {r["kind"] for r in readings} == {"blood-pressure", "pulse-oximetry"}
    assert all(r["simulated"] for r in readings)
    summary = dict(part.rsplit(" ", 1) for part in result.stderr.splitlines()[-1].split(", "))
    assert int(summary["received"]) == int(summary["emitted"]) == len(readings) >= 3
    assert (summary["lost"], summary["duplicated"], summary["invented"]) == ("0", "0", "0")
    assert f"broker: {broker}" in result.stderr
    assert ("MQTT 3.1.1: a reading the broker refuses" in result.stderr) == (broker == "amqtt")
