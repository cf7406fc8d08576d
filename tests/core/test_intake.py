"""Whose clock is believed, what a reading's id is made of, and where it goes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicebridge.commands.schema import schema
from devicebridge.intake import Intake, Source
from devicebridge.sdk import Absent, DeviceIdentity, Kind, Name, Observation, Origin, Status, Unit, Value

CHICAGO = ZoneInfo("America/Chicago")
NOW = datetime(2026, 11, 21, 16, 32, 7, 412000, tzinfo=UTC)  # 10:32:07.412 in Chicago
SOURCE = Source(
    site="main-street",
    room="exam-3",
    device="cuff",
    driver="ble-blood-pressure",
    link_identity="c0:00:00:00:00:01",
    link_identity_is_device=True,
    simulated=False,
)
BP = Observation(
    kind=Kind.BLOOD_PRESSURE,
    values=(
        Value(Name.SYSTOLIC, Unit.KPA, Decimal("17.1")),
        Value(Name.DIASTOLIC, Unit.KPA, Decimal("10.9")),
        Value(Name.MEAN, Unit.KPA, absent=Absent.NOT_A_NUMBER),
    ),
    raw=b"\x01\x02",
)


@dataclass
class FixedClock:
    instant: datetime = NOW
    elapsed_s: float = 0.0

    def now(self) -> datetime:
        return self.instant

    def monotonic_s(self) -> float:
        return self.elapsed_s

    def pass_s(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)
        self.elapsed_s += seconds

    async def sleep(self, seconds: float, /) -> None:
        self.pass_s(seconds)


def published(
    observation: Observation, *, device_now: datetime | None = None, now: datetime = NOW, zone: ZoneInfo = CHICAGO
) -> dict[str, Any]:
    intake = Intake(SOURCE, zone, FixedClock(now))
    if device_now:
        intake.read_clock(device_now)
    [entry] = intake.entries((observation,))
    message: dict[str, Any] = json.loads(entry.payload)
    jsonschema.validate(message, schema("reading"), format_checker=jsonschema.FormatChecker())
    return message


def stamped(*when: int, origin: Origin = Origin.LIVE) -> Observation:
    return replace(BP, device_time=datetime(*when), origin=origin)


def test_the_message_is_the_designed_one() -> None:
    message = published(stamped(2026, 11, 21, 10, 20, 0), device_now=datetime(2026, 11, 21, 10, 20, 2))
    assert message["measured_at"] == "2026-11-21T10:32:05.412000-06:00"
    assert message["received_at"] == "2026-11-21T10:32:07.412000-06:00"
    assert message["device_time"] == "2026-11-21T10:20:00"
    assert (message["clock"], message["clock_offset_s"], message["origin"]) == ("corrected", 725, "live")
    assert message["values"][0] == {
        "name": "systolic",
        "value": 128,
        "unit": "mm[Hg]",
        "loinc": "8480-6",
        "mdc": 150021,
        "raw": {"value": "17.1", "unit": "kPa"},
    }
    assert message["values"][2] == {
        "name": "mean",
        "absent": "not-a-number",
        "unit": "mm[Hg]",
        "loinc": "8478-0",
        "mdc": 150023,
    }
    assert message["subject"] is None
    assert (message["state"], message["revision"], message["simulated"]) == ("preliminary", 1, False)


def test_f21_an_old_record_is_stored_even_if_the_driver_did_not_know() -> None:
    message = published(stamped(2026, 11, 20, 10, 20, 0), device_now=datetime(2026, 11, 21, 10, 20, 2))
    assert message["origin"] == "stored"
    assert message["measured_at"] == "2026-11-20T10:32:05.412000-06:00"


@pytest.mark.parametrize("year", [1970, 2000, 2009])
def test_f21_an_unset_clock_is_never_believed(year: int) -> None:
    live = published(stamped(year, 1, 1, 0, 5, 0), device_now=datetime(year, 1, 1, 0, 6, 0))
    assert (live["measured_at"], live["clock"]) == (live["received_at"], "gateway")
    assert live["status"] == ["clock-unset"]
    assert live["device_time"] == f"{year}-01-01T00:05:00"
    assert live["clock_offset_s"] is None
    stored = published(stamped(year, 1, 1, 0, 5, 0, origin=Origin.STORED))
    assert (stored["measured_at"], stored["clock"], stored["state"]) == (None, "unknown", "held")


def test_without_any_stamp_live_is_now_and_stored_is_held() -> None:
    live = published(BP)
    assert (live["measured_at"], live["clock"]) == (live["received_at"], "gateway")
    stored = published(replace(BP, origin=Origin.STORED, status=frozenset({Status.CLOCK_UNSET})))
    assert (stored["measured_at"], stored["clock"], stored["state"]) == (None, "unknown", "held")


def test_a_stamp_whose_clock_cannot_be_read_is_believed_only_where_it_agrees() -> None:
    agreeing = published(stamped(2026, 11, 21, 10, 31, 0))
    assert (agreeing["measured_at"], agreeing["clock"]) == ("2026-11-21T10:31:00-06:00", "device-synced")
    old = published(stamped(2024, 6, 15, 17, 17, 27))
    assert (old["measured_at"], old["clock"], old["state"]) == (None, "unknown", "held")


def test_a_stamp_ahead_of_the_devices_own_present_was_made_before_its_clock_was_reset() -> None:
    message = published(stamped(2026, 11, 22, 10, 20, 0), device_now=datetime(2026, 11, 21, 10, 20, 2))
    assert (message["measured_at"], message["origin"], message["state"]) == (None, "stored", "held")


@pytest.mark.parametrize(
    ("stamp", "device_now"),
    [
        ((2000, 1, 1, 10, 0, 0), (2000, 1, 3, 10, 0, 0)),  # never set, and two days old by its own running clock
        ((2000, 1, 1, 10, 0, 0), (2026, 11, 21, 10, 32, 0)),  # set since
        ((2026, 11, 20, 10, 0, 0), (2000, 1, 1, 0, 3, 0)),  # lost since
    ],
)
def test_f21_a_record_from_before_the_clock_was_set_or_lost_never_looks_new(
    stamp: tuple[int, ...], device_now: tuple[int, ...]
) -> None:
    message = published(stamped(*stamp), device_now=datetime(*device_now))
    assert (message["measured_at"], message["origin"], message["state"]) == (None, "stored", "held")


def test_a_stamp_a_little_ahead_of_us_is_not_measured_in_the_future() -> None:
    message = published(stamped(2026, 11, 21, 10, 33, 30))
    assert (message["measured_at"], message["clock"]) == (message["received_at"], "device-synced")
    further = published(stamped(2026, 11, 21, 10, 35, 5))
    assert (further["measured_at"], further["state"]) == (None, "held")


@pytest.mark.parametrize("jump_s", [3600, -3600, 86_400])
def test_f23_a_jump_of_our_own_clock_between_the_clock_reading_and_the_measurement_moves_nothing(jump_s: int) -> None:
    clock = FixedClock()
    intake = Intake(SOURCE, CHICAGO, clock)
    intake.read_clock(datetime(2026, 11, 21, 10, 32, 7))
    clock.pass_s(600)
    clock.instant += timedelta(seconds=jump_s)
    fresh, old = stamped(2026, 11, 21, 10, 42, 0), stamped(2026, 11, 21, 10, 22, 0)
    live, stored = (json.loads(entry.payload) for entry in intake.entries((fresh, old)))
    received = datetime.fromisoformat(live["received_at"])
    assert live["origin"] == "live"
    assert received - datetime.fromisoformat(live["measured_at"]) == timedelta(seconds=7)
    assert stored["origin"] == "stored"
    assert live["status"] == stored["status"] == ["gateway-clock-set"]
    [after] = intake.entries((fresh,))
    assert json.loads(after.payload)["status"] == [], "only what lies across the jump"


def test_f22_a_record_from_before_the_change_of_the_clocks_keeps_its_local_time() -> None:
    """A device that agrees with us on 2026-03-10 (CDT) holds a record of 08:00 on the 7th (CST)."""
    instant = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)
    now = datetime(2026, 3, 10, 10, 0, 0)
    message = published(stamped(2026, 3, 7, 8, 0, 0), device_now=now, now=instant)
    assert (message["measured_at"], message["clock"]) == ("2026-03-07T08:00:00-06:00", "device-synced")


@given(stamp=st.none() | st.datetimes(), device_now=st.none() | st.datetimes(), origin=st.sampled_from(Origin))
def test_no_device_time_is_too_odd(stamp: datetime | None, device_now: datetime | None, origin: Origin) -> None:
    """It never raises; nothing is measured after it arrived; nothing from memory is dated without a clock to do so."""
    message = published(replace(BP, device_time=stamp, origin=origin), device_now=device_now)
    measured = message["measured_at"]
    assert measured is None or datetime.fromisoformat(measured) <= datetime.fromisoformat(message["received_at"])
    assert (measured is None) == (message["clock"] == "unknown") == (message["state"] == "held")
    if origin is Origin.STORED and device_now is None:
        assert measured is None


def test_f22_the_repeated_hour_is_the_one_nearest_to_arrival() -> None:
    """On 2026-11-01 Chicago's 01:30 comes twice: at 06:30 and at 07:30 UTC."""
    for now, offset in (((6, 31), "-05:00"), ((7, 31), "-06:00")):
        instant = datetime(2026, 11, 1, *now, tzinfo=UTC)
        message = published(stamped(2026, 11, 1, 1, 30, 0), now=instant)
        assert message["measured_at"] == f"2026-11-01T01:30:00{offset}"


