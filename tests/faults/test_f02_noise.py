"""F02, F03: every serial driver on a line that brings nothing but noise: bytes of any kind, or the digits and line ends
of another device's text. Nothing of it is a reading, nothing raises, and a person is told what to look at."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from devicebridge import registry
from devicebridge.health import DeviceState
from devicebridge.sdk import Loss
from devicebridge.sdk.simulation import SerialPort, SerialScenario
from devicebridge.testing.serial_host import End, serve_tcp
from support.box import Hasty
from support.supervised import Supervised
from support.waiting import until

CHUNK_BYTES, CHUNKS = 64, 1000
TEXT = b"0123456789ABC ,.\r\n\x02\x03"
NOISES: dict[str, Callable[[random.Random], bytes]] = {
    "any-bytes": lambda rng: rng.randbytes(CHUNK_BYTES),
    "text": lambda rng: bytes(rng.choices(TEXT, k=CHUNK_BYTES)),
}
REMEDIES = {Loss.UNEXPECTED_DATA: "Check cable and settings", Loss.UNEXPECTED_DEVICE: "Another device"}
SERIAL = [name for name in registry.names(registry.DRIVERS) if registry.driver(name).manifest.serial]


def noise(make: Callable[[random.Random], bytes]) -> SerialScenario:
    async def play(port: SerialPort) -> None:
        rng = random.Random(2)
        for _ in range(CHUNKS):
            await port.write(make(rng))

    return SerialScenario(title="noise", run=play, faulty=True)


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("driver", SERIAL)
def test_f02_f03_every_driver_takes_noise_for_what_it_is(driver: str, kind: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            serve_tcp(noise(NOISES[kind]), end=End.STAY) as host,
            Supervised(tmp_path, driver, host.port, Hasty(), random.Random(1)) as device,
        ):
            await until(lambda: device.health.reason in REMEDIES)
            assert device.health.state in (DeviceState.LOST, DeviceState.REFUSED)
            assert REMEDIES[device.health.reason] in device.health.sentence  # type: ignore[index]
            counts = device.health.counts
            await until(lambda: counts["noise_bytes"] > 1000)
            assert (counts["readings"], counts["faults"], counts["abandoned"]) == (0, 0, 0)
            assert device.health.state is not DeviceState.OK

    asyncio.run(asyncio.wait_for(run(), 30))
