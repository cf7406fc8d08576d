"""A driver and its simulator that have two links: which is simulated, decoded and tried."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from devicebridge import cli, registry
from devicebridge.sdk import GattLink
from devicebridge.sdk.simulation import DualSimulator, GattSimulator, SerialSimulator, links
from devicebridge.testing import conformance
from devicebridge.testing.room import RoomDevice, RoomPlan, open_room
from devicebridge.watched import WatchedBytes, WatchedGatt
from devicebridge_drivers.lifescan import DRIVER
from devicebridge_simulators.lifescan import SIMULATOR

F7A3 = "af9df7a3-e595-11e3-96b4-0002a5d5c51b"
VALUE = "01020c0004066e6bed3003ab80"  # Gadgetbridge, OneTouchMessageTest.kt: a clock


def test_a_session_can_tell_its_links_apart() -> None:
    assert isinstance(WatchedGatt(SimpleNamespace(name="Thing"), None, lambda _: None), GattLink)
    assert not isinstance(WatchedBytes(None, None, lambda _: None), GattLink)


def test_each_link_has_a_simulator_of_its_own() -> None:
    found = registry.simulator("lifescan")
    assert [type(simulator) for simulator in links(found)] == [SerialSimulator, GattSimulator]
    assert links(found.serial) == (found.serial,) if isinstance(found, DualSimulator) else False


def test_bytes_of_which_nothing_is_said_come_from_the_serial_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert DRIVER.default_characteristic is None
    assert cli.main(["decode", "lifescan", VALUE]) == 0
    assert cli.main(["decode", "lifescan", "--characteristic", F7A3, VALUE]) == 0
    noise, on_a_line, over_radio = map(json.loads, capsys.readouterr().out.splitlines())
    assert noise == {"noise": "01", "why": "unsynchronised"}
    assert on_a_line["frame"]["time"] == over_radio["frame"]["time"] == "2026-01-04T18:18:22"


def test_all_scenarios_are_listed_and_the_serial_ones_served(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulate", "lifescan", "--list", "--json"]) == 0
    listed = {json.loads(line)["scenario"] for line in capsys.readouterr().out.splitlines()}
    assert {"verio-visit", "flex-visit"} <= listed
    assert cli.main(["simulate", "lifescan", "--scenario", "flex-visit"]) == 64
    assert "verio-visit" in capsys.readouterr().err


@pytest.mark.parametrize(("link", "place"), [(None, "port"), ("serial", "port"), ("bluetooth", "address")])
def test_a_room_chooses(link: str | None, place: str) -> None:
    pytest.importorskip("bumble", reason="the simulated radio needs bumble")
    device = RoomDevice.model_validate({"name": "meter", "simulator": "lifescan", "link": link, "every_s": 60})

    async def opened() -> dict[str, dict[str, str]]:
        async with open_room(RoomPlan(seed=1, device=(device,))) as room:
            return room.devices

    assert set(asyncio.run(opened())["meter"]) == {"driver", place}


class Wrong(conformance.Installed):
    """Two of its simulators' scenarios have one name."""

    @property
    def simulator(self) -> DualSimulator:
        scenarios = {"verio-visit": SIMULATOR.gatt.scenarios["flex-visit"]}
        return replace(SIMULATOR, gatt=replace(SIMULATOR.gatt, scenarios=scenarios))


def test_the_suite_finds_scenarios_of_one_name() -> None:
    with pytest.raises(AssertionError, match="share 1 names"):
        conformance.check_identity(Wrong("lifescan"))
