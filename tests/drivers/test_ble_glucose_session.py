"""The whole driver over the simulated radio: what is read of a meter's memory, once and whole; the control point."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from devicebridge.clock import SystemClock
from devicebridge.links.gatt import Radio
from devicebridge.sdk import (
    Battery,
    ClockOutcome,
    Context,
    DeviceClock,
    DeviceIdentity,
    Event,
    GattLink,
    LinkLost,
    Loss,
    Noise,
    Observation,
    Origin,
    Skipped,
    UnexpectedDevice,
    Wave,
    Why,
)
from devicebridge.sdk.bluetooth import CURRENT_TIME, uuid16
from devicebridge.sdk.gatt_device import Arrivals
from devicebridge.sdk.racp import ALL, RACP, RecordAccess, Result, State, memory_key
from devicebridge.sdk.settable_clock import SettableClock
from devicebridge.sdk.simulation import Access, AttError, Characteristic, GattPort, GattScenario, Service
from devicebridge_drivers.ble_glucose import DRIVER
from devicebridge_drivers.ble_glucose.session import MeterOptions
from devicebridge_simulators.ble_glucose import (
    CLOCK,
    CONTEXT,
    FRESH,
    GLUCOSE_SERVICE,
    MEASUREMENT,
    MEMORY,
    SERIAL,
    SIMULATOR,
    Meter,
    Record,
)
from support.radio import meet
from support.site import LOCAL_TIME, Site
from support.waiting import until

pytest.importorskip("bumble", reason="the simulated radio needs bumble")
from devicebridge.testing.radio import Ether

FOR_ALL = MeterOptions(first_download="all")
MARK = "14 2026-11-21T10:19:40 0.00105"
"""Record 14 as it is remembered: number, time, value."""


class Kept:
    """An outlet that keeps all it is given, and remembers."""

    def __init__(self, **memory: str) -> None:
        self.observations: list[Observation] = []
        self.events: list[Event] = []
        self.memory = memory

    async def emit(self, *group: Observation) -> None:
        await asyncio.sleep(0)
        self.observations += group

    async def recall(self, key: str, /) -> str | None:
        return self.memory.get(key)

    async def remember(self, key: str, value: str, /) -> None:
        self.memory[key] = value

    def wave(self, wave: Wave, /) -> None:
        raise AssertionError("this device has no wave")

    def local_time(self) -> datetime:
        raise AssertionError("this device's clock is not set")

    def note(self, event: Event, /) -> None:
        self.events.append(event)

    @property
    def records(self) -> list[str | None]:
        return [o.record for o in self.observations]


async def connected(scenario: GattScenario, use: Callable[[GattLink], Awaitable[object]]) -> Loss:
    """One connection from the advertisement to its end."""
    async with Ether(pace=0) as ether, ether.radio() as backend:
        radio = Radio(backend, clock=SystemClock())
        await radio.start()
        meter = await ether.add(SIMULATOR, scenario)
        spec = DRIVER.manifest.gatt
        assert spec is not None
        try:
            async with asyncio.timeout(20), radio.opener(meter.address, spec).open() as link:
                await use(link)
        except LinkLost as lost:
            return lost.reason
        finally:
            await radio.stop()
    raise AssertionError("a session ends with the link")


def visit(meter: Meter | GattScenario, kept: Kept, options: MeterOptions | None = None) -> Loss:
    scenario = meter.scenario("a visit") if isinstance(meter, Meter) else meter
    return asyncio.run(connected(scenario, lambda link: DRIVER.session(link, kept, options or FOR_ALL)))


def numbered(first: int, *values: int) -> list[Record]:
    """Records an hour apart."""
    return [
        Record(first + n, CLOCK - timedelta(hours=len(values) - n), Decimal(value).scaleb(-5))
        for n, value in enumerate(values)
    ]


def test_what_the_meter_says_of_itself_is_noted() -> None:
    kept = Kept()
    visit(Meter(MEMORY), kept)
    assert kept.events == [
        DeviceClock(CLOCK),
        DeviceIdentity("devicebridge", "Simulated meter", SERIAL, None),
        Battery(percent=64),
    ]


def test_a_first_meeting_reads_the_whole_memory_and_remembers_its_end() -> None:
    kept, meter = Kept(), Meter(MEMORY)
    assert visit(meter, kept) is Loss.DISCONNECTED
    assert kept.records == ["11", "12", "13", "14"]
    assert [o.origin for o in kept.observations] == [Origin.STORED] * 3 + [Origin.LIVE]
    assert kept.memory[SERIAL] == MARK
    assert meter.asked == [bytes([4, 1]), bytes([1, 1])]


def test_the_meal_comes_with_its_measurement() -> None:
    kept = Kept()
    visit(Meter(MEMORY), kept)
    assert Context.FASTING in kept.observations[0].context
    assert all(Context.FASTING not in o.context for o in kept.observations[1:])


@pytest.mark.parametrize(("rule", "expected"), [("recent", ["14"]), ("none", [])])
def test_a_first_meeting_passes_over_what_is_old_and_remembers_it(rule: str, expected: list[str]) -> None:
    kept, options = Kept(), MeterOptions.model_validate({"first_download": rule})
    visit(Meter(MEMORY), kept, options)
    assert kept.records == expected
    assert kept.memory[SERIAL] == MARK
    visit(Meter([*MEMORY, *numbered(15, 99)]), kept, options)
    assert kept.records == [*expected, "15"]


def test_without_a_clock_nothing_is_live_and_only_the_newest_may_be_recent() -> None:
    kept = Kept()
    visit(Meter(MEMORY, clock=None), kept, MeterOptions())
    assert [(o.record, o.origin) for o in kept.observations] == [("14", Origin.STORED)]
    assert len([e for e in kept.events if isinstance(e, Skipped)]) == len(MEMORY) - 1
    visit(Meter([*MEMORY, *numbered(15, 99)], clock=None), kept, MeterOptions())
    assert [(o.record, o.origin) for o in kept.observations[1:]] == [("15", Origin.STORED)]


def test_without_a_clock_the_newest_of_a_memory_read_by_place_may_be_recent() -> None:
    newest_first = [replace(r, sequence=n) for n, r in enumerate(reversed(MEMORY))]
    kept = Kept()
    visit(Meter(newest_first, clock=None, manufacturer="TaiDoc"), kept, MeterOptions())
    assert [o.device_time for o in kept.observations] == [MEMORY[-1].base_time]


def test_without_a_clock_a_site_that_wants_none_gets_none() -> None:
    kept = Kept()
    visit(Meter(MEMORY, clock=None), kept, MeterOptions(first_download="none"))
    assert kept.observations == []


def without_serial(meter: Meter) -> GattScenario:
    scenario = meter.scenario("its serial number cannot be read")

    def services() -> tuple[Service, ...]:
        return tuple(s for s in scenario.services() if s.uuid != uuid16(0x180A))

    return replace(scenario, services=services)


LATER = [*MEMORY, *numbered(15, 99)]
"""Measured on the day before the meter's present: at a first meeting it would be left out."""


