"""The line settings a driver asks for are those that its device sees, over a device server (RFC 2217)."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from devicebridge import registry
from devicebridge.clock import SystemClock
from devicebridge.links.serial import SerialOpener
from devicebridge.sdk import Parity, SerialSpec
from devicebridge.sdk.simulation import SerialPort, SerialScenario
from devicebridge.testing.rfc2217_host import LineSettings, serve_rfc2217

TIMEOUT_S = 20
EVERY_BYTE = bytes(range(256))  # with 0xFF, which Telnet doubles
pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial 3.5 itself

Case = tuple[SerialSpec, int | None]


async def _echo(port: SerialPort) -> None:
    while True:
        await port.write(await port.read())


async def seen_by_the_device(spec: SerialSpec, baud: int | None, *, times: int = 1) -> list[LineSettings]:
    """The settings at each opening, after every byte has gone there and come back."""
    async with asyncio.timeout(TIMEOUT_S), serve_rfc2217(SerialScenario(title="echo", run=_echo)) as server:
        opener = SerialOpener(server.host.port, spec, baud=baud, clock=SystemClock())
        for _ in range(times):
            async with opener.open() as link:
                await link.write(EVERY_BYTE)
                got = b""
                while len(got) < len(EVERY_BYTE):
                    got += await link.read()
                assert got == EVERY_BYTE
        return server.opened


def installed() -> dict[str, Case]:
    """Every driver's lines: several drivers share most of them. One that cannot be loaded fails its conformance."""
    cases: dict[str, Case] = {}
    for driver_id in registry.names(registry.DRIVERS):
        with suppress(registry.RegistryError):
            for link in registry.driver(driver_id).manifest.links:
                if isinstance(link, SerialSpec):
                    cases.setdefault(label(link), (link, None))
    return cases


def label(spec: SerialSpec) -> str:
    return f"{spec.baud}-{spec.data_bits}{spec.parity.value}{spec.stop_bits}"


OTHERS: dict[str, Case] = {
    label(spec): (spec, None)
    for spec in (
        SerialSpec(baud=9600, parity=Parity.ODD),
        SerialSpec(baud=9600, data_bits=7, parity=Parity.EVEN),
        SerialSpec(baud=1200, parity=Parity.EVEN),
        SerialSpec(baud=1200, data_bits=7, parity=Parity.MARK, stop_bits=2),
        SerialSpec(baud=115_200, data_bits=7, stop_bits=2),
    )
}
CONFIGURED: dict[str, Case] = {"9600-8N1-configured-for-2400": (SerialSpec(baud=9600), 2400)}
CASES = {**installed(), **OTHERS, **CONFIGURED}


@pytest.mark.parametrize(("spec", "baud"), CASES.values(), ids=CASES.keys())
def test_the_device_sees_the_settings_asked_for(spec: SerialSpec, baud: int | None) -> None:
    asked = LineSettings(baud or spec.baud, spec.data_bits, spec.parity, spec.stop_bits)
    assert asyncio.run(seen_by_the_device(spec, baud)) == [asked]


def test_they_are_set_again_at_each_opening() -> None:
    spec = SerialSpec(baud=19_200, parity=Parity.ODD)
    assert asyncio.run(seen_by_the_device(spec, None, times=3)) == [LineSettings(19_200, 8, Parity.ODD, 1)] * 3
