"""F42 on a running daemon: its config file is changed in every way there is, while a device goes on streaming."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from devicebridge import registry
from devicebridge.sdk.simulation import SerialSimulator
from devicebridge.testing.broker import Broker
from support.daemon import CONFIG, Daemon, Inbox, inbox, mosquitto, wait_for
from support.serial_device import nonin_on_tcp, on_tcp


@pytest.fixture
def ports() -> Iterator[Callable[[], str]]:
    """Each call: another simulated oximeter, put on a finger again and again."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(nonin_on_tcp("spot"))


def table(name: str, port: str, **options: float) -> str:
    text = f'[devices.{name}]\ndriver = "nonin"\nport = "{port}"\n'
    return text + "".join(f"options.{key} = {value}\n" for key, value in options.items())


def rewrite(daemon: Daemon, text: str) -> None:
    """As careful editors and tools do: a new file takes the old one's name."""
    new = daemon.config.with_suffix(".new")
    new.write_text(text)
    new.replace(daemon.config)


def general(daemon: Daemon) -> str:
    return CONFIG.format(port=daemon.broker.port, protocol=daemon.broker.protocol)


def devices(daemon: Daemon) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(daemon.run("devices", "-c", str(daemon.config), "--json").stdout)
    return answer


def config_state(received: Inbox) -> str | None:
    room = received.latest("/exam-1/status")
    return room["config"]["state"] if room else None


def sessions(received: Inbox, device: str) -> int:
    status = received.latest(f"/{device}/status")
    return int(status["counts"].get("sessions", 0)) if status else 0


def of(received: Inbox, device: str) -> list[str]:
    return [r["id"] for r in received.readings if r["device"]["name"] == device]