def test_a_meter_whose_serial_number_could_not_be_read_once_is_the_same() -> None:
    kept = Kept(**{SERIAL: MARK, "serial": SERIAL})
    visit(without_serial(Meter(LATER)), kept, MeterOptions())
    assert kept.records == ["15"]
    visit(Meter([*LATER, *numbered(16, 98)]), kept, MeterOptions())
    assert kept.records == ["15", "16"]


def test_a_serial_number_that_is_learned_later_takes_over() -> None:
    kept = Kept()
    visit(without_serial(Meter(MEMORY)), kept, MeterOptions())
    visit(Meter(LATER), kept, MeterOptions())
    assert kept.records == ["14", "15"]
    visit(without_serial(Meter([*LATER, *numbered(16, 98)])), kept, MeterOptions())
    assert kept.records == ["14", "15", "16"]


def test_only_the_first_serial_number_takes_over() -> None:
    kept = Kept()
    identities = [DeviceIdentity(serial=serial) for serial in ("A", "B", None, "A")]
    keys = [asyncio.run(memory_key(kept, identity, "/1")) for identity in [DeviceIdentity(), *identities]]
    assert keys == ["records/1", "A/1", "B/1", "B/1", "A/1"]
    kept.memory["records/1"] = MARK
    assert [asyncio.run(memory_key(kept, identity, "/1")) for identity in identities[:2]] == ["A/1", "B/1"]
    assert (kept.memory.get("A/1"), kept.memory.get("B/1")) == (MARK, None)