def test_f22_an_hour_that_came_twice_is_marked_where_only_the_stamp_tells_it() -> None:
    """A meter that agrees with us at 10:00 CST, and whose record says 01:30: before or after it followed the change?"""
    instant = datetime(2026, 11, 1, 16, 0, tzinfo=UTC)
    now = datetime(2026, 11, 1, 10, 0, 0)
    for hour, marks in ((1, ["time-repeated"]), (3, [])):
        message = published(stamped(2026, 11, 1, hour, 30, 0), device_now=now, now=instant)
        assert (message["clock"], message["status"]) == ("device-synced", marks)
        assert message["measured_at"] == f"2026-11-01T0{hour}:30:00-06:00"
    live = published(
        stamped(2026, 11, 1, 1, 30, 0), device_now=datetime(2026, 11, 1, 1, 31), now=instant.replace(hour=7, minute=31)
    )
    assert live["status"] == [], "one that has just come is of the hour it came in"


def test_f22_correction_crosses_a_clock_change_by_elapsed_time() -> None:
    """A device still on summer time an hour after the change: its own elapsed minutes decide."""
    instant = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)  # 02:00 CST; the device shows 03:00
    message = published(stamped(2026, 11, 1, 2, 58, 0), device_now=datetime(2026, 11, 1, 3, 0, 0), now=instant)
    assert message["measured_at"] == "2026-11-01T01:58:00-06:00"
    assert message["clock_offset_s"] == -3600


