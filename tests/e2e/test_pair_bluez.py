"""Pairing over the system's own Bluetooth: bleak, D-Bus and a stand-in for BlueZ, from the command to the daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("bumble", reason="the simulated radio needs bumble")

from devicebridge.testing.broker import Broker
from devicebridge.testing.radio import Answer, Manner, Security
from support.bluez import system_bus
from support.cuff_room import CuffRoom, cuff_room
from support.daemon import CONFIG as DAEMON_CONFIG
from support.daemon import Daemon, Inbox, wait_for
from support.screen import screen

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="BlueZ is Linux's")
READ = [124, 81, 95, 72]


@pytest.fixture
def bus() -> Iterator[str]:
    with system_bus() as address:
        yield address


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "devicebridge", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)


def written(folder: Path, room: CuffRoom, broker: Broker) -> Path:
    config = folder / "room.toml"
    config.write_text(DAEMON_CONFIG.format(port=broker.port, protocol=broker.protocol) + room.bluetooth)
    return config


def bonds(config: Path) -> list[tuple[str | None, bool]]:
    rows = [json.loads(line) for line in run("bonds", "-c", config, "--json").stdout.splitlines()]
    return [(row["device"], row["bonded"]) for row in rows]


def test_a_cuff_is_paired_read_by_the_daemon_and_unpaired(
    bus: str, broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    with cuff_room(tmp_path, Security(), bus=bus) as room:
        config = written(tmp_path, room, broker)
        before = config.read_text()
        done = run("pair", "-c", config, "--address", room.address, "--name", "cuff", "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["device"] == {"driver": "ble-blood-pressure", "address": room.address}
        assert told["bonded"]
        assert [value["value"] for value in told["readings"][0]["values"]] == READ
        assert bonds(config) == [("cuff", True)]

        extra = config.read_text().removeprefix(before.removesuffix(room.bluetooth))
        with Daemon(tmp_path, broker, extra) as daemon:
            daemon.wait_ready()
            reading = wait_for(lambda: received.readings, "a reading of the paired cuff")[0]
            assert [value["value"] for value in reading["values"]] == READ
            daemon.stop()
        undone = run("unpair", "cuff", "-c", config)
        assert undone.returncode == 0, undone.stderr
        assert "no longer paired with this PC" in undone.stdout
        assert config.read_text() == before
        assert bonds(config) == []


def test_a_passkey_is_typed_beside_a_running_daemon_which_takes_the_cuff(
    bus: str, broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    with (
        cuff_room(tmp_path, Security(manner=Manner.PASSKEY), bus=bus) as room,
        Daemon(tmp_path, broker, room.bluetooth) as daemon,
    ):
        daemon.wait_ready()
        with screen("pair", "-c", str(daemon.config)) as terminal:
            number = terminal.expect(rf" (\d+)  Simulated BP +{room.address} .*in pairing mode")[1]
            terminal.expect("Type its number:")
            terminal.type(number)
            terminal.expect("six digits that the device shows")
            terminal.type(room.displayed())
            terminal.expect(r"SYS 124 mm\[Hg\]  DIA 81 mm\[Hg\]")
            terminal.expect(r"\[y/n\]")
            terminal.type("y")
            terminal.expect("Name of the device")
            terminal.type("")
            terminal.expect("The running daemon has taken it up")
            assert terminal.end() == 0, terminal.text
        wait_for(lambda: received.readings, "a reading of the paired cuff")
        assert bonds(daemon.config) == [("cuff", True)]
        daemon.stop()


@pytest.mark.parametrize(
    ("security", "flags", "words"),
    [
        (Security(answer=Answer.REFUSE), ("--bond",), "the device refuses; clear its pairings"),
        (Security(manner=Manner.PASSKEY), (), "wants six digits; give those that it shows with --passkey"),
        (Security(manner=Manner.PASSKEY), ("--passkey", "000001"), "the digits were not the device's"),
    ],
)
def test_what_does_not_come_to_a_bond_is_a_sentence_and_leaves_nothing(
    security: Security, flags: tuple[str, ...], words: str, bus: str, broker: Broker, tmp_path: Path
) -> None:
    with cuff_room(tmp_path, security, bus=bus) as room:
        config = written(tmp_path, room, broker)
        before = config.read_text()
        done = run("pair", "-c", config, "--address", room.address, "--name", "cuff", *flags)
        assert (done.returncode, words in done.stderr) == (69, True), done.stderr
        assert config.read_text() == before
        assert bonds(config) == []


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals")
@pytest.mark.parametrize("until", ["six digits that the device shows", r"Is that what the device shows\?"])
def test_ctrl_c_leaves_no_bond_behind(until: str, bus: str, broker: Broker, tmp_path: Path) -> None:
    with cuff_room(tmp_path, Security(manner=Manner.PASSKEY), bus=bus) as room:
        config = written(tmp_path, room, broker)
        with screen("pair", "-c", str(config), "--address", room.address) as terminal:
            terminal.expect("six digits that the device shows")
            if "six digits" not in until:
                terminal.type(room.displayed())
                terminal.expect(until)
            terminal.interrupt()
            assert terminal.end() == 130, terminal.text
            assert "Traceback" not in terminal.text
        assert bonds(config) == []


def test_an_input_that_ends_at_the_passkey_is_a_no_at_once(bus: str, broker: Broker, tmp_path: Path) -> None:
    with cuff_room(tmp_path, Security(manner=Manner.PASSKEY), bus=bus) as room:
        config = written(tmp_path, room, broker)
        with screen("pair", "-c", str(config), "--address", room.address) as terminal:
            terminal.expect("six digits that the device shows")
            terminal.close()
            terminal.expect("pairing was cancelled; nothing was changed here")
            assert terminal.end() == 69, terminal.text
        assert bonds(config) == []