def test_only_what_is_new_is_read_the_next_time() -> None:
    kept, meter = Kept(**{SERIAL: MARK}), Meter([*MEMORY, *numbered(15, 99, 101)])
    visit(meter, kept)
    assert kept.records == ["15", "16"]
    assert meter.asked == [bytes([4, 3, 1, 14, 0]), bytes([1, 3, 1, 14, 0])]
    assert kept.memory[SERIAL].startswith("16 ")


def test_nothing_new() -> None:
    kept, meter = Kept(**{SERIAL: MARK}), Meter(MEMORY)
    visit(meter, kept)
    assert kept.observations == []
    assert meter.asked[-1] == bytes([1, 3, 1, 14, 0])
    assert kept.memory[SERIAL] == MARK


def test_a_meter_that_was_reset_is_read_from_its_new_beginning() -> None:
    kept = Kept(**{SERIAL: MARK})
    visit(Meter(numbered(1, 99, 101)), kept)
    assert kept.records == ["1", "2"]
    assert kept.memory[SERIAL].startswith("2 ")


def test_a_meter_that_was_reset_and_has_counted_on_since_is_read_whole() -> None:
    """Its record 14 is another one: the thirteen before it are new, too."""
    kept = Kept(**{SERIAL: MARK})
    visit(Meter(numbered(1, *range(90, 106))), kept)
    assert set(kept.records) == {str(n) for n in range(1, 17)}
    assert kept.memory[SERIAL].startswith("16 ")


def test_a_counter_that_comes_around_loses_nothing() -> None:
    last = numbered(0xFFFF, 100)
    kept = Kept()
    visit(Meter(last), kept)
    after = [*last, *(replace(r, base_time=CLOCK) for r in numbered(0, 101, 102))]
    visit(Meter(after), kept)
    assert {"0", "1"} <= set(kept.records)


def test_two_meters_are_not_confused() -> None:
    kept = Kept(OTHER=MARK)
    visit(Meter(MEMORY), kept)
    assert kept.records == ["11", "12", "13", "14"]


def test_an_empty_memory_was_a_first_meeting() -> None:
    kept = Kept()
    visit(Meter(()), kept, MeterOptions())
    assert kept.memory[SERIAL] == "-"
    visit(Meter(numbered(1, 99)), kept, MeterOptions())
    assert kept.records == ["1"]


@pytest.mark.parametrize("strange", ["-", "2026-11-21T10:19:40 0.00105", "99999 ", "x"])
def test_what_cannot_be_gone_on_from_is_no_reason_to_pass_over_anything(strange: str) -> None:
    kept = Kept(**{SERIAL: strange})
    visit(Meter(MEMORY), kept, MeterOptions())
    assert kept.records == ["11", "12", "13", "14"]
    assert kept.memory[SERIAL] == MARK


def test_a_meter_that_knows_no_filter_is_read_whole() -> None:
    kept = Kept(**{SERIAL: MARK})
    visit(Meter([*MEMORY, *numbered(15, 99)], knows_from=False), kept)
    assert kept.records == ["11", "12", "13", "15"]
    assert kept.memory[SERIAL].startswith("15 ")


def test_f11_a_connection_that_breaks_is_made_good_by_the_next() -> None:
    kept = Kept()
    visit(Meter(MEMORY, hangs_up_after=2), kept)
    assert SERIAL not in kept.memory
    visit(Meter(MEMORY), kept)
    assert kept.records == ["11", "12", "11", "12", "13", "14"]
    assert len(set(kept.observations)) == 4  # the same, and so with the same ids


def test_numbers_that_shift_are_no_keys() -> None:
    def meter(records: Sequence[Record]) -> Meter:
        newest_first = [replace(r, sequence=n) for n, r in enumerate(reversed(records))]
        return Meter(newest_first, manufacturer="TaiDoc")

    kept = Kept()
    visit(meter(MEMORY), kept)
    visit(meter([*MEMORY, replace(FRESH, base_time=CLOCK)]), kept)
    assert [o.device_time for o in kept.observations] == [*(r.base_time for r in MEMORY), CLOCK]
    assert kept.records == [None] * 5


