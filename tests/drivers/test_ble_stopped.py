"""A stop while a device that pushes still says who it is: what has come is confirmed to it, and must not be lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from devicebridge.sdk import Driver, LinkLost, Loss, MemoryOptions
from devicebridge.sdk.bluetooth import BATTERY_LEVEL, CURRENT_TIME, MODEL_NUMBER, uuid16
from devicebridge_drivers.ble_blood_pressure import DRIVER as CUFF
from devicebridge_drivers.ble_thermometer import DRIVER as THERMOMETER
from devicebridge_drivers.ble_weight_scale import DRIVER as SCALE
from support import virtual_time
from support.radio import Remembering

# 120/80 mmHg, 36.4 Cel, 70 kg: the first fields of each characteristic (GATT Specification Supplement)
PUSHED = {
    uuid16(0x2A35): "00780050005d00",
    uuid16(0x2A1C): "006c0100ff",
    uuid16(0x2A9D): "00b036",
}
PRESENT = bytes.fromhex("ea070b150a140006" + "0001")  # 2026-11-21 10:20
TEMPERATURE_TYPE = uuid16(0x2A1D)
SLOW = (CURRENT_TIME, MODEL_NUMBER, BATTERY_LEVEL, TEMPERATURE_TYPE)


class Slow:
    """It has sent one value, and gives no answer to what it is asked for `answer_s`, but for one question at once."""

    name = "A&D_UA-651BLE"

    def __init__(self, asked: str, answer_s: float) -> None:
        self._asked = asked
        self._answer_s = answer_s
        self.is_asked = asyncio.Event()

    def has(self, characteristic: str, /) -> bool:
        return characteristic in PUSHED or characteristic in SLOW

    async def read(self, characteristic: str, /) -> bytes:
        if characteristic == self._asked:
            self.is_asked.set()
            await asyncio.sleep(self._answer_s)
        if characteristic == CURRENT_TIME:
            return PRESENT
        raise LinkLost(Loss.FAILED)

    async def write(self, characteristic: str, data: bytes, /) -> None:
        raise LinkLost(Loss.FAILED)

    async def subscribe(self, *characteristics: str) -> AsyncIterator[tuple[str, bytes]]:
        async def values() -> AsyncIterator[tuple[str, bytes]]:
            for characteristic in characteristics:
                if characteristic in PUSHED:
                    yield characteristic, bytes.fromhex(PUSHED[characteristic])
            await asyncio.Event().wait()

        return values()


@pytest.mark.parametrize("answer_s", [0.1, 3600], ids=["answers", "silent"])
@pytest.mark.parametrize(
    ("driver", "asked"),
    [
        *[(driver, asked) for driver in (CUFF, THERMOMETER, SCALE) for asked in SLOW[:3]],
        (THERMOMETER, TEMPERATURE_TYPE),
    ],
    ids=lambda v: v.manifest.id if isinstance(v, Driver) else v[4:8],
)
def test_what_has_come_is_published_when_the_session_is_stopped_early(
    driver: Driver[Any], asked: str, answer_s: float
) -> None:
    async def run() -> tuple[Remembering, float]:
        kept, link = Remembering(), Slow(asked, answer_s)
        session = asyncio.ensure_future(driver.session(link, kept, driver.options()))
        await link.is_asked.wait()
        session.cancel()
        stopped_s = asyncio.get_running_loop().time()
        await asyncio.wait((session,))
        assert session.cancelled()
        return kept, asyncio.get_running_loop().time() - stopped_s

    assert issubclass(driver.options, MemoryOptions)
    kept, took_s = virtual_time.run(run())
    assert len(kept.observations) == 1
    assert took_s < 0.5  # what the core waits for a session that it stops
