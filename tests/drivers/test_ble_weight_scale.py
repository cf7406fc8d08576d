"""The scale's codec, and its session over the simulated radio. Sources of the bytes: vectors.json."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import devicebridge_drivers.ble_weight_scale as driver
from devicebridge import readings
from devicebridge.sdk import (
    Battery,
    ClockOutcome,
    DeviceClock,
    DeviceIdentity,
    Kind,
    LinkLost,
    Loss,
    Noise,
    Observation,
    Origin,
    Skipped,
    UnexpectedDevice,
    Unit,
)
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.gatt_device import Arrivals
from devicebridge.sdk.settable_clock import SettableClock
from devicebridge.sdk.simulation import Access, Characteristic, GattPort, GattScenario, Service
from devicebridge_drivers.ble_weight_scale import DRIVER
from devicebridge_drivers.ble_weight_scale.acts import join
from devicebridge_drivers.ble_weight_scale.codec import (
    CHARACTERISTICS,
    COMPOSITION,
    FEATURE,
    MEASUREMENT,
    USER_CONTROL,
    Codec,
    ControlResponse,
)
from devicebridge_drivers.ble_weight_scale.measurements import Composition
from devicebridge_drivers.ble_weight_scale.session import ScaleOptions, give_consent
from devicebridge_simulators.ble_weight_scale import CLOCK, MEMORY, NORMAL, SIMULATOR, and_scale, replay
from support.radio import Kept, meet, numbers, play, whole
from support.site import Site

VECTORS = json.loads((Path(driver.__file__).parent / "vectors.json").read_text(encoding="utf-8"))["vectors"]
SCENARIOS = SIMULATOR.scenarios

BF720 = "0e783eea07050c12353601ee002607"  # 79.96 kg, 2026-05-12 18:53:54, user 1, 23.8 kg/m2, 1.830 m
BF720_BODY = "9803c200df1a9701cc2fca21a811"
BF788 = "0e205cea07070e1729200140018007"  # 117.92 kg, 2026-07-14 23:41:32, user 1
BF788_BODY = "9803f300962389014042fa2f550f"
BF788_NOTHING = "9803000096230000000000000000"


def group(data: str, characteristic: str = MEASUREMENT) -> tuple[Observation, ...]:
    (item,) = Codec(characteristic).feed(bytes.fromhex(data))
    assert not isinstance(item, Noise), item
    return item.group


def test_vector_ids_are_unique() -> None:
    assert len({v["id"] for v in VECTORS}) == len(VECTORS)


@given(st.sampled_from((*CHARACTERISTICS, "ffff")), st.binary(max_size=600))
def test_one_item_a_value_and_never_an_exception(characteristic: str, data: bytes) -> None:
    whole(Codec(characteristic), data)


@given(st.sampled_from((MEASUREMENT, COMPOSITION)), st.binary(min_size=3, max_size=32))
def test_f10_what_is_given_out_can_be_published(characteristic: str, data: bytes) -> None:
    """Every value has a code and a fence, and no share is more than the whole."""
    (item,) = Codec(characteristic).feed(data)
    for observation in () if isinstance(item, Noise) else item.group:
        normals = [readings.normalize(value) for value in observation.values]
        assert readings.value_messages(observation, normals)
        assert all(v.value is None or v.unit is not Unit.PERCENT or v.value <= 100 for v in observation.values)


def test_the_height_is_a_reading_of_its_own_kind() -> None:
    weight, height = group(BF720)
    assert numbers(weight) == {"weight": Decimal("79.960"), "bmi": Decimal("23.8")}
    assert (height.kind, numbers(height)) == (Kind.HEIGHT, {"height": Decimal("1.830")})
    assert (height.device_time, height.device_user) == (weight.device_time, 1)


def test_inches() -> None:
    """68.0 inches: RonanB96/bluetooth-sig-python, test_weight_measurement.py."""
    weight, height = group("1f543de7070c190e1e2d03f500a802")
    assert [(v.value, v.unit) for v in (*weight.values, *height.values)] == [
        (Decimal("157.00"), Unit.POUND),
        (Decimal("24.5"), Unit.KG_PER_M2),
        (Decimal("68.0"), Unit.INCH),
    ]


def test_what_is_no_reading_of_a_composition_stays_in_its_frame() -> None:
    (item,) = Codec(COMPOSITION).feed(bytes.fromhex(BF720_BODY))
    assert isinstance(item, Composition)
    assert (item.basal_metabolism_kj, item.impedance_ohm, item.is_part) == (6879, Decimal("452.0"), False)


# --- What belongs together ---------------------------------------------------------------------------------------


def joined(*values: tuple[str, str]) -> tuple[Observation, ...] | None:
    held: tuple[Observation, ...] | None = None
    for characteristic, data in values:
        found = group(data, characteristic)
        held = found if held is None else join(held, found)
        if held is None:
            return None
    return held


def test_a_composition_has_the_time_and_the_user_of_its_weight() -> None:
    act = joined((MEASUREMENT, BF720), (COMPOSITION, BF720_BODY))
    assert act is not None
    weight, height, body = act
    assert (body.device_time, body.device_user) == (weight.device_time, weight.device_user) == (height.device_time, 1)
    assert numbers(body)["body-fat"] == Decimal("19.4")


@pytest.mark.parametrize(
    "values",
    [
        [(MEASUREMENT, BF720), (MEASUREMENT, BF788)],
        [(COMPOSITION, BF720_BODY), (COMPOSITION, BF788_BODY)],
        [(COMPOSITION, BF720_BODY), (MEASUREMENT, BF720)],
        [(MEASUREMENT, BF720), (COMPOSITION, BF720_BODY), (COMPOSITION, BF788_BODY)],
        [(MEASUREMENT, BF720), (COMPOSITION, "0400c20002")],  # user 2
        [(MEASUREMENT, BF720), (COMPOSITION, "0200c200ea07050c123537")],  # a second later
        [(MEASUREMENT, BF720), (COMPOSITION, "0004c200205c")],  # 117.92 kg
        [(COMPOSITION, "1010c2009701"), (COMPOSITION, "1010c3009701")],  # 19.4 and 19.5 percent of fat
        [(COMPOSITION, "1010c2009701"), (COMPOSITION, "8000c200cc2f")],  # the second is no part
        [(COMPOSITION, "1010c2009701"), (COMPOSITION, "8010c200cc2f"), (COMPOSITION, "1010c2009701")],
    ],
)
def test_what_contradicts_each_other_is_not_of_one_act(values: Sequence[tuple[str, str]]) -> None:
    assert joined(*values) is None


def test_two_packets_are_one_composition() -> None:
    act = joined((COMPOSITION, "1610c200ea070b150a1337019701"), (COMPOSITION, "801cc200cc2f783e2607"))
    assert act is not None
    body, height = act
    assert numbers(body) == {
        "body-fat": Decimal("19.4"),
        "muscle-percentage": Decimal("40.7"),
        "soft-lean-mass": Decimal("61.180"),
        "weight": Decimal("79.960"),
    }
    assert numbers(height) == {"height": Decimal("1.830")}
    assert body.raw.hex() == "1610c200ea070b150a1337019701" + "801cc200cc2f783e2607"


# --- The session -------------------------------------------------------------------------------------------------


def session(scenario: GattScenario | str, **options: object) -> tuple[Kept, Loss]:
    return play(DRIVER, SIMULATOR, scenario, options or None)


def test_what_the_scale_says_of_itself_is_noted() -> None:
    kept, _ = session("normal")
    assert kept.events == [
        DeviceClock(CLOCK),
        DeviceIdentity("devicebridge", "Simulated scale", "SIM-WS-1", "1.0"),
        Battery(percent=73),
    ]


def test_without_a_clock_all_but_the_last_of_a_burst_are_stored() -> None:
    kept, _ = session("backlog-no-clock")
    assert [o.origin for o in kept.observations] == [Origin.STORED, Origin.STORED, Origin.LIVE]
    assert [o.device_user for o in kept.observations] == [1, 3, None]


def test_a_weight_and_its_composition_are_emitted_as_one_act() -> None:
    for name in ("composition", "composition-in-two"):
        kept, _ = session(name)
        assert [len(found) for found in kept.groups] == [3], name


def test_a_history_is_not_mixed_up() -> None:
    """As the BF788 sends it: each weight with its own composition, most of them not measured."""
    values = [
        (MEASUREMENT, bytes.fromhex(data)) if data in (BF720, BF788) else (COMPOSITION, bytes.fromhex(data))
        for data in (BF720, BF788_NOTHING, BF788, BF788_BODY)
    ]
    kept, _ = session(replay(values, title="a history"), first_download="all")
    first, second = kept.groups
    assert [numbers(o) for o in first] == [
        {"weight": Decimal("79.960"), "bmi": Decimal("23.8")},
        {"height": Decimal("1.830")},
    ]
    assert numbers(second[-1])["body-fat"] == Decimal("24.3")
    assert {o.origin for o in first} == {Origin.STORED}
    assert {o.device_time for o in second} == {second[0].device_time}


def test_a_composition_alone_is_a_reading() -> None:
    kept, _ = session(replay([(COMPOSITION, bytes.fromhex("0006c200a811783e"))], title="alone"))
    assert [numbers(o) for o in kept.observations] == [{"body-fat": Decimal("19.4"), "weight": Decimal("79.960")}]


def test_consent_is_given_only_where_it_is_set() -> None:
    kept, reason = session("consent")
    assert len(kept.observations) == 3
    assert reason is Loss.DISCONNECTED
    kept, _ = session("consent-not-given")
    assert kept.observations == []


def test_a_refused_consent_is_named() -> None:
    _, reason = session("consent-wrong")
    assert reason is Loss.DENIED


class Unanswering:
    """A scale that takes the consent, sends a weight, and says no more."""

    name = "Simulated scale"

    def has(self, _: str, /) -> bool:
        return True

    async def read(self, _: str, /) -> bytes:
        raise AssertionError("nothing is read")

    async def write(self, _: str, data: bytes, /) -> None:
        assert data == bytes.fromhex("0201a80e")

    async def subscribe(self, *_: str) -> AsyncIterator[tuple[str, bytes]]:
        async def values() -> AsyncIterator[tuple[str, bytes]]:
            yield MEASUREMENT, bytes.fromhex(BF720)
            await asyncio.Event().wait()

        return values()


class HangingUp(Unanswering):
    """A scale that sends a weight and goes before it has the consent."""

    async def write(self, _: str, data: bytes, /) -> None:
        raise LinkLost(Loss.DISCONNECTED)


def test_what_came_before_a_consent_that_could_not_be_given_is_kept() -> None:
    async def run() -> tuple[tuple[str, bytes] | None, Loss]:
        link = HangingUp()
        arrivals = Arrivals(await link.subscribe())
        try:
            await give_consent(link, arrivals, bytes.fromhex("0201a80e"))
            kept = await arrivals.next(None)
            with pytest.raises(LinkLost) as lost:
                await arrivals.next(None)
        finally:
            await arrivals.close()
        return kept, lost.value.reason

    assert asyncio.run(run()) == ((MEASUREMENT, bytes.fromhex(BF720)), Loss.DISCONNECTED)


def test_a_consent_that_is_not_answered_times_out_and_what_came_is_kept() -> None:
    async def run() -> tuple[tuple[str, bytes] | None, Loss]:
        link = Unanswering()
        arrivals = Arrivals(await link.subscribe())
        try:
            await give_consent(link, arrivals, bytes.fromhex("0201a80e"), timeout_s=0.05)
            kept = await arrivals.next(None)
            with pytest.raises(LinkLost) as lost:
                await arrivals.next(None)
        finally:
            await arrivals.close()
        return kept, lost.value.reason

    assert asyncio.run(run()) == ((MEASUREMENT, bytes.fromhex(BF720)), Loss.TIMEOUT)


def test_a_uc_352_is_set_before_it_sends_where_that_is_wanted() -> None:
    clock, site = SettableClock(CLOCK), Site(DRIVER)
    meet(DRIVER, SIMULATOR, and_scale(clock, [*MEMORY, NORMAL]), site, {"set_clock": True, "first_download": "all"})
    assert [value.hex() for value in clock.written] == ["ea070b150a2000"]  # 2026-11-21 10:32:00
    assert site.outcomes == [ClockOutcome.SET]
    assert site.measured == ["2026-11-15 10:32", "2026-11-21 08:32", "2026-11-21 10:31"]


def test_off_a_uc_352_is_not_written_to() -> None:
    clock, site = SettableClock(CLOCK), Site(DRIVER)
    meet(DRIVER, SIMULATOR, and_scale(clock, [*MEMORY, NORMAL]), site, {})
    assert (clock.written, len(site.messages), len(site.noted(Skipped))) == ([], 1, 2)


@pytest.mark.parametrize(
    "options",
    [
        {"user_index": 1},
        {"consent_code": 1},
        {"user_index": 255, "consent_code": 1},
        {"user_index": 1, "consent_code": 10_000},
    ],
)
def test_half_a_consent_is_an_error(options: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        ScaleOptions.model_validate(options)


def test_the_consent_is_written_as_a_beurer_takes_it() -> None:
    """KristianP26/ble-scale-sync, tests/scales/beurer-bf720.test.ts: user 1, code 3752."""
    assert ScaleOptions(user_index=1, consent_code=3752).consent == bytes.fromhex("0201a80e")
    (item,) = Codec(USER_CONTROL).feed(bytes.fromhex("200205"))
    assert isinstance(item, ControlResponse) and item.is_refusal


def test_f07_a_peripheral_without_a_measurement_is_refused() -> None:
    def services() -> tuple[Service, ...]:
        return (Service(uuid16(0x181D), (Characteristic(uuid=FEATURE, access=Access.READ, value=bytes(4)),)),)

    async def run(port: GattPort) -> None:
        await port.pause(60)

    _, reason = session(GattScenario(title="no measurement", services=services, run=run))
    assert reason is UnexpectedDevice().reason