def test_a_meter_still_at_work_is_told_to_stop_first() -> None:
    kept, meter = Kept(), Meter(MEMORY, refusals=2)
    visit(meter, kept)
    assert meter.asked == [bytes([4, 1]), bytes([1, 1]), bytes([3, 0]), bytes([1, 1])]
    assert len(kept.observations) == 4


CLOCK_ON = {"set_clock": True, "first_download": "all"}


def at_the_site(meter: Meter, options: Mapping[str, object]) -> Site:
    site = Site(DRIVER)
    assert meet(DRIVER, SIMULATOR, meter.scenario("a visit"), site, options) is Loss.DISCONNECTED
    return site


def test_the_clock_is_set_after_the_memory_was_read_and_dated_by_the_clock_as_it_was() -> None:
    clock = SettableClock(CLOCK)
    site = at_the_site(Meter([*numbered(1, 99), FRESH], clock=clock), CLOCK_ON)
    assert [value.hex() for value in clock.written] == ["ea070b150a2000060001"]  # 2026-11-21 10:32:00, Saturday
    assert site.outcomes == [ClockOutcome.SET]
    assert site.measured == ["2026-11-21 09:32", "2026-11-21 10:31"]
    before, after = (event.now for event in site.noted(DeviceClock))
    assert (before, after.replace(second=0, microsecond=0)) == (CLOCK, LOCAL_TIME)


def test_what_is_measured_after_the_clock_was_set_is_live_by_the_clock_as_it_is_now() -> None:
    clock, shown = SettableClock(CLOCK), list[datetime | None]()
    later = replace(FRESH, sequence=15, base_time=LOCAL_TIME + timedelta(seconds=1))

    async def answer(port: GattPort, request: bytes) -> None:
        await respond(port, request, records=0)
        if request[0] == 1:
            await until(lambda: len(shown) == 2)  # at the beginning, and read back
            await port.notify(MEASUREMENT, later.encode())

    def show() -> bytes:
        shown.append(clock.shows)
        return clock.encode()

    time = Characteristic(uuid=CURRENT_TIME, access=Access.READ | Access.WRITE, value=show, written=clock.write)
    scenario, site = scripted(answer), Site(DRIVER)
    clocked = replace(scenario, services=lambda: (*scenario.services(), Service(uuid16(0x1805), (time,))))
    assert meet(DRIVER, SIMULATOR, clocked, site, CLOCK_ON) is Loss.DISCONNECTED
    assert site.measured == ["2026-11-21 10:32"]
    assert [o.origin for o in site.observations] == [Origin.LIVE]


def test_off_no_clock_is_written_to() -> None:
    clock = SettableClock(CLOCK)
    assert at_the_site(Meter(MEMORY, clock=clock), {}).outcomes == []
    meter = Meter(MEMORY, clock=None, manufacturer="i-SENS")
    assert at_the_site(meter, {}).outcomes == []
    assert (clock.written, meter.own_clock) == ([], [])


def test_a_care_sens_clock_is_in_a_place_of_its_own_and_cannot_be_proven() -> None:
    """NightscoutFoundation/xDrip, glucosemeter/caresens/TimeTx.java: C0 03 01 00, then Date Time."""
    meter = Meter(MEMORY, clock=None, manufacturer="i-SENS")
    site = at_the_site(meter, CLOCK_ON)
    assert [value.hex() for value in meter.own_clock] == ["c0030100ea070b150a2000"]
    assert site.outcomes == [ClockOutcome.UNPROVEN]
    assert site.noted(DeviceClock) == []
    assert len(site.messages) == len(MEMORY)


def test_what_a_first_meeting_leaves_out_is_counted() -> None:
    assert len(at_the_site(Meter(MEMORY), {}).noted(Skipped)) == len(MEMORY) - 1
    shifting = Meter([replace(r, sequence=n) for n, r in enumerate(reversed(MEMORY))], manufacturer="TaiDoc")
    assert len(at_the_site(shifting, {}).noted(Skipped)) == len(MEMORY) - 1


