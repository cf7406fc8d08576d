"""An EKG strip of a board whose packets have no number, and the readings beside it, all the way to the broker."""

from __future__ import annotations

import json
from pathlib import Path

from devicebridge.testing.broker import Broker
from devicebridge_simulators.healthypi import healthypi5, heart, scenario
from support.daemon import Daemon, Inbox, wait_for
from support.serial_device import on_tcp

RECORDED_S = 2
SENT = [count + n for n, count in enumerate(heart("healthypi5", 72, 60))]
"""With a drift, so that no two stretches of it are the same."""


def test_a_healthypi_gives_the_strip_and_the_readings(broker: Broker, received: Inbox, tmp_path: Path) -> None:
    minute = scenario("a minute", [healthypi5(count, 97, 72) for count in SENT], [(count,) for count in SENT])
    with on_tcp(minute, speed=1) as port:
        config = f'[devices.chest]\ndriver = "healthypi"\nport = "{port}"\noptions = {{ steady_s = 2 }}\n'
        with Daemon(tmp_path, broker, config) as daemon:
            daemon.wait_ready()
            wait_for(lambda: received.latest("/chest/wave"), "the live trace")
            answer = daemon.run(
                "ekg", "record", "chest", "-c", str(daemon.config), "--seconds", f"{RECORDED_S}", "--json"
            )
            assert answer.returncode == 0, answer.stderr
            told = json.loads(answer.stdout)
            strip = wait_for(lambda: next((r for r in received.readings if r["id"] == told["id"]), None), "the strip")
            oximetry = wait_for(
                lambda: next((r for r in received.readings if r["kind"] == "pulse-oximetry"), None), "the oxygen"
            )
    samples = [int(word) for word in strip["strip"]["leads"][0]["data"].split(" ")]
    assert len(samples) == RECORDED_S * 128
    assert samples in [SENT[first : first + len(samples)] for first in range(len(SENT))]
    assert strip["quality"] == "ok"
    assert [value["value"] for value in oximetry["values"]] == [97]
    assert {r["kind"] for r in received.readings} == {"ecg", "pulse-oximetry"}
