"""Pairing as people meet it: by flags, at a real terminal, and with a daemon that then reads the device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("bumble", reason="the simulated radio needs bumble")

from devicebridge.testing.broker import Broker
from devicebridge.testing.radio import Answer, Manner, Security
from support.cuff_room import cuff_room
from support.daemon import CONFIG as DAEMON_CONFIG
from support.daemon import Daemon, Inbox, wait_for
from support.pairing import CONFIG
from support.screen import screen

needs_terminal = pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals")


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "devicebridge", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)


def written(folder: Path, bluetooth: str) -> Path:
    config = folder / "room.toml"
    config.write_text(CONFIG + bluetooth)
    return config


def bonds(config: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in run("bonds", "-c", config, "--json").stdout.splitlines()]


# --- By flags ------------------------------------------------------------------------------------------------------


def test_a_cuff_is_paired_by_flags_read_by_the_daemon_and_unpaired(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    with cuff_room(tmp_path, Security(manner=Manner.JUST_WORKS)) as room:
        before = DAEMON_CONFIG.format(port=broker.port, protocol=broker.protocol) + room.bluetooth
        config = tmp_path / "room.toml"
        config.write_text(before)
        done = run("pair", "-c", config, "--address", room.address, "--name", "cuff", "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["device"] == {"driver": "ble-blood-pressure", "address": room.address}
        assert (told["bonded"], told["daemon_running"]) == (True, False)
        assert [value["value"] for value in told["readings"][0]["values"]] == [124, 81, 95, 72]
        assert config.read_text().startswith(before)
        assert {p.name for p in tmp_path.iterdir()} >= {"room.toml", "room.toml.bak", "keys.json"}
        assert not (tmp_path / "outbox.db").exists()
        assert received.readings == []
        assert [(row["device"], row["bonded"]) for row in bonds(config)] == [("cuff", True)]

        extra = config.read_text().removeprefix(before.removesuffix(room.bluetooth))
        with Daemon(tmp_path, broker, extra) as daemon:
            daemon.wait_ready()
            reading = wait_for(lambda: received.readings, "a reading of the paired cuff")[0]
            assert [value["value"] for value in reading["values"]] == [124, 81, 95, 72]
            daemon.stop()
        undone = run("unpair", "cuff", "-c", config)
        assert undone.returncode == 0, undone.stderr
        assert "no longer paired with this PC" in undone.stdout
        assert config.read_text() == before
        assert bonds(config) == []


def test_a_cuff_is_paired_beside_a_running_daemon_which_takes_it(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    with (
        cuff_room(tmp_path, Security(manner=Manner.PASSKEY)) as room,
        Daemon(tmp_path, broker, room.bluetooth) as daemon,
    ):
        daemon.wait_ready()
        with screen("pair", "-c", str(daemon.config), "--address", room.address, "--name", "cuff") as terminal:
            terminal.expect("six digits")
            terminal.type(room.displayed())
            terminal.expect(r"Is that what the device shows\? \[y/n\]")
            terminal.type("y")
            terminal.expect("The running daemon has taken it up")
            assert terminal.end() == 0
        wait_for(lambda: received.readings, "a reading of the paired cuff")


def test_a_daemon_that_cannot_take_the_device_is_not_said_to(broker: Broker, tmp_path: Path) -> None:
    from support.serial_device import nonin_on_tcp

    with nonin_on_tcp("spot") as port, Daemon(tmp_path, broker) as daemon:
        daemon.wait_ready()
        daemon.config.write_text(daemon.config.read_text().replace('"exam-1"', '"exam-2"'))
        done = run("pair", "-c", daemon.config, "--port", port, "--driver", "nonin", "--name", "oximeter")
        assert done.returncode == 0, done.stderr
        assert "has to be started again:\nsite: has changed;" in done.stderr
        undone = run("unpair", "oximeter", "-c", daemon.config, "--json")
        assert json.loads(undone.stdout) == {"name": "oximeter", "unbonded": False, "daemon_config": "restart-needed"}
        daemon.stop()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--address", "cuff"), 'address: "cuff" is not allowed here; write it as C0:26:DA:01:02:03'),
        (("--address", "C0:26:DA:01:02:03", "--driver", "nope"), 'no driver "nope"; installed are: '),
        (("--address", "C0:26:DA:01:02:03", "--driver", "suretemp"), "suretemp reads no Bluetooth LE devices; "),
        (("--port", "socket://127.0.0.1:9", "--driver", "ble-glucose"), "ble-glucose reads no serial devices; "),
        (("--port", "socket://127.0.0.1:9", "--driver", "nonin", "--baud", "3"), 'baud: "3": input should be greater'),
        (
            ("--port", "socket://127.0.0.1:9", "--driver", "nonin", "--option", "steady=1"),
            'steady: unknown key; did you mean "steady_s"?',
        ),
        (("--port", "socket://127.0.0.1:9", "--driver", "nonin", "--option", "x=1\ny=2"), "--option is KEY=VALUE"),
    ],
)
def test_wrong_words_are_told_at_once_and_how_to_mend_them(flags: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """There is no radio: none is asked."""
    done = run("pair", "-c", written(tmp_path, ""), "--name", "cuff", *flags)
    assert (done.returncode, words in done.stderr) == (64, True), done.stderr
    assert done.stderr.count("\n") == 1


def test_a_config_that_cannot_be_written_is_told_before_anything_is_done(tmp_path: Path) -> None:
    config = written(tmp_path, "")
    config.with_name("room.toml.lock").mkdir()  # in the way, whoever runs this
    done = run("pair", "-c", config, "--address", "C0:26:DA:01:02:03", "--name", "cuff")
    assert done.returncode == 78
    assert "cannot be written" in done.stderr


def test_without_a_terminal_and_without_flags_it_says_what_is_missing(tmp_path: Path) -> None:
    config = written(tmp_path, "")
    done = run("pair", "-c", config)
    assert done.returncode == 64
    assert done.stderr == "devicebridge: there is no terminal to ask at; give --address or --port and --name\n"


@pytest.mark.parametrize(
    ("security", "flags", "words"),
    [
        (Security(answer=Answer.BONDED_ELSEWHERE), ("--bond",), "paired with another PC or phone; undo it there"),
        (Security(answer=Answer.REFUSE), ("--bond",), "the device refuses; clear its pairings"),
        (Security(answer=Answer.VANISH), ("--bond",), "went away in the middle; bring it nearer"),
        (Security(manner=Manner.PASSKEY), (), "wants six digits; give those that it shows with --passkey"),
        (Security(manner=Manner.PASSKEY), ("--passkey", "000001"), "the digits were not the device's"),
    ],
)
def test_what_does_not_come_to_a_bond_is_a_sentence_and_leaves_nothing(
    security: Security, flags: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    with cuff_room(tmp_path, security) as room:
        config = written(tmp_path, room.bluetooth)
        done = run("pair", "-c", config, "--address", room.address, "--name", "cuff", *flags)
        assert (done.returncode, words in done.stderr) == (69, True), done.stderr
        assert "Traceback" not in done.stderr
        assert config.read_text() == CONFIG + room.bluetooth
        assert bonds(config) == []


def test_a_reading_that_does_not_come_undoes_the_bond(tmp_path: Path) -> None:
    with cuff_room(tmp_path, Security()) as room:
        config = written(tmp_path, room.bluetooth)
        words = ("--driver", "ble-blood-pressure", "--seconds", "0.01")
        done = run("pair", "-c", config, "--address", room.address, "--name", "cuff", *words)
        assert done.returncode == 69
        assert "no reading came within 0.01 s; nothing was changed" in done.stderr
        assert config.read_text() == CONFIG + room.bluetooth
        assert bonds(config) == []


def test_a_serial_device_by_flags(tmp_path: Path) -> None:
    from support.serial_device import nonin_on_tcp

    config = written(tmp_path, "")
    with nonin_on_tcp("spot") as port:
        words = ("--port", port, "--driver", "nonin", "--name", "oximeter", "--json")
        done = run("pair", "-c", config, *words)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["readings"][0]["kind"] == "pulse-oximetry"
    again = run("pair", "-c", config, "--port", port, "--driver", "nonin", "--name", "other")
    assert (again.returncode, "is oximeter here already" in again.stderr) == (78, True)
    assert run("unpair", "oximeter", "-c", config).returncode == 0
    assert config.read_text() == CONFIG


def test_f07_another_device_of_the_same_kind_is_refused_where_its_serial_number_is_checked(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    with cuff_room(tmp_path, Security()) as room:
        config = written(tmp_path, room.bluetooth)
        done = run("pair", "-c", config, "--address", room.address, "--name", "cuff", "--check-serial", "--json")
        assert json.loads(done.stdout)["device"]["serial"] == "SIM-BP-1"
        table = config.read_text().removeprefix(CONFIG).replace("SIM-BP-1", "SIM-BP-2")
        with Daemon(tmp_path, broker, table) as daemon:
            daemon.wait_ready()
            status = wait_for(
                lambda: (found := received.latest("/cuff/status") or {}).get("state") == "refused" and found, "refused"
            )
            assert status["reason"] == "unexpected-device"
            assert received.readings == []


def test_a_broken_config_is_a_sentence(tmp_path: Path) -> None:
    config = tmp_path / "room.toml"
    config.write_text("[site\n")
    for words in (("pair", "--address", "C0:26:DA:01:02:03", "--name", "cuff"), ("unpair", "cuff"), ("bonds",)):
        done = run(words[0], "-c", config, *words[1:])
        assert (done.returncode, "is not TOML" in done.stderr) == (78, True), done.stderr
    assert config.read_text() == "[site\n"


def test_scan_tells_what_is_there(tmp_path: Path) -> None:
    with cuff_room(tmp_path, Security()) as room:
        config = written(tmp_path, room.bluetooth)
        done = run("scan", "-c", config, "--seconds", "2", "--json")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        (cuff,) = [row for row in rows if row["link"] == "ble"]
        assert (cuff["address"], cuff["pairing_mode"]) == (room.address, True)
        assert cuff["drivers"] == [{"driver": "ble-blood-pressure", "why": "service 1810"}]
        assert "Simulated BP" in run("scan", "-c", config, "--seconds", "2").stdout


# --- At a terminal -------------------------------------------------------------------------------------------------


@needs_terminal
def test_a_person_chooses_types_the_digits_and_names_the_cuff(tmp_path: Path) -> None:
    with cuff_room(tmp_path, Security(manner=Manner.PASSKEY)) as room:
        config = written(tmp_path, room.bluetooth)
        with screen("pair", "-c", str(config)) as terminal:
            number = terminal.expect(rf" (\d+)  Simulated BP +{room.address} .*in pairing mode")[1]
            terminal.expect("Type its number:")
            terminal.type(number)
            terminal.expect("six digits that the device shows")
            terminal.type("12 34")
            terminal.expect("not six digits")
            terminal.type(room.displayed())
            terminal.expect("Paired.")
            terminal.expect("Take a measurement")
            terminal.expect(r"SYS 124 mm\[Hg\]  DIA 81 mm\[Hg\]")
            terminal.expect(r"\[y/n\]")
            terminal.type("")
            terminal.expect(r"\[y/n\]")
            terminal.type("y")
            terminal.expect(r"Name of the device \(Enter for cuff\):")
            terminal.type("No Name")
            terminal.expect("cannot be a name")
            terminal.type("")
            terminal.expect("cuff is in")
            assert terminal.end() == 0, terminal.text
        assert [(row["device"], row["bonded"]) for row in bonds(config)] == [("cuff", True)]


@needs_terminal
def test_numbers_are_compared_and_a_no_is_a_no(tmp_path: Path) -> None:
    with cuff_room(tmp_path, Security(manner=Manner.COMPARE)) as room:
        config = written(tmp_path, room.bluetooth)
        for answer, words in (("n", "pairing was cancelled"), ("y", "Paired.")):
            room.pairing_mode(True)
            with screen("pair", "-c", str(config), "--address", room.address, "--name", "cuff") as terminal:
                shown = terminal.expect(r"Does the device show (\d{6})\?")[1]
                assert shown == room.displayed()
                terminal.type(answer)
                terminal.expect(words)
                if answer == "y":
                    terminal.expect(r"\[y/n\]")
                    terminal.type("yes")
                terminal.end()
        assert [(row["device"], row["bonded"]) for row in bonds(config)] == [("cuff", True)]


@needs_terminal
@pytest.mark.parametrize("until", ["Type its number:", "Does the device show", r"Is that what the device shows\?"])
def test_ctrl_c_at_any_question_leaves_nothing_behind(until: str, tmp_path: Path) -> None:
    with cuff_room(tmp_path, Security(manner=Manner.COMPARE)) as room:
        config = written(tmp_path, room.bluetooth)
        with screen("pair", "-c", str(config)) as terminal:
            for question, answer in (
                ("Type its number:", ""),
                ("Does the device show", "y"),
                (r"Is that what the device shows\?", "y"),
            ):
                if question == until:
                    terminal.expect(question)
                    terminal.interrupt()
                    break
                number = answer or terminal.expect(r" (\d+)  Simulated BP")[1]
                terminal.expect(question)
                terminal.type(number)
            assert terminal.end() == 130, terminal.text
            assert "Traceback" not in terminal.text
        assert config.read_text() == CONFIG + room.bluetooth
        assert bonds(config) == []


@needs_terminal
@pytest.mark.parametrize("manner", [Manner.PASSKEY, Manner.COMPARE])
def test_an_input_that_ends_while_it_pairs_is_a_no(manner: Manner, tmp_path: Path) -> None:
    with cuff_room(tmp_path, Security(manner=manner)) as room:
        config = written(tmp_path, room.bluetooth)
        with screen("pair", "-c", str(config), "--address", room.address, "--name", "cuff") as terminal:
            terminal.expect(r"six digits that the device shows|Does the device show")
            terminal.close()
            terminal.expect("pairing was cancelled; nothing was changed here")
            assert terminal.end() == 69, terminal.text
            assert "Traceback" not in terminal.text
        assert bonds(config) == []


@needs_terminal
def test_a_live_scan_ends_with_ctrl_c(tmp_path: Path) -> None:
    with cuff_room(tmp_path, Security()) as room:
        config = written(tmp_path, room.bluetooth)
        with screen("scan", "-c", str(config), "--seconds", "600") as terminal:
            terminal.expect(rf"Simulated BP +{room.address} ")
            terminal.expect("Ctrl-C ends")
            terminal.interrupt()
            assert terminal.end() == 130, terminal.text
            assert "Traceback" not in terminal.text