def test_nothing_is_ever_deleted() -> None:
    meter = Meter(MEMORY)
    for kept in (Kept(), Kept(**{SERIAL: MARK}), Kept(**{SERIAL: "99 x y"})):
        visit(meter, kept)
    assert {request[0] for request in meter.asked} <= {1, 3, 4}


# --- Meters that break the rules ----------------------------------------------------------------------------------


def scripted(answer: Callable[[GattPort, bytes], Awaitable[None]], *, without: str = "") -> GattScenario:
    """A meter that answers each request in the given way."""
    requests: asyncio.Queue[bytes] = asyncio.Queue()

    async def written(request: bytes) -> None:
        requests.put_nowait(request)

    def services() -> tuple[Service, ...]:
        nonlocal requests
        requests = asyncio.Queue()
        all_of = (
            Characteristic(uuid=MEASUREMENT, access=Access.NOTIFY),
            Characteristic(uuid=CONTEXT, access=Access.NOTIFY),
            Characteristic(uuid=RACP, access=Access.WRITE | Access.INDICATE, written=written),
        )
        return (Service(GLUCOSE_SERVICE, tuple(c for c in all_of if c.uuid != without)),)

    async def run(port: GattPort) -> None:
        request = b"\0"
        while request[0] != 1:
            request = await requests.get()
            await answer(port, request)

    return GattScenario(title="scripted", services=services, run=run, faulty=True)


async def respond(port: GattPort, request: bytes, result: int = 1, records: int = 0) -> None:
    count = {4: bytes([5, 0, records, 0])}
    await port.indicate(RACP, count.get(request[0], bytes([6, 0, request[0], result])))


def test_records_that_come_unasked_or_late_are_read_too() -> None:
    async def answer(port: GattPort, request: bytes) -> None:
        await respond(port, request)
        if request[0] == 1:
            await port.notify(MEASUREMENT, FRESH.encode())

    kept = Kept()
    visit(scripted(answer), kept)
    assert kept.records == ["14"]
    assert kept.memory == {"records": MARK}  # a meter without a serial number


def test_a_record_that_cannot_be_read_is_noted_and_the_others_are_read() -> None:
    async def answer(port: GattPort, request: bytes) -> None:
        if request[0] == 1:
            await port.notify(MEASUREMENT, FRESH.encode()[:-1])
            await port.notify(MEASUREMENT, FRESH.encode())
            await port.indicate(RACP, b"\x06\x00\x01")
        await respond(port, request)

    kept = Kept()
    visit(scripted(answer), kept)
    assert kept.records == ["14"]
    assert {e.why for e in kept.events if isinstance(e, Noise)} == {Why.TOO_SHORT}


def test_a_context_that_never_comes_does_not_hold_its_measurement_back() -> None:
    async def answer(port: GattPort, request: bytes) -> None:
        if request[0] == 1:
            await port.notify(MEASUREMENT, replace(FRESH, meal=3).encode())
        await respond(port, request)

    kept = Kept()
    visit(scripted(answer), kept)
    assert kept.records == ["14"]


def test_fewer_records_than_were_counted_are_asked_for_again() -> None:
    asked: list[bytes] = []

    async def answer(port: GattPort, request: bytes) -> None:
        asked.append(request)
        if request == b"\x01\x01" and asked.count(request) == 1:
            await port.notify(MEASUREMENT, MEMORY[0].encode())
            await respond(port, request)
            await answer(port, b"\x01\x01")
            return
        for record in MEMORY if request[0] == 1 else ():
            await port.notify(MEASUREMENT, record.encode())
        await respond(port, request, records=len(MEMORY))

    kept = Kept()
    visit(scripted(answer), kept)
    assert set(kept.records) == {"11", "12", "13", "14"}


def test_a_meter_that_refuses_its_records_is_not_passed_over_in_silence() -> None:
    kept = Kept()
    assert visit(scripted(lambda port, request: respond(port, request, result=2)), kept) is Loss.FAILED
    assert SERIAL not in kept.memory


