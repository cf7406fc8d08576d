"""The thermometer's codec, and its session over the simulated radio. Sources of the bytes: vectors.json."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import devicebridge_drivers.ble_thermometer as driver
from devicebridge.sdk import (
    Absent,
    Battery,
    ClockOutcome,
    Context,
    DeviceClock,
    DeviceIdentity,
    Frame,
    InProgress,
    Loss,
    Noise,
    Observation,
    Origin,
    Skipped,
    Status,
    UnexpectedDevice,
    Unit,
    Why,
)
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.gatt_device import Arrivals
from devicebridge.sdk.hold import Hold, Stream
from devicebridge.sdk.settable_clock import SettableClock
from devicebridge.sdk.simulation import Access, Characteristic, GattPort, GattScenario, Service
from devicebridge_drivers.ble_thermometer import DRIVER
from devicebridge_drivers.ble_thermometer.codec import (
    CHARACTERISTICS,
    INTERMEDIATE,
    MEASUREMENT,
    Codec,
    Measurement,
    Progress,
)
from devicebridge_simulators.ble_thermometer import AND_HANG_UP, AND_SEND_ALL, CLOCK, SIMULATOR, and_thermometer
from support import virtual_time
from support.radio import Kept, Remembering, meet, numbers, play, stamps, whole
from support.site import Site

VECTORS = json.loads((Path(driver.__file__).parent / "vectors.json").read_text(encoding="utf-8"))["vectors"]
SCENARIOS = SIMULATOR.scenarios


def one(data: str, characteristic: str = MEASUREMENT, site: Context | None = None) -> Frame | Noise:
    (item,) = Codec(characteristic, site).feed(bytes.fromhex(data))
    return item


def observed(data: str, site: Context | None = None) -> Observation:
    item = one(data, site=site)
    assert isinstance(item, Measurement), item
    (observation,) = item.group
    return observation


def test_vector_ids_are_unique() -> None:
    assert len({v["id"] for v in VECTORS}) == len(VECTORS)


@given(st.sampled_from((*CHARACTERISTICS, "ffff")), st.binary(max_size=600))
def test_one_item_a_value_and_never_an_exception(characteristic: str, data: bytes) -> None:
    item = whole(Codec(characteristic), data)
    assert characteristic == MEASUREMENT or isinstance(item, Noise) or item.group == ()


@given(st.integers(0, 255), st.binary(min_size=12, max_size=12))
def test_f10_every_number_given_out_is_one_a_display_can_show(flags: int, rest: bytes) -> None:
    length = 4 + 7 * (flags >> 1 & 1) + (flags >> 2 & 1)
    (item,) = Codec().feed(bytes([flags]) + rest[:length])
    for observation in () if isinstance(item, Noise) else item.group:
        assert all(v.value is None or abs(v.value) <= 999 for v in observation.values)


@pytest.mark.parametrize(
    ("code", "site"),
    [
        (1, Context.AXILLARY),
        (2, None),
        (3, Context.EAR),
        (4, Context.FINGER),
        (5, Context.GASTROINTESTINAL),
        (6, Context.ORAL),
        (7, Context.RECTAL),
        (8, Context.TOE),
        (9, Context.TYMPANIC),
        (0, None),
        (10, None),
        (255, None),
    ],
)
def test_the_type_of_the_value_is_the_body_site(code: int, site: Context | None) -> None:
    """GATT Specification Supplement, Temperature Type."""
    assert observed(f"046c0100ff{code:02x}").context == (frozenset() if site is None else {site})


def test_the_thermometer_s_own_type_counts_where_the_value_names_none() -> None:
    assert observed("006c0100ff", Context.EAR).context == {Context.EAR}
    assert observed("046c0100ff06", Context.EAR).context == {Context.ORAL}


def test_digits_and_unit_go_out_as_sent() -> None:
    (celsius,) = observed("00b00e00fe").values
    (fahrenheit,) = observed("01da0300ff").values
    assert (str(celsius.value), celsius.unit) == ("37.60", Unit.CELSIUS)
    assert (str(fahrenheit.value), fahrenheit.unit) == ("98.6", Unit.FAHRENHEIT)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ffff7f00", Absent.NOT_A_NUMBER),
        ("00008000", Absent.ERROR),
        ("feff7f00", Absent.POSITIVE_INFINITY),
        ("02008000", Absent.NEGATIVE_INFINITY),
        ("01008000", Absent.ERROR),
    ],
)
def test_f10_special_words_are_absent(word: str, expected: Absent) -> None:
    """IEEE 11073-20601:2014, FLOAT."""
    (value,) = observed("00" + word).values
    assert (value.value, value.absent) == (None, expected)


def test_an_intermediate_value_is_never_a_group() -> None:
    assert one("04580100ff06", INTERMEDIATE) == Progress(raw=bytes.fromhex("04580100ff06"))


def test_a_biased_exponent_is_not_believed() -> None:
    assert one("01900b0f7c") == Noise(bytes.fromhex("01900b0f7c"), Why.BAD_FIELD)


# --- The session -------------------------------------------------------------------------------------------------


def session(scenario: GattScenario | str, **options: object) -> tuple[Kept, Loss]:
    return play(DRIVER, SIMULATOR, scenario, options or None)


def test_what_the_thermometer_says_of_itself_is_noted() -> None:
    kept, reason = session("normal")
    assert kept.events == [
        DeviceClock(CLOCK),
        DeviceIdentity("devicebridge", "Simulated thermometer", "SIM-HT-1", "1.0"),
        Battery(percent=64),
    ]
    assert reason is Loss.DISCONNECTED


def test_the_body_site_is_published() -> None:
    contexts = {name: session(name)[0].published(DRIVER)[0]["context"] for name in ("normal", "no-site", "backlog")}
    assert contexts == {"normal": ["oral"], "no-site": ["ear"], "backlog": []}


def test_a_failure_is_a_reading_without_a_number() -> None:
    (message,) = session("error")[0].published(DRIVER)
    assert message["quality"] == "invalid"
    assert message["values"][0]["absent"] == "not-a-number"


def test_without_a_clock_all_but_the_last_of_a_burst_are_stored() -> None:
    kept, _ = session("backlog-no-clock")
    assert [o.origin for o in kept.observations] == [Origin.STORED, Origin.STORED, Origin.LIVE]


def test_values_that_have_not_settled_are_progress() -> None:
    kept, _ = session("settling")
    assert len(kept.noted(InProgress)) == 4
    assert len(kept.observations) == 1


def test_a_stream_gives_one_reading_and_says_that_it_is_coming() -> None:
    kept, _ = session("stream")
    assert len(kept.noted(InProgress)) == 1
    assert [numbers(o) for o in kept.observations] == [{"temperature": Decimal("36.7")}]
    assert kept.observations[0].status == frozenset()


def test_how_long_a_stream_must_hold_still_is_an_option() -> None:
    kept, _ = session("stream", steady_values=3, steady_spread="0.5")
    assert [numbers(o) for o in kept.observations] == [{"temperature": Decimal("36.7")}]  # 36.2, 36.6, 36.7
    assert kept.observations[0].device_time == CLOCK.replace(second=4)


def test_the_last_of_a_stream_that_never_held_still_is_marked() -> None:
    kept, _ = session("stream-never-still")
    (observation,) = kept.observations
    assert numbers(observation) == {"temperature": Decimal("34.2")}
    assert observation.status == {Status.UNSTABLE}


def test_what_a_stream_has_stored_is_sent_value_by_value() -> None:
    values = ["026d0100ffea070b150a0000", "02700100ffea070b150a0100", "026c0100ffea070b150a1400"]  # 10:00, 10:01, 10:20

    async def run(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        for value in values:
            await port.indicate(MEASUREMENT, bytes.fromhex(value))

    services = SCENARIOS["stream"].services
    scenario = GattScenario(title="a stream with a memory", services=services, run=run)
    kept, _ = session(scenario, first_download="all")
    assert [numbers(o)["temperature"] for o in kept.observations] == [Decimal("36.5"), Decimal("36.8"), Decimal("36.4")]
    assert [m["origin"] for m in kept.published(DRIVER)] == ["stored", "stored", "live"]
    assert kept.observations[-1].status == {Status.UNSTABLE}  # one value alone has not held still


def patch(*minutes_ago: int) -> GattScenario:
    """One that measures each few seconds, and has stored a value of each of these times."""

    async def run(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        for minutes in minutes_ago:
            stamp = CLOCK - timedelta(minutes=minutes)
            moment = stamp.year.to_bytes(2, "little") + bytes([stamp.month, stamp.day, stamp.hour, stamp.minute, 0])
            await port.indicate(MEASUREMENT, bytes.fromhex("026d0100ff") + moment)

    return GattScenario(title="a patch with a memory", services=SCENARIOS["stream"].services, run=run)


@pytest.mark.parametrize(
    ("first", "sent"),
    [("recent", [9, 4, 2]), ("none", [2]), ("all", [3000, 11, 9, 4, 2])],
    ids=["recent", "none", "all"],
)
def test_of_what_a_patch_has_stored_a_first_meeting_sends_what_is_wanted(first: str, sent: list[int]) -> None:
    ages = [3000, 11, 9, 4, 2]
    kept, _ = session(patch(*ages), first_download=first)
    assert stamps(kept) == [(CLOCK - timedelta(minutes=age)).replace(second=0) for age in sent]
    assert len(kept.noted(Skipped)) == len(ages) - len(sent)


def test_of_what_a_known_patch_has_stored_nothing_is_left_out() -> None:
    kept = Remembering()
    for _ in range(2):
        meet(DRIVER, SIMULATOR, patch(3000), kept)
    assert (len(kept.observations), len(kept.noted(Skipped))) == (1, 1)


def test_what_came_of_a_stream_is_published_when_the_session_is_stopped() -> None:
    async def values() -> AsyncIterator[tuple[str, bytes]]:
        for _ in range(3):
            yield MEASUREMENT, bytes.fromhex("006d0100ff")
        await asyncio.Event().wait()

    async def run() -> Kept:
        kept = Remembering()
        stream = Stream(kept, Hold(3, Decimal(0)), gap_s=60)
        session = asyncio.ensure_future(stream.run(Arrivals(values()), {MEASUREMENT: Codec()}))
        await asyncio.sleep(0)
        session.cancel()
        await asyncio.wait((session,))
        return kept

    assert len(virtual_time.run(run()).observations) == 1


def test_a_ut_201_is_asked_for_what_it_has_and_nothing_else_is_written() -> None:
    written: list[bytes] = []
    plain = SCENARIOS["send-all"].services

    def services() -> tuple[Service, ...]:
        return tuple(Service(s.uuid, tuple(_spied(c, written) for c in s.characteristics)) for s in plain())

    kept, _ = session(GattScenario(title="spied on", services=services, run=SCENARIOS["send-all"].run))
    assert written == [AND_SEND_ALL, AND_HANG_UP]
    assert len(kept.observations) == 1


def test_a_ut_201_is_set_before_it_sends_where_that_is_wanted() -> None:
    clock, site = SettableClock(CLOCK), Site(DRIVER)
    meet(DRIVER, SIMULATOR, and_thermometer(clock), site, {"set_clock": True})
    assert [value.hex() for value in clock.written] == ["ea070b150a2000"]  # 2026-11-21 10:32:00
    assert site.outcomes == [ClockOutcome.SET]
    assert site.measured == ["2026-11-21 10:31"]


def test_f11_a_value_that_came_before_the_request_failed_is_kept() -> None:
    async def run(port: GattPort) -> None:
        await port.subscribed(MEASUREMENT)
        await port.indicate(MEASUREMENT, bytes.fromhex("006c0100ff"))
        await port.disconnect()

    kept, _ = session(GattScenario(title="gone", services=SCENARIOS["send-all"].services, run=run))
    assert [numbers(o) for o in kept.observations] == [{"temperature": Decimal("36.4")}]


def test_f07_a_peripheral_without_the_measurement_is_refused() -> None:
    def services() -> tuple[Service, ...]:
        static = Characteristic(uuid=uuid16(0x2A1D), access=Access.READ, value=b"\x06")
        return (Service(uuid16(0x1809), (static,)),)

    async def run(port: GattPort) -> None:
        await port.pause(60)

    _, reason = session(GattScenario(title="no measurement", services=services, run=run))
    assert reason is UnexpectedDevice().reason


def _spied(characteristic: Characteristic, written: list[bytes]) -> Characteristic:
    if (inner := characteristic.written) is None:
        return characteristic

    async def spy(value: bytes) -> Any:
        written.append(value)
        return await inner(value)

    return replace(characteristic, written=spy)
