"""The first real input: every capture of a physical cuff, byte for byte, from a GATT server over a simulated radio
through the daemon's process to a subscriber of a real Mosquitto."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import devicebridge_drivers.ble_blood_pressure as driver
from devicebridge.testing.broker import Broker
from devicebridge.testing.radio import Ether
from devicebridge_simulators.ble_blood_pressure import SIMULATOR, replay
from support.daemon import Daemon, Inbox, wait_for

VECTORS = json.loads((Path(driver.__file__).parent / "vectors.json").read_text())["vectors"]
CAPTURES = [v for v in VECTORS if v["kind"] == "capture" and "values" in v["expected"]]

DEVICE = """
[bluetooth]
radio = "simulated"
radio_address = "{radio}"
[devices.cuff]
driver = "ble-blood-pressure"
address = "{address}"
"""


def test_there_are_captures() -> None:
    assert len(CAPTURES) >= 4


@pytest.mark.parametrize("vector", CAPTURES, ids=[v["id"] for v in CAPTURES])
def test_a_captured_measurement_reaches_a_subscriber(
    vector: dict[str, Any], broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    asyncio.run(_play(vector, broker, received, tmp_path))
    [reading] = received.readings
    values = {v["name"]: v.get("value", {"absent": v.get("absent")}) for v in reading["values"]}
    assert values.keys() == vector["expected"]["values"].keys()
    for name, expected in vector["expected"]["values"].items():
        assert values[name] == (expected if isinstance(expected, dict) else Decimal(expected)), name
    assert reading["device_time"] == vector["expected"]["device_time"]
    assert sorted(reading["status"]) == sorted(vector["expected"]["status"])
    assert reading["simulated"] is True
    assert (reading["device"]["name"], reading["room"]) == ("cuff", "exam-1")


async def _play(vector: dict[str, Any], broker: Broker, received: Inbox, folder: Path) -> None:
    scenario = replay([bytes.fromhex(vector["hex"])], model=vector.get("model", "Captured cuff"))
    async with Ether() as ether:
        cuff = await ether.add(SIMULATOR, scenario)
        place = DEVICE.format(radio=await ether.serve_tcp(), address=cuff.address)
        with Daemon(folder, broker, place) as daemon:
            await asyncio.to_thread(wait_for, lambda: received.readings, "the reading")
            await asyncio.to_thread(daemon.stop)
