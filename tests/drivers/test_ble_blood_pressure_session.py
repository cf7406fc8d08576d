"""The whole driver: a simulated cuff, the simulated radio, bleak, the GATT link, the session, the intake."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from devicebridge.clock import SystemClock
from devicebridge.links.gatt import Radio
from devicebridge.sdk import (
    Battery,
    DeviceClock,
    DeviceIdentity,
    InProgress,
    Loss,
    Noise,
    Observation,
    Origin,
    UnexpectedDevice,
    Why,
)
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.simulation import Access, Characteristic, Expected, GattPort, GattScenario, Service, Vitals
from devicebridge_drivers.ble_blood_pressure import DRIVER
from devicebridge_drivers.ble_blood_pressure.session import CuffOptions
from devicebridge_simulators.ble_blood_pressure import CLOCK, MEASUREMENT, SIMULATOR, measure, replay
from support.radio import Kept, Remembering, meet, play, stamps
from support.waiting import until

pytest.importorskip("bumble", reason="the simulated radio needs bumble")
from devicebridge.testing.radio import Ether

NORMAL = "167c0051005f00ea070b150a130048000000"
"""124/81, mean 95, 2026-11-21 10:19, pulse 72: flags, three words, seven bytes of time, two words (GSS)."""


def session(scenario: GattScenario | str) -> tuple[Kept, Loss]:
    return play(DRIVER, SIMULATOR, scenario)


def as_expected(message: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": message["kind"],
        "values": {v["name"]: v["absent"] if "absent" in v else Decimal(str(v["value"])) for v in message["values"]},
        "status": set(message["status"]),
        "device_time": message["device_time"],
        "origin": message["origin"],
    }


def expectation(expected: Expected) -> dict[str, Any]:
    return {
        "kind": expected.kind.value,
        "values": {n.value: v if isinstance(v, Decimal) else str(v) for n, v in expected.values.items()},
        "status": {s.value for s in expected.status},
        "device_time": expected.device_time and expected.device_time.isoformat(),
        "origin": expected.origin.value,
    }


@pytest.mark.parametrize("name", sorted(SIMULATOR.scenarios))
def test_every_scenario_gives_its_readings(name: str) -> None:
    scenario = SIMULATOR.scenarios[name]
    kept, reason = session(scenario)
    assert reason is Loss.DISCONNECTED
    assert [as_expected(m) for m in kept.published(DRIVER)] == [expectation(e) for e in scenario.expected]


def test_without_a_clock_all_but_the_last_of_a_burst_are_stored() -> None:
    scenario = SIMULATOR.scenarios["backlog-no-clock"]
    kept, _ = session(scenario)
    assert [o.origin for o in kept.observations] == [Origin.STORED] * 3 + [Origin.LIVE]
    assert stamps(kept) == [e.device_time for e in scenario.expected]


def test_what_the_cuff_says_of_itself_is_noted() -> None:
    kept, _ = session("normal")
    assert kept.events == [
        DeviceClock(CLOCK),
        DeviceIdentity("devicebridge", "Simulated cuff", "SIM-BP-1", "1.0"),
        Battery(percent=87),
    ]


def test_cuff_pressure_is_progress_and_never_a_reading() -> None:
    kept, _ = session("progress")
    assert [e for e in kept.events if isinstance(e, InProgress)] == [InProgress()] * 6
    assert len(kept.observations) == 1


def test_an_unreadable_value_is_noted_as_noise() -> None:
    kept, _ = session("capture-other-layout")
    assert [e.why for e in kept.events if isinstance(e, Noise)] == [Why.TOO_LONG]
    assert kept.observations == []


def test_the_simulated_patient_is_measured() -> None:
    vitals = Vitals(
        systolic_mmhg=127,
        diastolic_mmhg=83,
        mean_mmhg=98,
        pulse_per_min=71,
        spo2_percent=97,
        temperature_cel=Decimal("36.8"),
        local_time=datetime(2025, 3, 9, 8, 0, 3, 250_000),
    )
    scenario = measure(vitals)
    kept, _ = session(scenario)
    (message,) = kept.published(DRIVER)
    assert as_expected(message) == expectation(scenario.expected[0])
    assert {v["name"]: v["value"] for v in message["values"]} == {
        "systolic": 127,
        "diastolic": 83,
        "mean": 98,
        "pulse-rate": 71,
    }


def test_f11_a_value_that_came_before_the_link_was_lost_is_kept() -> None:
    """The cuff has its confirmation and forgets the value; the reads after it fail."""

    async def run(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        await port.indicate(MEASUREMENT, bytes.fromhex(NORMAL))
        await port.disconnect()

    scenario = GattScenario(title="gone at once", services=SIMULATOR.scenarios["normal"].services, run=run)
    kept, reason = session(scenario)
    assert reason is Loss.DISCONNECTED
    assert len(kept.observations) == 1


def test_values_wait_while_the_disk_is_slow() -> None:
    class Slow(Remembering):
        async def emit(self, *group: Observation) -> None:
            await asyncio.sleep(0.1)
            await super().emit(*group)

    kept, scenario = Slow(), SIMULATOR.scenarios["backlog"]
    meet(DRIVER, SIMULATOR, scenario, kept)
    assert stamps(kept) == [e.device_time for e in scenario.expected]


def test_a_value_held_back_is_emitted_when_the_session_is_stopped() -> None:
    async def run() -> Kept:
        kept = Remembering()
        async with Ether(pace=1) as ether, ether.radio() as backend:
            radio = Radio(backend, clock=SystemClock())
            await radio.start()
            cuff = await ether.add(SIMULATOR, replay([bytes.fromhex(NORMAL)]))
            spec = DRIVER.manifest.gatt
            assert spec is not None
            async with radio.opener(cuff.address, spec).open() as link:
                session = asyncio.ensure_future(DRIVER.session(link, kept, CuffOptions()))
                await until(lambda: any(isinstance(e, Battery) for e in kept.events))
                await asyncio.sleep(0.05)  # within the half second for which the value is held
                assert kept.observations == []
                session.cancel()
                await asyncio.wait((session,))
                assert session.cancelled()
            await radio.stop()
        return kept

    assert len(asyncio.run(run()).observations) == 1


def test_f07_a_peripheral_without_the_measurement_is_refused() -> None:
    def services() -> tuple[Service, ...]:
        feature = Characteristic(uuid=uuid16(0x2A49), access=Access.READ, value=bytes(2))
        return (Service(uuid16(0x1810), (feature,)),)

    async def run(port: GattPort) -> None:
        await port.pause(60)

    _, reason = session(GattScenario(title="no measurement", services=services, run=run))
    assert reason is UnexpectedDevice().reason


def test_optional_reads_that_are_refused_do_not_end_the_session() -> None:
    def services() -> tuple[Service, ...]:
        secret = Characteristic(uuid=uuid16(0x2A25), access=Access.READ, value=b"1", encrypted=True)
        unreadable = Characteristic(uuid=uuid16(0x2A19), access=Access.NOTIFY)
        indicated = Characteristic(uuid=MEASUREMENT, access=Access.INDICATE)
        return (Service(uuid16(0x1810), (indicated,)), Service(uuid16(0x180A), (secret, unreadable)))

    async def run(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        await port.indicate(MEASUREMENT, bytes.fromhex(NORMAL))

    kept, _ = session(GattScenario(title="secretive", services=services, run=run))
    assert len(kept.observations) == 1
    assert kept.events == [DeviceIdentity()]