def id_of(observation: Observation, source: Source = SOURCE, identity: DeviceIdentity | None = None) -> str:
    intake = Intake(source, CHICAGO, FixedClock())
    if identity:
        intake.identity = identity
    return intake.entries((observation,))[0].id


def test_f08_f16_the_id_is_the_same_for_the_same_measurement_wherever_it_is_heard() -> None:
    once = stamped(2026, 11, 21, 10, 20, 0)
    elsewhere = replace(SOURCE, room="exam-4", device="other-name")
    assert id_of(once) == id_of(replace(once, raw=b"re-sent", origin=Origin.STORED)) == id_of(once, elsewhere)
    assert id_of(once) != id_of(stamped(2026, 11, 21, 10, 21, 0))
    assert id_of(once) != id_of(once, replace(SOURCE, link_identity="c0:00:00:00:00:02"))
    assert id_of(once) != id_of(replace(once, values=once.values[:2]))
    assert id_of(replace(BP, record="7")) == id_of(replace(BP, record="7"))


def test_f08_without_a_key_of_the_devices_own_each_reading_is_its_own() -> None:
    assert id_of(BP) != id_of(BP)
    never_set = stamped(2000, 1, 1, 0, 0, 0)
    assert id_of(never_set) != id_of(never_set), "a stuck clock must not make one measurement of two"


def test_on_a_cable_the_devices_serial_is_its_identity_where_it_gives_one() -> None:
    cable = replace(SOURCE, link_identity_is_device=False, link_identity="usb:10c4:ea60:1")
    other_cable = replace(cable, link_identity="usb:10c4:ea60:2", room="exam-9")
    once, me = stamped(2026, 11, 21, 10, 20, 0), DeviceIdentity("Nonin", "9560", "501234", None)
    assert id_of(once, cable, me) == id_of(once, other_cable, me)
    assert id_of(once, cable) != id_of(once, other_cable)


def test_f59_control_and_test_data_go_to_quarantine() -> None:
    intake = Intake(SOURCE, CHICAGO, FixedClock())
    [entry] = intake.entries((replace(BP, status=frozenset({Status.TEST_DATA})),))
    assert entry.topic == "devicebridge/v1/main-street/exam-3/cuff/quarantine"
    [entry] = intake.entries((BP,))
    assert entry.topic == "devicebridge/v1/main-street/exam-3/cuff/reading/blood-pressure"
    assert (entry.lane, entry.raw) == ("cuff", b"\x01\x02")


def test_f59_simulated_readings_say_so() -> None:
    intake = Intake(replace(SOURCE, simulated=True), CHICAGO, FixedClock())
    assert json.loads(intake.entries((BP,))[0].payload)["simulated"] is True


@pytest.mark.parametrize("origin", Origin)
def test_f58_nobody_is_guessed_whatever_the_time_of_the_measurement(origin: Origin) -> None:
    """Of the last patient, of before the visit, of a user's place in the device's memory: a person says whose it is."""
    for when in ((2026, 11, 21, 10, 32, 0), (2026, 11, 21, 8, 0, 0), (2026, 11, 20, 10, 0, 0)):
        observation = replace(stamped(*when, origin=origin), device_user=2)
        message = published(observation, device_now=datetime(2026, 11, 21, 10, 32, 7))
        assert (message["subject"], message["device"]["user"]) == (None, 2)
        assert message["state"] == "preliminary"
        assert message["origin"] == ("live" if when[3:5] == (10, 32) and origin is Origin.LIVE else "stored")
