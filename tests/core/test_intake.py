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

    def now(self) -> datetime:
        return self.instant

    def monotonic_s(self) -> float:
        return self.instant.timestamp()

    async def sleep(self, seconds: float, /) -> None:
        self.instant += timedelta(seconds=seconds)


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


def test_a_stamp_ahead_of_the_devices_own_present_is_from_a_broken_timeline() -> None:
    message = published(stamped(2026, 11, 22, 10, 20, 0), device_now=datetime(2026, 11, 21, 10, 20, 2))
    assert (message["measured_at"], message["clock"]) == (message["received_at"], "gateway")


def test_f22_the_repeated_hour_is_the_one_nearest_to_arrival() -> None:
    """On 2026-11-01 Chicago's 01:30 comes twice: at 06:30 and at 07:30 UTC."""
    for now, offset in (((6, 31), "-05:00"), ((7, 31), "-06:00")):
        instant = datetime(2026, 11, 1, *now, tzinfo=UTC)
        message = published(stamped(2026, 11, 1, 1, 30, 0), now=instant)
        assert message["measured_at"] == f"2026-11-01T01:30:00{offset}"


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


def test_without_a_key_of_the_devices_own_each_reading_is_its_own() -> None:
    assert id_of(BP) != id_of(BP)


def test_on_a_cable_the_devices_serial_is_its_identity_where_it_gives_one() -> None:
    cable = replace(SOURCE, link_identity_is_device=False, link_identity="usb:10c4:ea60:1")
    other_cable = replace(cable, link_identity="usb:10c4:ea60:2", room="exam-9")
    once, me = stamped(2026, 11, 21, 10, 20, 0), DeviceIdentity("Nonin", "9560", "501234", None)
    assert id_of(once, cable, me) == id_of(once, other_cable, me)
    assert id_of(once, cable) != id_of(once, other_cable)


def test_control_and_test_data_go_to_quarantine() -> None:
    intake = Intake(SOURCE, CHICAGO, FixedClock())
    [entry] = intake.entries((replace(BP, status=frozenset({Status.TEST_DATA})),))
    assert entry.topic == "devicebridge/v1/main-street/exam-3/cuff/quarantine"
    [entry] = intake.entries((BP,))
    assert entry.topic == "devicebridge/v1/main-street/exam-3/cuff/reading/blood-pressure"
    assert (entry.lane, entry.raw) == ("cuff", b"\x01\x02")


def test_f59_simulated_readings_say_so() -> None:
    intake = Intake(replace(SOURCE, simulated=True), CHICAGO, FixedClock())
    assert json.loads(intake.entries((BP,))[0].payload)["simulated"] is True