def test_f07_a_peripheral_without_a_control_point_is_refused() -> None:
    for uuid in (RACP, MEASUREMENT):
        assert visit(scripted(respond, without=uuid), Kept()) is UnexpectedDevice().reason


# --- The control point by itself ----------------------------------------------------------------------------------


async def nothing(_: str, __: bytes) -> None:
    return


def test_a_device_that_does_not_answer_is_told_to_stop_and_given_up() -> None:
    heard: list[bytes] = []

    async def answer(_: GattPort, request: bytes) -> None:
        heard.append(request)
        if request[0] == 1:
            await asyncio.Event().wait()

    async def use(link: GattLink) -> None:
        access = RecordAccess(link, Arrivals(await link.subscribe(RACP)), Kept(), nothing, timeout_s=0.2)
        with pytest.raises(LinkLost, match="timeout"):
            await access.report()
        assert access.state is State.FAILED
        await access.report()

    assert asyncio.run(connected(scripted(answer), use)) is Loss.TIMEOUT
    assert heard == [bytes([1, 1])]


def test_f09_an_answer_to_something_else_is_not_taken_for_this_ones() -> None:
    async def answer(port: GattPort, request: bytes) -> None:
        if request[0] == 1:
            await port.indicate(RACP, bytes([5, 0, 3, 0]))  # the count that was late
            await port.indicate(RACP, bytes([6, 0, 4, 2]))
            await port.indicate(RACP, bytes([6, 0, 1, 6]))

    async def use(link: GattLink) -> None:
        access = RecordAccess(
            link, Arrivals(await link.subscribe(RACP)), Kept(), nothing, timeout_s=5, count_timeout_s=0.1
        )
        assert await access.count() is None
        assert await access.report(ALL) is Result.NO_RECORDS
        await access.rest()

    assert asyncio.run(connected(scripted(answer), use)) is Loss.DISCONNECTED


class Endless:
    """A meter that sends one record after the other, and never says that these were all."""

    name = "Simulated meter"

    def has(self, _: str, /) -> bool:
        return True

    async def read(self, _: str, /) -> bytes:
        raise LinkLost(Loss.FAILED)

    async def write(self, _: str, data: bytes, /) -> None:
        return

    async def subscribe(self, *_: str) -> AsyncIterator[tuple[str, bytes]]:
        async def values() -> AsyncIterator[tuple[str, bytes]]:
            yield RACP, bytes([5, 0, 1, 0])
            while True:
                yield MEASUREMENT, FRESH.encode()

        return values()


@pytest.mark.parametrize("manufacturer", ["", "TaiDoc"])
def test_f18_a_memory_without_an_end_is_given_up(manufacturer: str) -> None:
    class Named(Endless):
        name = manufacturer

    with pytest.raises(LinkLost, match="flooded"):
        asyncio.run(asyncio.wait_for(DRIVER.session(Named(), Kept(), FOR_ALL), 20))


def test_abort_and_count() -> None:
    async def answer(port: GattPort, request: bytes) -> None:
        await respond(port, request, result=7 if request[0] == 3 else 1, records=5)

    async def use(link: GattLink) -> None:
        access = RecordAccess(link, Arrivals(await link.subscribe(RACP)), Kept(), nothing)
        assert await access.count() == 5
        await access.abort()  # "abort unsuccessful": there was nothing to abort
        assert access.state is State.IDLE
        assert await access.report() is Result.SUCCESS
        await access.rest()

    assert asyncio.run(connected(scripted(answer), use)) is Loss.DISCONNECTED


def test_a_device_that_refuses_every_request_is_connected_to_anew() -> None:
    """ATT 0x81, client characteristic configuration not set: the next connection subscribes again."""

    async def refused(_: bytes) -> None:
        raise AttError(0x81)

    def services() -> tuple[Service, ...]:
        point = Characteristic(uuid=RACP, access=Access.WRITE | Access.INDICATE, written=refused)
        return (Service(GLUCOSE_SERVICE, (Characteristic(uuid=MEASUREMENT, access=Access.NOTIFY), point)),)

    async def run(port: GattPort) -> None:
        await port.pause(1)

    assert visit(GattScenario(title="refuses", services=services, run=run), Kept()) is Loss.FAILED
