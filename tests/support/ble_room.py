"""The daemon on a simulated radio, as a process: devices by name, what a subscriber receives, and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil

from devicebridge import registry
from devicebridge.sdk.simulation import GattScenario, GattSimulator, Vitals
from devicebridge.testing.broker import Broker
from support.daemon import PATIENCE_S, Daemon, Inbox
from support.waiting import until

CUFF = "ble-blood-pressure"


@dataclass(frozen=True)
class BleRoom:
    daemon: Daemon
    received: Inbox

    def status(self, device: str) -> Mapping[str, Any]:
        """The latest; empty before the first."""
        return self.received.latest(f"/{device}/status") or {}

    def readings(self, device: str) -> list[dict[str, Any]]:
        return [reading for reading in self.received.readings if reading["device"]["name"] == device]

    def systolic(self, device: str) -> list[int]:
        """Of each reading of a cuff."""
        return [v["value"] for r in self.readings(device) for v in r["values"] if v["name"] == "systolic"]

    def memory_mib(self) -> float:
        assert self.daemon.process is not None
        return float(psutil.Process(self.daemon.process.pid).memory_info().rss) / 2**20

    async def until(self, condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
        await until(condition, patience_s)

    async def until_said(
        self, device: str, state: str, reason: str | None = None, *, patience_s: float = PATIENCE_S
    ) -> None:
        """The status topic says so."""
        try:
            await until(lambda: _says(self.status(device), state, reason), patience_s)
        except TimeoutError:
            raise AssertionError(f"{device}: {self.status(device)}, not {state}, {reason}") from None


@asynccontextmanager
async def ble_room(
    folder: Path, broker: Broker, received: Inbox, radio: str, devices: Mapping[str, tuple[str, str]]
) -> AsyncIterator[BleRoom]:
    """radio: where the simulated one is served. devices: (driver, address) by name. Entered when it is ready."""
    tables = [f'[bluetooth]\nradio = "simulated"\nradio_address = "{radio}"\n']
    tables += [f'[devices.{n}]\ndriver = "{driver}"\naddress = "{a}"\n' for n, (driver, a) in devices.items()]
    with Daemon(folder, broker, "".join(tables)) as daemon:
        await asyncio.to_thread(daemon.wait_ready)
        room = BleRoom(daemon, received)
        yield room
        await asyncio.to_thread(daemon.stop)


def cuff() -> GattSimulator:
    simulator = registry.simulator(CUFF)
    assert isinstance(simulator, GattSimulator)
    return simulator


def measured(systolic_mmhg: int, *, clock_late: timedelta = timedelta()) -> GattScenario:
    """A cuff with one result of this moment, to be told by its first number from others."""
    vitals = Vitals(
        systolic_mmhg=systolic_mmhg,
        diastolic_mmhg=75,
        mean_mmhg=90,
        pulse_per_min=66,
        spo2_percent=97,
        temperature_cel=Decimal("36.6"),
        local_time=datetime.now() - clock_late,  # noqa: DTZ005 - a device's clock
    )
    measure = cuff().measure
    assert measure is not None
    return measure(vitals)


def _says(status: Mapping[str, Any], state: str, reason: str | None) -> bool:
    return status.get("state") == state and (reason is None or status.get("reason") == reason)
