"""F59: what comes from a simulated room says so wherever it goes, and a simulated radio is refused anywhere else."""

from __future__ import annotations

import json
from pathlib import Path

from devicebridge.testing.broker import Broker
from devicebridge_simulators.openbci import LEADS, heart, scenario
from support.daemon import Daemon, Inbox, wait_for
from support.serial_device import nonin_on_tcp, on_tcp


def test_f59_each_message_of_a_simulated_room_says_so(broker: Broker, received: Inbox, tmp_path: Path) -> None:
    with nonin_on_tcp("spot") as port, on_tcp(scenario("a minute", heart(72, 60)), speed=1) as board:
        leads = json.dumps([lead.value for lead in LEADS])
        devices = (
            f'[devices.oximeter]\ndriver = "nonin"\nport = "{port}"\n'
            f'[devices.leads]\ndriver = "openbci"\nport = "{board}"\noptions = {{ leads = {leads} }}\n'
        )
        with Daemon(tmp_path, broker, devices) as daemon:
            daemon.wait_ready()
            wait_for(lambda: received.readings, "a reading")
            wait_for(lambda: received.latest("/leads/wave"), "the live trace")
            strip = daemon.run("ekg", "record", "leads", "-c", str(daemon.config), "--seconds", "1")
            assert strip.returncode == 0, strip.stderr
            wait_for(lambda: any(r["kind"] == "ecg" for r in received.readings), "the strip")
            assert (received.latest("/exam-1/status") or {})["simulated"] is True
            exported = daemon.run("outbox", "export", "-c", str(daemon.config)).stdout.splitlines()
            assert daemon.stop() < 3
    sent = [json.loads(m.payload) for m in received.drain() if "/reading/" in m.topic or m.topic.endswith("/wave")]
    for message in [*sent, *map(json.loads, exported)]:
        assert message["simulated"] is True


def test_f59_a_simulated_radio_is_refused_where_the_config_does_not_say_simulated(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, Broker("none", 1, "5"), '[bluetooth]\nradio = "simulated"\n')
    daemon.start()
    daemon.kill()
    daemon.config.write_text(daemon.config.read_text().replace("simulated = true\n", ""))
    ended = daemon.run("run", "-c", str(daemon.config))
    assert ended.returncode == 78
    assert "bluetooth.radio is a simulated one; set simulated = true" in ended.stderr
