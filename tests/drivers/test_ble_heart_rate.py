"""The heart rate sensor's codec, and its session over the simulated radio. Sources of the bytes: vectors.json."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import devicebridge_drivers.ble_heart_rate as driver
from devicebridge.sdk import Battery, Context, DeviceIdentity, InProgress, Loss, Noise, UnexpectedDevice, Why
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.simulation import Access, Characteristic, GattPort, GattScenario, Service
from devicebridge_drivers.ble_heart_rate import DRIVER
from devicebridge_drivers.ble_heart_rate.codec import (
    CHARACTERISTICS,
    LOCATION,
    MEASUREMENT,
    Codec,
    Location,
    Measurement,
)
from devicebridge_simulators.ble_heart_rate import SIMULATOR
from support.radio import Kept, numbers, play, whole

VECTORS = json.loads((Path(driver.__file__).parent / "vectors.json").read_text(encoding="utf-8"))["vectors"]
SCENARIOS = SIMULATOR.scenarios


def measured(data: str) -> Measurement:
    (item,) = Codec().feed(bytes.fromhex(data))
    assert isinstance(item, Measurement), item
    return item


def test_vector_ids_are_unique() -> None:
    assert len({v["id"] for v in VECTORS}) == len(VECTORS)


@given(st.sampled_from((*CHARACTERISTICS, "ffff")), st.binary(max_size=600))
def test_one_item_a_value_and_never_an_exception(characteristic: str, data: bytes) -> None:
    item = whole(Codec(characteristic), data)
    assert characteristic == MEASUREMENT or isinstance(item, Noise) or item.group == ()


@pytest.mark.parametrize(
    ("data", "is_worn", "energy_kj", "rr"),
    [
        ("0055", None, None, ()),
        ("0255", None, None, ()),
        ("04ff", False, None, ()),
        ("1e5532002100", True, 50, (33,)),
        ("1f0101320101000201ffff", True, 306, (1, 258, 65535)),
        ("16485401ec02", True, None, (340, 748)),  # 0.33203125 s and 0.73046875 s
        ("18aabb01cc01", None, 443, (460,)),
        ("16723f01b701c301", True, None, (319, 439, 451)),
    ],
)
def test_the_fields_beside_the_rate(
    data: str, is_worn: bool | None, energy_kj: int | None, rr: tuple[int, ...]
) -> None:
    item = measured(data)
    assert (item.is_worn, item.energy_kj, item.rr_1024ths_s) == (is_worn, energy_kj, rr)


def test_a_rate_is_not_believed_while_the_sensor_is_off() -> None:
    (observation,) = measured("0448").group
    assert numbers(observation) == {"heart-rate": "error"}


@pytest.mark.parametrize(
    ("code", "site"),
    [
        (0, None),
        (1, Context.CHEST),
        (2, Context.WRIST),
        (3, Context.FINGER),
        (4, Context.HAND),
        (5, Context.EARLOBE),
        (6, Context.FOOT),
        (7, None),
    ],
)
def test_locations(code: int, site: Context | None) -> None:
    """GATT Specification Supplement, Body Sensor Location."""
    assert Codec(LOCATION).feed(bytes([code])) == (Location(raw=bytes([code]), code=code, site=site),)


# --- The session -------------------------------------------------------------------------------------------------


def session(scenario: GattScenario | str, **options: object) -> tuple[Kept, Loss]:
    return play(DRIVER, SIMULATOR, scenario, options)


def test_a_wearing_gives_one_reading_with_its_site() -> None:
    kept, reason = session("normal")
    (message,) = kept.published(DRIVER)
    assert message["values"][0]["value"] == 73
    assert message["context"] == ["chest"]
    assert len(kept.noted(InProgress)) == 1
    assert reason is Loss.DISCONNECTED


def test_what_the_sensor_says_of_itself_is_noted() -> None:
    kept, _ = session("not-worn")
    assert kept.events == [
        DeviceIdentity("devicebridge", "Simulated strap", "SIM-HR-1", "1.0"),
        Battery(percent=55),
    ]
    assert kept.observations == []


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ({"steady_s": 2}, [71]),
        ({"steady_s": 8}, [71]),
        ({"steady_s": 9}, []),
        ({"steady_spread_per_min": 0, "steady_s": 2}, [72]),
    ],
)
def test_the_rule_s_options(options: dict[str, object], rates: list[int]) -> None:
    """Of 70, 71, 72, 72, 73, 72, 72, 71."""
    kept, _ = session("normal", **options)
    assert [numbers(o) for o in kept.observations] == [{"heart-rate": Decimal(rate)} for rate in rates]


def test_noise_is_noted_and_starts_the_seconds_anew() -> None:
    async def run(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        for value in ("0648",) * 4 + ("06",) + ("0648",) * 4:
            await port.notify(MEASUREMENT, bytes.fromhex(value))

    kept, _ = session(GattScenario(title="noise", services=SCENARIOS["normal"].services, run=run))
    assert kept.noted(Noise) == [Noise(b"\x06", Why.TOO_SHORT)]
    assert kept.observations == []


def test_f07_a_peripheral_without_the_measurement_is_refused() -> None:
    def services() -> tuple[Service, ...]:
        return (Service(uuid16(0x180D), (Characteristic(uuid=LOCATION, access=Access.READ, value=b"\x01"),)),)

    async def run(port: GattPort) -> None:
        await port.pause(60)

    _, reason = session(GattScenario(title="no measurement", services=services, run=run))
    assert reason is UnexpectedDevice().reason