@pytest.mark.long
def test_devices_come_change_and_go_while_another_streams(
    ports: Callable[[], str], broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    steady, first, second = table("steady", ports()), ports(), ports()
    with Daemon(tmp_path, broker, steady) as daemon:
        daemon.wait_ready()
        wait_for(lambda: of(received, "steady"), "a reading")

        rewrite(daemon, general(daemon) + steady + table("other", first))
        wait_for(lambda: of(received, "other"), "a reading of the new device")
        wait_for(lambda: "other" in received.latest("/exam-1/status")["devices"], "the room to list it")

        rewrite(daemon, general(daemon) + steady + table("other", second, steady_s=2))
        wait_for(lambda: daemon.events("config") == 2, "the change")
        count = len(of(received, "other"))
        wait_for(lambda: len(of(received, "other")) > count + 1, "readings of the changed device")

        rewrite(daemon, general(daemon) + steady)
        wait_for(lambda: daemon.events("config") == 3, "the removal")
        wait_for(lambda: _last_payload(received, "/other/status") == b"", "its retained status to be removed")
        assert list(devices(daemon)["config"]["problems"]) == []
        assert [d["device"] for d in devices(daemon)["devices"]] == ["steady"]

        count = len(of(received, "steady"))
        wait_for(lambda: len(of(received, "steady")) > count, "the one that was there all the time")
        assert sessions(received, "steady") == 1, "it was never opened anew"
        daemon.stop()
    rows = [json.loads(line) for line in _listed(daemon)]
    wait_for(lambda: {r["id"] for r in received.readings} >= {row["id"] for row in rows}, "all that was stored")
    with inbox(broker) as later:
        wait_for(lambda: later.latest("/exam-1/status"), "what is retained")
        assert not [m for m in later.drain() if m.topic.endswith("/other/status")]


def _last_payload(received: Inbox, topic_end: str) -> bytes | None:
    found = [m.payload for m in received.drain() if m.topic.endswith(topic_end)]
    return found[-1] if found else None


def _listed(daemon: Daemon) -> list[str]:
    return daemon.run("outbox", "list", "-c", str(daemon.config), "--json", "--limit", "1000").stdout.splitlines()


BREAKS: dict[str, Callable[[str], str]] = {
    "no TOML": lambda text: text + "[devices.x\n",
    "a typo": lambda text: text.replace("room =", "rom ="),
    "half a file": lambda text: text[: len(text) // 2],
    "an unknown driver": lambda text: text.replace('"nonin"', '"nonim"'),
    "an option of no driver": lambda text: text + "options.steady = 3\n",
    "nothing at all": lambda _: "",
}


@pytest.mark.long
def test_f42_a_broken_file_changes_nothing_and_says_why(
    ports: Callable[[], str], broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    steady = table("steady", ports())
    with Daemon(tmp_path, broker, steady) as daemon:
        daemon.wait_ready()
        good = daemon.config.read_text()
        for how, broken in BREAKS.items():
            daemon.config.write_text(broken(good))
            refusals = daemon.events("config")
            asked = daemon.run("reload", "-c", str(daemon.config))
            if "outbox.db" in broken(good):  # else it cannot be told which daemon is meant
                assert asked.returncode == 78, how
                assert "goes on with what it read before" in asked.stdout, how
                assert f"{daemon.config}:" in asked.stdout, how
                assert "Traceback" not in asked.stderr, how
            wait_for(lambda: daemon.events("config") > refusals, how)  # noqa: B023 - it is called at once
            wait_for(lambda: config_state(received) == "refused", how)
        daemon.config.write_text(BREAKS["a typo"](good))
        wait_for(lambda: any('did you mean "room"?' in p for p in devices(daemon)["config"]["problems"]), "the reason")
        shown = daemon.run("devices", "-c", str(daemon.config)).stdout
        assert "the config file was changed and has a mistake; all goes on as before it" in shown
        assert f'{daemon.config}:4: site.rom: unknown key; did you mean "room"?' in shown
        daemon.config.write_text(good)
        assert daemon.run("reload", "-c", str(daemon.config)).stdout == "the daemon runs by this file\n"
        wait_for(lambda: config_state(received) == "current", "all well again")
        count = len(of(received, "steady"))
        wait_for(lambda: len(of(received, "steady")) > count, "a reading")
        assert sessions(received, "steady") == 1
        log = daemon.log.read_text()
        assert "rom" not in [json.loads(line).get("place") for line in log.splitlines()]


@pytest.mark.long
def test_f42_a_file_that_is_deleted_and_comes_back(
    ports: Callable[[], str], broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    with Daemon(tmp_path, broker, table("steady", ports())) as daemon:
        daemon.wait_ready()
        good = daemon.config.read_text()
        daemon.config.unlink()
        wait_for(lambda: config_state(received) == "refused", "the loss")
        daemon.config.write_text(good)
        wait_for(lambda: config_state(received) == "current", "the return")
        assert sessions(received, "steady") == 1


@pytest.mark.long
def test_a_file_written_in_place_is_not_read_in_the_middle(
    ports: Callable[[], str], broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    steady, late = table("steady", ports()), table("late", ports())
    with Daemon(tmp_path, broker, steady + late) as daemon:
        daemon.wait_ready()
        wait_for(lambda: of(received, "late"), "a reading")
        with daemon.config.open("w") as stream:
            stream.write(general(daemon) + steady)  # valid as it stands, and yet only half of it
            stream.flush()
            count = len(of(received, "late"))
            wait_for(lambda: len(of(received, "late")) > count, "another reading")
            stream.write(late + 'baud = 9600\n[devices.more]\ndriver = "nonin"\nport = "socket://127.0.0.1:9"\n')
        wait_for(lambda: daemon.events("config") == 1, "the change")
        assert {d["device"] for d in devices(daemon)["devices"]} == {"steady", "late", "more"}
        assert daemon.events("config") == 1


def test_what_needs_a_restart_is_said_and_not_half_done(
    ports: Callable[[], str], broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    with Daemon(tmp_path, broker, table("steady", ports())) as daemon:
        daemon.wait_ready()
        more = table("more", "socket://127.0.0.1:9")
        rewrite(daemon, daemon.config.read_text().replace('"exam-1"', '"exam-2"') + more)
        asked = daemon.run("reload", "-c", str(daemon.config))
        assert asked.returncode == 78
        assert "site: has changed; start the program again for it to take effect" in asked.stdout
        assert [d["device"] for d in devices(daemon)["devices"]] == ["steady"]
        wait_for(lambda: config_state(received) == "restart-needed", "the word")


@pytest.mark.long
def test_another_broker_gets_what_comes_and_the_old_one_is_told(
    ports: Callable[[], str], broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    (tmp_path / "next").mkdir()
    with mosquitto(tmp_path / "next") as next_broker, inbox(next_broker) as moved:
        with Daemon(tmp_path, broker, table("steady", ports())) as daemon:
            daemon.wait_ready()
            wait_for(lambda: of(received, "steady"), "a reading")
            text = daemon.config.read_text().replace(f":{broker.port}", f":{next_broker.port}")
            rewrite(daemon, text)
            wait_for(lambda: moved.latest("/exam-1/status"), "the room at the next broker")
            wait_for(lambda: of(moved, "steady"), "a reading there")
            assert received.latest("/exam-1/status") == {"schema": "devicebridge/room-status/1", "state": "offline"}
            assert sessions(moved, "steady") == 1
            daemon.stop()
        rows = {json.loads(line)["id"] for line in _listed(daemon)}
        wait_for(lambda: {*of(received, "steady"), *of(moved, "steady")} >= rows, "every reading at one or the other")


def test_no_daemon_is_said_clearly(broker: Broker, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, broker)
    daemon.config.write_text(general(daemon))
    for command in ("devices", "reload"):
        asked = daemon.run(command, "-c", str(daemon.config))
        assert asked.returncode == 69
        assert "no daemon is running with" in asked.stderr
        assert asked.stdout == ""


def test_the_devices_as_a_person_sees_them(broker: Broker, received: Inbox, tmp_path: Path) -> None:
    simulator = registry.simulator("nonin")
    assert isinstance(simulator, SerialSimulator)
    with on_tcp(simulator.scenarios["spot"], speed=50) as port:
        extra = table("oximeter", port) + table("absent", "usb:0403:6001:NONE")
        with Daemon(tmp_path, broker, extra) as daemon:
            daemon.wait_ready()
            reading = wait_for(lambda: received.readings, "a reading")[0]
            wait_for(lambda: devices(daemon)["devices"][0]["state"] == "lost", "the loss")
            absent, oximeter = devices(daemon)["devices"]
            assert (absent["evidence"], absent["last_reading_age_s"]) == ("loss", None)
            assert absent["text"] == "The device is not plugged in. Check its cable and its power."
            assert (oximeter["state"], oximeter["evidence"], oximeter["bond"]) == ("ok", "heard", None)
            assert oximeter["last_reading_age_s"] <= 20
            shown = daemon.run("devices", "-c", str(daemon.config))
            assert shown.returncode == 0, shown.stderr
            assert "absent           lost         for " in shown.stdout
            assert "oximeter         ok           heard 0 s ago" in shown.stdout
            for value in reading["values"]:
                assert f" {value['value']} " not in shown.stdout
