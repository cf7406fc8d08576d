"""An Ascensia Contour shows what it has only to a host that it is bonded with: the bond comes before all else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

pytest.importorskip("bumble", reason="the simulated radio needs bumble")

from devicebridge.clock import SystemClock
from devicebridge.links.gatt import Radio
from devicebridge.sdk import LinkLost, Loss
from devicebridge.testing.radio import Ether, Peripheral, Security
from devicebridge_drivers.ble_glucose import DRIVER
from devicebridge_drivers.ble_glucose.session import MeterOptions
from devicebridge_simulators.ble_glucose import FRESH, SIMULATOR
from support.pairing import Answers
from support.radio import Remembering, stamps

CONTOUR = replace(SIMULATOR, name="Contour7830H6012345")


def play(test: Callable[[Radio, Peripheral], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), Ether(pace=0) as ether, ether.radio() as backend:
            meter = await ether.add(CONTOUR, "fresh", period_s=0, security=Security(hides_services=True))
            radio = Radio(backend, clock=SystemClock())
            await radio.start()
            try:
                await test(radio, meter)
            finally:
                await radio.stop()

    asyncio.run(main())


async def visit(radio: Radio, meter: Peripheral, kept: Remembering) -> Loss:
    spec = DRIVER.manifest.gatt
    assert spec is not None
    with pytest.raises(LinkLost) as lost:
        async with radio.opener(meter.address, spec).open() as link:
            await DRIVER.session(link, kept, MeterOptions())
    return lost.value.reason


def test_a_contour_that_is_bonded_is_read() -> None:
    async def bonded(radio: Radio, meter: Peripheral) -> None:
        kept = Remembering()
        await radio.bond(meter.address, Answers())
        assert await visit(radio, meter, kept) is Loss.DISCONNECTED
        assert stamps(kept) == [FRESH.base_time]

    play(bonded)


def test_a_contour_that_is_not_must_be_and_nothing_is_paired() -> None:
    async def stranger(radio: Radio, meter: Peripheral) -> None:
        kept = Remembering()
        assert await visit(radio, meter, kept) is Loss.BOND_REQUIRED
        assert not meter.bonded
        assert kept.events == []

    play(stranger)


def test_a_contour_that_has_forgotten_us_is_named() -> None:
    async def forgetful(radio: Radio, meter: Peripheral) -> None:
        await radio.bond(meter.address, Answers())
        meter.forget()
        assert await visit(radio, meter, Remembering()) is Loss.BOND_LOST
        assert not meter.bonded

    play(forgetful)
