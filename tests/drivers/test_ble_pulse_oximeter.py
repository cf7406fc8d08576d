"""The codec against vectors and the tables of the Pulse Oximeter Service; the driver over the simulated radio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import devicebridge_drivers.ble_pulse_oximeter as driver
from devicebridge import readings
from devicebridge.sdk import (
    Absent,
    Battery,
    ClockOutcome,
    DeviceClock,
    DeviceIdentity,
    InProgress,
    LinkLost,
    Loss,
    Name,
    Noise,
    Observation,
    Origin,
    Status,
    UnexpectedDevice,
    Unit,
    racp,
)
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.settable_clock import SettableClock
from devicebridge.sdk.simulation import Access, Characteristic, GattPort, GattScenario, Service, Vitals
from devicebridge.testing import vectors
from devicebridge_drivers.ble_pulse_oximeter import DRIVER
from devicebridge_drivers.ble_pulse_oximeter.codec import (
    CHARACTERISTICS,
    CONTINUOUS,
    FEATURES,
    SPOT_CHECK,
    Codec,
    Features,
    Sample,
    SpotCheck,
)
from devicebridge_drivers.ble_pulse_oximeter.nonin import OXIMETRY, Oximetry
from devicebridge_drivers.ble_pulse_oximeter.session import Oximeter, PulseOximeterOptions
from devicebridge_simulators.ble_pulse_oximeter import (
    CLOCK,
    SIMULATOR,
    SPOT,
    STORED,
    VALIDATED,
    measure,
    memory,
    replay,
)
from devicebridge_simulators.ble_pulse_oximeter import Oximetry as Shown
from support import virtual_time
from support.radio import Remembering, meet
from support.site import Site

VECTORS = vectors.load(Path(driver.__file__).parent)


def one(characteristic: str, data: str) -> Any:
    (item,) = Codec(characteristic).feed(bytes.fromhex(data))
    return item


def observed(characteristic: str, data: str) -> Observation:
    item = one(characteristic, data)
    assert isinstance(item, SpotCheck | Sample | Oximetry), item
    return item.group[0]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v.id)
def test_vectors(vector: vectors.Vector) -> None:
    vectors.check(DRIVER, vector)


def test_vector_ids_are_unique() -> None:
    assert len({v.id for v in VECTORS}) == len(VECTORS)


@given(st.sampled_from((*CHARACTERISTICS, "ffff")), st.binary(max_size=64))
def test_one_item_a_value_and_never_an_exception(characteristic: str, data: bytes) -> None:
    (item,) = Codec(characteristic).feed(data)
    assert item.raw == data


@given(st.sampled_from((SPOT_CHECK, CONTINUOUS)), st.integers(0, 255), st.binary(min_size=22, max_size=22))
def test_f10_every_number_given_out_can_be_one(characteristic: str, flags: int, rest: bytes) -> None:
    sizes = (7, 2, 3, 2) if characteristic == SPOT_CHECK else (4, 4, 2, 3, 2)
    length = 4 + sum(size for bit, size in enumerate(sizes) if flags >> bit & 1)
    (item,) = Codec(characteristic).feed(bytes([flags]) + rest[:length])
    assert not isinstance(item, Noise)
    for value in item.group[0].values:
        assert value.value is None or readings.normalize(value).value == value.value


def words(*names: str) -> list[Status | None]:
    return [Status(name) if name else None for name in names]


# Pulse Oximeter Service 1.0.1, 3.1.1.6 and 3.1.1.7, by bit. From storage is an origin and no status.
MEASUREMENT_BITS = words(
    "", "", "", "", "", "measurement-ongoing", "early-estimate", "validated", "fully-qualified", "", "test-data",
    "test-data", "calibration-ongoing", "measurement-unavailable", "questionable-measurement", "invalid-measurement",
)  # fmt: skip
DEVICE_BITS = words(
    "extended-display-update", "device-error", "signal-processing-irregular", "inadequate-signal", "poor-signal",
    "low-perfusion", "erratic-signal", "non-pulsatile", "questionable-pulse", "signal-analysis-ongoing",
    "sensor-interference", "sensor-off", "sensor-fault", "sensor-displaced", "sensor-fault", "sensor-disconnected",
    *[""] * 8,
)  # fmt: skip
NO_NUMBER = {
    Status.INVALID_MEASUREMENT,
    Status.MEASUREMENT_UNAVAILABLE,
    Status.SENSOR_OFF,
    Status.SENSOR_DISCONNECTED,
}


@pytest.mark.parametrize("characteristic, flag", [(SPOT_CHECK, "02"), (CONTINUOUS, "04")])
@pytest.mark.parametrize(("bit", "status"), list(enumerate(MEASUREMENT_BITS)), ids=str)
def test_every_measurement_status_bit(characteristic: str, flag: str, bit: int, status: Status | None) -> None:
    observation = observed(characteristic, f"{flag}61004800" + (1 << bit).to_bytes(2, "little").hex())
    assert observation.status == ({status} if status else set())
    assert observation.origin is (Origin.STORED if bit == 9 else Origin.LIVE)
    assert (observation.values[0].value is None) is (status in NO_NUMBER)


@pytest.mark.parametrize("characteristic, flag", [(SPOT_CHECK, "04"), (CONTINUOUS, "08")])
@pytest.mark.parametrize(("bit", "status"), list(enumerate(DEVICE_BITS)), ids=str)
def test_every_device_and_sensor_status_bit(characteristic: str, flag: str, bit: int, status: Status | None) -> None:
    observation = observed(characteristic, f"{flag}61004800" + (1 << bit).to_bytes(3, "little").hex())
    assert observation.status == ({status} if status else set())
    assert (observation.values[0].value is None) is (status in NO_NUMBER)


@pytest.mark.parametrize(
    ("word", "absent"),
    [
        ("ff07", Absent.NOT_A_NUMBER),
        ("0008", Absent.ERROR),
        ("fe07", Absent.POSITIVE_INFINITY),
        ("0208", Absent.NEGATIVE_INFINITY),
        ("0108", Absent.ERROR),
    ],
)
@pytest.mark.parametrize("place", range(3))
def test_f10_special_words_are_absent_in_every_field(word: str, absent: Absent, place: int) -> None:
    fields = ["6100", "4800", "1ff0"]
    fields[place] = word
    value = observed(CONTINUOUS, "10" + "".join(fields)).values[place]
    assert (value.value, value.absent) == (None, absent)


def test_digits_units_and_the_other_averages() -> None:
    """SpeziBluetooth, PLXTests, testFullMeasurementCoding."""
    sample = one(CONTINUOUS, "1fdef3caf3caf35af5d4f3b2f220010000007ae3")
    assert isinstance(sample, Sample)
    assert sample.fast == (Decimal("97.0"), Decimal("137.0"))
    assert sample.slow == (Decimal("98.0"), Decimal("69.0"))
    assert [(v.name, v.unit, str(v.value)) for v in sample.group[0].values] == [
        (Name.SPO2, Unit.PERCENT, "99.0"),
        (Name.PULSE_RATE, Unit.PER_MINUTE, "97.0"),
        (Name.PERFUSION_INDEX, Unit.PERCENT, "8.90"),
    ]


def test_features() -> None:
    """SpeziBluetooth, PLXTests, testPLXFeaturesCoding."""
    features = one(FEATURES, "a3004010800100")
    assert isinstance(features, Features)
    assert features.features == ("measurement-status", "device-and-sensor-status", "slow-metric", "multiple-bonds")
    assert features.measurement_status == {Status.CALIBRATION_ONGOING, Status.EARLY_ESTIMATE}
    assert features.device_status == {Status.NON_PULSATILE, Status.QUESTIONABLE_PULSE}
    assert not features.reports_storage
    assert one(FEATURES, "01000002").reports_storage


def test_nonin_fields() -> None:
    second = one(OXIMETRY, "0a541d01360007610048")
    assert isinstance(second, Oximetry)
    assert (second.counter, second.battery_v) == (7, Decimal("2.9"))


# --- The session -------------------------------------------------------------------------------------------------


class Kept(Remembering):
    @property
    def spo2(self) -> list[Decimal | None]:
        return [o.values[0].value for o in self.observations]


def play(scenario: GattScenario, kept: Kept | None = None, **options: object) -> tuple[Kept, Loss]:
    outlet = kept or Kept()
    return outlet, meet(DRIVER, SIMULATOR, scenario, outlet, options)


def test_what_the_oximeter_says_of_itself_is_noted_and_the_finger_too() -> None:
    kept, reason = play(SIMULATOR.scenarios["two-fingers"])
    assert reason is Loss.DISCONNECTED
    assert kept.events == [
        DeviceClock(CLOCK),
        DeviceIdentity("devicebridge", "Simulated oximeter", "SIM-OX-1", "1.0"),
        Battery(percent=77),
        InProgress(),
        InProgress(),
    ]
    assert kept.spo2 == [97, 94]


def test_how_long_values_must_hold_is_an_option() -> None:
    short = SIMULATOR.scenarios["finger-too-short"]
    assert play(short, steady_s=3)[0].spo2 == [97]
    assert play(short, steady_s=4)[0].spo2 == []


def test_the_simulated_patient_is_measured() -> None:
    vitals = Vitals(
        systolic_mmhg=127,
        diastolic_mmhg=83,
        mean_mmhg=98,
        pulse_per_min=71,
        spo2_percent=96,
        temperature_cel=Decimal("36.8"),
        local_time=datetime(2026, 11, 21, 10, 0),
    )
    kept, _ = play(measure(vitals))
    assert [(v.name, v.value) for v in kept.observations[0].values[:2]] == [(Name.SPO2, 96), (Name.PULSE_RATE, 71)]


def spot_checks(*values: tuple[int, timedelta]) -> list[bytes]:
    return [
        Shown(Decimal(spo2), Decimal(70), measurement=VALIDATED | STORED).encode_spot_check(CLOCK - age)
        for spo2, age in values
    ]


def test_only_what_is_new_in_the_memory_is_sent() -> None:
    kept = Kept()
    old = spot_checks((96, timedelta(days=1)), (95, timedelta(hours=2)))
    play(memory("first", old), kept, first_download="all")
    assert kept.spo2 == [96, 95]
    play(memory("again", old), kept)
    assert kept.spo2 == [96, 95]
    play(memory("later", [*old, *spot_checks((94, timedelta(hours=1)))]), kept)
    assert kept.spo2 == [96, 95, 94]
    assert {o.origin for o in kept.observations} == {Origin.STORED}


def test_a_first_meeting_sends_only_what_is_recent() -> None:
    values = spot_checks((96, timedelta(days=1)), (95, timedelta(minutes=9)))
    assert play(memory("recent", values))[0].spo2 == [95]
    assert play(memory("none", values), first_download="none")[0].spo2 == []


def test_an_oximeter_that_does_not_mark_what_is_stored() -> None:
    unmarked = Shown(Decimal(96), Decimal(70)).encode_spot_check(CLOCK - timedelta(days=1))
    fresh = Shown(Decimal(98), Decimal(64)).encode_spot_check(CLOCK)
    scenario = memory("unmarked", [unmarked], live=[fresh], features=bytes.fromhex("0c00"))
    kept, _ = play(scenario, first_download="all")
    assert [(o.values[0].value, o.origin) for o in kept.observations] == [(96, Origin.STORED), (98, Origin.LIVE)]


def test_an_oximeter_without_any_known_characteristic_is_refused() -> None:
    def services() -> tuple[Service, ...]:
        return (Service(uuid16(0x1822), (Characteristic(uuid=FEATURES, access=Access.READ, value=bytes(2)),)),)

    async def run(port: GattPort) -> None:
        await port.pause(60)

    assert play(GattScenario(title="", services=services, run=run))[1] is UnexpectedDevice().reason


@pytest.mark.parametrize("is_on", [True, False])
def test_the_clock_is_set_after_a_spot_check_where_that_is_wanted(is_on: bool) -> None:
    clock, site = SettableClock(CLOCK), Site(DRIVER)
    spot_check = Shown(Decimal(98), Decimal(64)).encode_spot_check(CLOCK - timedelta(seconds=20))
    scenario = replay("a spot-check", [(SPOT, spot_check)], clock=clock)
    assert meet(DRIVER, SIMULATOR, scenario, site, {"set_clock": is_on}) is Loss.DISCONNECTED
    assert [value.hex() for value in clock.written] == ["ea070b150a2000060001"] * is_on  # 2026-11-21 10:32:00, Saturday
    assert site.outcomes == [ClockOutcome.SET] * is_on
    assert site.measured == ["2026-11-21 10:31"]


# --- Acts, without a radio ---------------------------------------------------------------------------------------

STEADY = Shown(Decimal(97), Decimal(72), measurement=0, device=0)


def feed(oximeter: Oximeter, values: Sequence[tuple[str, bytes]]) -> None:
    async def run() -> None:
        for characteristic, value in values:
            await oximeter.take(characteristic, value)

    asyncio.run(run())


def fed(*values: tuple[str, bytes], waits: bool = False) -> tuple[Oximeter, Kept]:
    kept = Kept()
    oximeter = Oximeter(kept, PulseOximeterOptions(), waits_for_spot_check=waits)
    feed(oximeter, values)
    return oximeter, kept


def seconds(count: int, shown: Shown = STEADY) -> list[tuple[str, bytes]]:
    return [(CONTINUOUS, shown.encode_continuous())] * count


def test_a_stream_gives_one_reading_however_long_the_finger_stays() -> None:
    _, kept = fed(*seconds(300))
    assert kept.spo2 == [97]


def test_an_end_of_the_stream_ends_the_act() -> None:
    oximeter, kept = fed(*seconds(10))
    asyncio.run(oximeter.silence())
    feed(oximeter, seconds(10, replace(STEADY, spo2=Decimal(93))))
    assert kept.spo2 == [97, 93]


def test_noise_begins_the_seconds_anew() -> None:
    broken = (CONTINUOUS, STEADY.encode_continuous()[:-1])
    assert fed(*seconds(4), broken, *seconds(4))[1].spo2 == []
    assert fed(*seconds(4), broken, *seconds(5))[1].spo2 == [97]


@pytest.mark.parametrize("measurement", [1 << 6, 1 << 12, 1 << 14], ids=["early", "calibration", "questionable"])
def test_preliminary_and_doubtful_values_are_not_steady(measurement: int) -> None:
    assert fed(*seconds(30, replace(STEADY, measurement=measurement)))[1].spo2 == []


@pytest.mark.parametrize("measurement", [1 << 13, 1 << 15], ids=["unavailable", "invalid"])
def test_no_value_is_no_reading(measurement: int) -> None:
    assert fed(*seconds(30, replace(STEADY, measurement=measurement)))[1].observations == []


def test_numbers_that_mean_no_finger_end_the_act() -> None:
    """127 and 511 where the standard has NaN: not seen as an end, the next person would not be read."""
    gone = (CONTINUOUS, bytes.fromhex("007f00ff01"))
    _, kept = fed(*seconds(10), gone, *seconds(10, replace(STEADY, spo2=Decimal(93))))
    assert kept.spo2 == [97, 93]


SPOT_VALUE = (SPOT_CHECK, Shown(Decimal(98), Decimal(64)).encode_spot_check(CLOCK))
GONE = seconds(1, Shown(None, None, measurement=1 << 15, device=1 << 11))


@pytest.mark.parametrize("at", [0, 3, 8, 10])
def test_a_spot_check_stands_for_the_stream_of_its_finger(at: int) -> None:
    stream = seconds(10)
    _, kept = fed(*GONE, *stream[:1], *stream[1:at], SPOT_VALUE, *stream[max(at, 1) :], *GONE, waits=True)
    assert kept.spo2 == [98]


def test_the_next_finger_may_have_a_stream_only() -> None:
    _, kept = fed(*seconds(10), SPOT_VALUE, *GONE, *seconds(10), *GONE, waits=True)
    assert kept.spo2 == [98, 97]


def test_a_streams_reading_that_waits_is_not_lost_with_the_link() -> None:
    oximeter, kept = fed(*seconds(10), waits=True)
    assert kept.spo2 == []
    asyncio.run(oximeter.silence())
    assert kept.spo2 == [97]


def test_f21_stamps_of_an_unset_clock_are_no_keys() -> None:
    stamped = Shown(Decimal(98), Decimal(64)).encode_spot_check(datetime(2000, 1, 1, 0, 0, 40), clock_unset=True)
    _, kept = fed((SPOT_CHECK, stamped))
    assert [(o.device_time, o.status) for o in kept.observations] == [(None, {Status.CLOCK_UNSET})]


def test_stored_values_without_times_are_told_apart_by_their_order() -> None:
    def undated(*spo2: int) -> GattScenario:
        shown = [Shown(Decimal(n), Decimal(70), measurement=VALIDATED | STORED) for n in spo2]
        return memory("undated", [s.encode_spot_check(None) for s in shown])

    kept = Kept()
    play(undated(96, 95), kept, first_download="all")
    play(undated(96, 95, 94), kept)
    assert kept.spo2 == [96, 95, 94]


@pytest.mark.parametrize("reset", [datetime(2000, 1, 1, 0, 3), None], ids=["starts anew", "is none"])
def test_a_clock_that_lost_its_time_hides_no_stored_value(reset: datetime | None) -> None:
    """As after a change of batteries: what is new is told by its place, and not by its time."""

    def dated(*shown: tuple[int, datetime | None]) -> GattScenario:
        values = [(Shown(Decimal(n), Decimal(70), measurement=VALIDATED | STORED), time) for n, time in shown]
        return memory("dated", [value.encode_spot_check(time) for value, time in values])

    kept, before = Kept(), ((96, CLOCK - timedelta(days=2)), (95, CLOCK - timedelta(days=1)))
    play(dated(*before), kept, first_download="all")
    play(dated(*before, (94, reset)), kept)
    assert kept.spo2 == [96, 95, 94]


class Endless:
    """An oximeter that sends one stored value after the other, and never says that these were all."""

    name = ""

    def has(self, characteristic: str, /) -> bool:
        return characteristic in (SPOT_CHECK, racp.RACP)

    async def read(self, _: str, /) -> bytes:
        raise LinkLost(Loss.FAILED)

    async def write(self, _: str, data: bytes, /) -> None:
        return

    async def subscribe(self, *_: str) -> AsyncIterator[tuple[str, bytes]]:
        async def values() -> AsyncIterator[tuple[str, bytes]]:
            while True:
                yield SPOT_CHECK, Shown(Decimal(98), Decimal(64)).encode_spot_check(CLOCK)

        return values()


def test_f18_a_memory_without_an_end_is_given_up_and_none_of_it_is_live() -> None:
    kept = Kept()
    with pytest.raises(LinkLost, match="flooded"):
        asyncio.run(asyncio.wait_for(DRIVER.session(Endless(), kept, PulseOximeterOptions()), 20))
    assert kept.observations == []


class Late(Endless):
    """An oximeter that does not mark what is stored, and sends it after the time for that is over."""

    async def subscribe(self, *_: str) -> AsyncIterator[tuple[str, bytes]]:
        async def values() -> AsyncIterator[tuple[str, bytes]]:
            await asyncio.sleep(3 * racp.TIMEOUT_S)
            yield SPOT_CHECK, Shown(Decimal(98), Decimal(64)).encode_spot_check(CLOCK)
            raise LinkLost(Loss.DISCONNECTED)

        return values()


def test_what_comes_of_a_memory_after_its_time_is_not_taken_for_live() -> None:
    kept = Kept()
    with pytest.raises(LinkLost, match="disconnected"):
        virtual_time.run(DRIVER.session(Late(), kept, PulseOximeterOptions()))
    assert [(o.values[0].value, o.origin) for o in kept.observations] == [(98, Origin.STORED)]


class Visited(Endless):
    """An oximeter without a memory that has just sent its spot-checks, and is still there."""

    def has(self, characteristic: str, /) -> bool:
        return characteristic == SPOT_CHECK

    async def subscribe(self, *_: str) -> AsyncIterator[tuple[str, bytes]]:
        async def values() -> AsyncIterator[tuple[str, bytes]]:
            for spo2 in (97, 98):
                yield SPOT_CHECK, Shown(Decimal(spo2), Decimal(64)).encode_spot_check(CLOCK)
            await asyncio.Event().wait()

        return values()


def test_what_has_come_is_published_when_the_session_is_stopped() -> None:
    class Busy(Kept):
        async def emit(self, *group: Observation) -> None:
            await super().emit(*group)
            if len(self.groups) == 1:
                is_busy.set()
                await asyncio.Event().wait()

    async def run() -> None:
        session = asyncio.ensure_future(DRIVER.session(Visited(), kept, PulseOximeterOptions()))
        await asyncio.wait_for(is_busy.wait(), 5)
        session.cancel()
        await asyncio.wait((session,), timeout=5)
        assert session.cancelled()

    kept, is_busy = Busy(), asyncio.Event()
    asyncio.run(run())
    assert kept.spo2 == [97, 98]
