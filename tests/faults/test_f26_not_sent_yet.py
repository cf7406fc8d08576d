"""F26: while the broker is away a person sees how many readings wait on this PC, and that they are safe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devicebridge.testing.broker import Broker
from support import mosquitto
from support.daemon import Daemon, wait_for
from support.mosquitto import Mosquitto
from support.serial_device import nonin_on_tcp


def test_f26_what_is_saved_and_not_sent_is_told_with_its_number_until_it_is_sent(tmp_path: Path) -> None:
    if mosquitto.find() is None:
        pytest.skip("mosquitto is not installed")
    with nonin_on_tcp("spot") as port, Mosquitto(tmp_path / "broker") as broker:
        device = f'[devices.oximeter]\ndriver = "nonin"\nport = "{port}"\n'
        with Daemon(tmp_path, Broker("mosquitto", broker.port, "5"), device) as daemon:
            daemon.wait_ready()

            def waiting() -> list[str]:
                answer = daemon.run("devices", "-c", str(daemon.config), "--json")
                assert answer.returncode == 0, answer.stderr
                told: list[str] = json.loads(answer.stdout)["trouble"]
                return [text for text in told if "not sent yet" in text]

            assert waiting() == []
            broker.kill()
            [said] = wait_for(waiting, "the readings that wait")
            number, _, rest = said.partition(" ")
            assert int(number) > 0
            assert rest == "readings are saved on this PC and not sent yet"
            broker.start()
            wait_for(lambda: not waiting(), "all of them sent", 60)
            assert daemon.stop() < 3
