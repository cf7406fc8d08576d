"""F51, F52, F36 and the states a medical assistant sees. The links are scripted; outbox and disk are real."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from devicebridge.clock import SystemClock
from devicebridge.config import LogConfig
from devicebridge.health import DeviceHealth, DeviceState
from devicebridge.intake import Intake, Source
from devicebridge.logs import configure
from devicebridge.outbox import Outbox
from devicebridge.sdk import (
    Absent,
    Battery,
    ByteLink,
    ClockOutcome,
    ClockSetting,
    DeviceClockKind,
    DeviceIdentity,
    Driver,
    Kind,
    LinkLost,
    Loss,
    Manifest,
    Name,
    Noise,
    Observation,
    Options,
    Outlet,
    Rhythm,
    SerialSpec,
    Skipped,
    Unit,
    Value,
    Why,
)
from devicebridge.supervise import MAX_ABANDONED, Device, Supervisor

Session = Callable[[ByteLink, Outlet, Options], Awaitable[None]]
SOURCE = Source("s", "r", "box", "box", "usb:0000:0000", link_identity_is_device=False, simulated=False)


class ManualClock:
    """Sleeps end at once and move the time; each is recorded."""

    def __init__(self) -> None:
        self.instant = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)
        self.sleeps_s: list[float] = []
        self.sleeping_moves_time = True

    def now(self) -> datetime:
        return self.instant

    def monotonic_s(self) -> float:
        return self.instant.timestamp()

    async def sleep(self, seconds: float, /) -> None:
        self.sleeps_s.append(seconds)
        self.instant += timedelta(seconds=seconds if self.sleeping_moves_time else 0)
        await asyncio.sleep(0)


class Script:
    """An opener that gives these bytes, then fails with this reason, each time it is opened."""

    def __init__(self, *chunks: bytes, then: Loss = Loss.UNPLUGGED, refuse: Loss | None = None) -> None:
        self._chunks, self._then, self._refuse = chunks, then, refuse

    async def ready(self) -> None: ...

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteLink]:
        if self._refuse:
            raise LinkLost(self._refuse)
        yield _Chunks(list(self._chunks), self._then)


class _Chunks:
    def __init__(self, chunks: list[bytes], then: Loss) -> None:
        self._chunks, self._then = chunks, then

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        if not self._chunks:
            raise LinkLost(self._then)
        return self._chunks.pop(0)

    async def write(self, data: bytes, /) -> None:
        raise NotImplementedError


def weight(number: int) -> Observation:
    values = (Value(Name.WEIGHT, Unit.KG, Decimal(number)),)
    return Observation(kind=Kind.WEIGHT, values=values, raw=bytes([number % 256]), record=str(number))


async def one_reading_a_byte(link: ByteLink, outlet: Outlet, _options: Options) -> None:
    while True:
        for number in await link.read():
            await outlet.emit(weight(number))


def driver(session: Session, rhythm: Rhythm = Rhythm()) -> Driver[Options]:  # noqa: B008 - frozen
    manifest = Manifest(
        id="box",
        title="A box",
        kinds=frozenset({Kind.WEIGHT}),
        models=(),
        links=(SerialSpec(baud=9600),),
        clock=DeviceClockKind.NONE,
        rhythm=rhythm,
    )
    return Driver(manifest=manifest, options=Options, session=session, codec=lambda *_: None)  # type: ignore[arg-type, return-value]


class Rig:
    """A supervisor with a real outbox. `states` is every state it entered."""

    def __init__(
        self,
        folder: Path,
        session: Session,
        opener: Any,
        rhythm: Rhythm = Rhythm(),  # noqa: B008
        *,
        over_gatt: bool = False,
    ) -> None:
        self.clock = ManualClock()
        self.outbox = Outbox(
            folder / "outbox.db", max_bytes=64 << 20, reserve_bytes=1 << 20, keep_s=60, clock=SystemClock()
        )
        self.health = DeviceHealth("box", "box", self.clock)
        self.states: list[tuple[DeviceState, Loss | None]] = []
        device = Device(
            name="box",
            driver=driver(session, rhythm),
            options=Options(),
            opener=opener,
            intake=lambda: Intake(SOURCE, ZoneInfo("UTC"), self.clock),
            over_gatt=over_gatt,
        )
        self.log_file = folder / "log"
        self.supervisor = Supervisor(
            device,
            self.outbox,
            self.health,
            clock=self.clock,
            rng=random.Random(1),
            log=configure(LogConfig(file=self.log_file)),
            changed=self._changed,
        )

    def _changed(self) -> None:
        state = (self.health.state, self.health.reason)
        if not self.states or self.states[-1] != state:
            self.states.append(state)

    async def run_until(self, done: Callable[[], bool]) -> list[int]:
        """The weights stored by the time it is done."""
        await self.outbox.open()
        task = asyncio.create_task(self.supervisor.run())
        async with asyncio.timeout(5):
            while not done() and not task.done():
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        rows = await self.outbox.rows(limit=1000)
        await self.outbox.close()
        return [json.loads(row.payload)["values"][0].get("value") for row in rows]


def run(rig: Rig, sessions: int) -> list[int]:
    return asyncio.run(rig.run_until(lambda: rig.health.counts["sessions"] >= sessions))


def test_what_a_session_emits_is_on_disk_once_however_often_it_is_sent(tmp_path: Path) -> None:
    rig = Rig(tmp_path, one_reading_a_byte, Script(b"\x50\x51", b"\x52"))
    assert run(rig, sessions=4) == [80, 81, 82]
    assert rig.health.counts["readings"] == 3
    assert rig.health.counts["repeats"] >= 6
    assert rig.states[:3] == [
        (DeviceState.WAITING, None),
        (DeviceState.OK, None),
        (DeviceState.LOST, Loss.UNPLUGGED),
    ]


def test_f01_a_port_is_tried_again_within_two_seconds(tmp_path: Path) -> None:
    rig = Rig(tmp_path, one_reading_a_byte, Script(refuse=Loss.NOT_FOUND))
    run(rig, sessions=30)
    assert max(rig.clock.sleeps_s) <= 1.5
    assert rig.states == [(DeviceState.LOST, Loss.NOT_FOUND)]


def test_f05_a_busy_port_is_tried_slowly_and_logged_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path, one_reading_a_byte, Script(refuse=Loss.BUSY))
    run(rig, sessions=20)
    assert 15 <= rig.clock.sleeps_s[-1] <= 30
    assert len(rig.log_file.read_text().splitlines()) == 1


def test_f18_a_device_that_floods_is_tried_ever_more_seldom(tmp_path: Path) -> None:
    rig = Rig(tmp_path, one_reading_a_byte, Script(b"\x50", then=Loss.FLOODED))
    run(rig, sessions=10)
    assert rig.clock.sleeps_s[0] <= 4
    assert 15 <= rig.clock.sleeps_s[-1] <= 30


@pytest.mark.parametrize("reason", [Loss.BOND_LOST, Loss.UNEXPECTED_DEVICE, Loss.FLOODED, Loss.TIMEOUT])
def test_f14_f18_what_a_bluetooth_device_did_stays_said_until_it_is_heard(reason: Loss, tmp_path: Path) -> None:
    """It sleeps for hours between measurements: "ready" would be the last word on it."""
    rig = Rig(tmp_path, one_reading_a_byte, Script(refuse=reason), over_gatt=True)
    run(rig, sessions=5)
    assert [said for _, said in rig.states] == [None, reason]


def test_f51_a_driver_that_raises_is_a_fault_and_begins_again(tmp_path: Path) -> None:
    async def raises(link: ByteLink, outlet: Outlet, _options: Options) -> None:
        await outlet.emit(weight((await link.read())[0]))
        raise ZeroDivisionError("MRN 12345")

    rig = Rig(tmp_path, raises, Script(b"\x50"))
    assert run(rig, sessions=5) == [80]
    assert (DeviceState.FAULT, None) in rig.states
    assert rig.health.counts["faults"] >= 4
    log = rig.log_file.read_text()
    assert "ZeroDivisionError" in log
    assert "12345" not in log


def test_f52_a_driver_that_swallows_cancellation_is_left_behind_and_not_started_for_ever(tmp_path: Path) -> None:
    hung: list[asyncio.Event] = []

    async def hangs(_link: ByteLink, _outlet: Outlet, _options: Options) -> None:
        release = asyncio.Event()
        hung.append(release)
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async def scenario() -> None:
        rig = Rig(tmp_path, hangs, Script(), Rhythm(session_timeout_s=0.01))
        try:
            await rig.run_until(lambda: False)
        finally:
            for release in hung:
                release.set()
        assert len(hung) == MAX_ABANDONED
        assert rig.health.state is DeviceState.QUARANTINED
        assert "shut out" in rig.health.sentence

    asyncio.run(scenario())


def test_f51_a_driver_that_calls_exit_ends_its_session_only(tmp_path: Path) -> None:
    async def exits(_link: ByteLink, _outlet: Outlet, _options: Options) -> None:
        raise SystemExit(0)

    rig = Rig(tmp_path, exits, Script())
    run(rig, sessions=3)
    assert (DeviceState.FAULT, None) in rig.states
    assert "DriverExits" in rig.log_file.read_text()


def test_f52_silence_beyond_the_rhythm_is_a_loss(tmp_path: Path) -> None:
    class Silent:
        async def ready(self) -> None: ...

        @asynccontextmanager
        async def open(self) -> AsyncIterator[ByteLink]:
            yield _Mute()

    class _Mute:
        async def read(self) -> bytes:
            await asyncio.Event().wait()
            return b""

        async def write(self, data: bytes, /) -> None: ...

    rig = Rig(tmp_path, one_reading_a_byte, Silent(), Rhythm(idle_timeout_s=0.01))
    run(rig, sessions=3)
    assert rig.states == [(DeviceState.SILENT, Loss.SILENT)], "an open port that stays silent is not ready"
    assert "Switch it on" in rig.health.sentence


def test_f36_while_the_disk_refuses_emit_does_not_return(tmp_path: Path) -> None:
    emitted: list[int] = []

    async def session(link: ByteLink, outlet: Outlet, _options: Options) -> None:
        for number in await link.read():
            await outlet.emit(weight(number))
            emitted.append(number)

    rig = Rig(tmp_path, session, Script(b"\x50"))

    async def scenario() -> None:
        await rig.outbox.open()
        await rig.outbox.close()  # the plainest way in which it cannot save
        task = asyncio.create_task(rig.supervisor.run())
        async with asyncio.timeout(5):
            while len(rig.clock.sleeps_s) < 10:
                await asyncio.sleep(0)
        assert not emitted
        assert rig.health.state is DeviceState.CANNOT_SAVE
        assert "Note them by hand" in rig.health.sentence
        log = rig.log_file.read_text()
        assert log.count("cannot-save") == 1
        await rig.outbox.open()
        async with asyncio.timeout(5):
            while not emitted:
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await rig.outbox.close()

    asyncio.run(scenario())
    assert rig.health.counts["readings"] == 1


def test_f02_nothing_but_noise_is_not_ok(tmp_path: Path) -> None:
    async def session(link: ByteLink, outlet: Outlet, _options: Options) -> None:
        while True:
            outlet.note(Noise(await link.read(), Why.UNSYNCHRONISED))

    rig = Rig(tmp_path, session, Script(b"x" * 200, b"x" * 200, b"x" * 200))
    run(rig, sessions=2)
    assert rig.health.counts["noise_bytes"] >= 600
    assert rig.states[:3] == [
        (DeviceState.WAITING, None),
        (DeviceState.OK, None),
        (DeviceState.LOST, Loss.UNEXPECTED_DATA),
    ]
    assert rig.states[3] == (DeviceState.LOST, Loss.UNPLUGGED), "not ok again in between"


def test_what_is_left_out_and_what_became_of_a_clock_is_counted(tmp_path: Path) -> None:
    async def session(link: ByteLink, outlet: Outlet, _options: Options) -> None:
        for outcome in ClockOutcome:
            outlet.note(ClockSetting(outcome))
        outlet.note(Skipped())
        await link.read()
        raise LinkLost(Loss.DISCONNECTED)

    rig = Rig(tmp_path, session, Script(b"\x50"))
    run(rig, sessions=2)
    counts = rig.health.status()["counts"]
    expected = {"clock_set": 1, "clock_refused": 1, "clock_not_taken": 1, "clock_unproven": 1, "skipped": 1}
    assert expected.items() <= {name: min(count, 1) for name, count in counts.items()}.items()


def test_f50_a_flapping_link_does_not_fill_the_log(tmp_path: Path) -> None:
    rig = Rig(tmp_path, one_reading_a_byte, Script(b"\x50"))
    rig.clock.sleeping_moves_time = False
    run(rig, sessions=100)
    assert len(rig.log_file.read_text().splitlines()) == 10


def test_an_old_ok_goes_back_to_waiting() -> None:
    clock = ManualClock()
    health = DeviceHealth("box", "box", clock)
    health.heard(1)
    health.enter(DeviceState.OK)
    clock.instant += timedelta(seconds=59)
    health.settle()
    assert health.state is DeviceState.OK
    clock.instant += timedelta(seconds=2)
    health.settle()
    assert health.state is DeviceState.WAITING


def test_f36_while_the_outbox_refuses_no_device_says_it_is_ready() -> None:
    health = DeviceHealth("box", "box", ManualClock())
    health.enter(DeviceState.WAITING)
    status = health.status(cannot_save=True)
    assert (status["state"], status["text"]) == ("cannot-save", health.status(cannot_save=True)["text"])
    assert "by hand" in status["text"]


@pytest.mark.parametrize(
    ("text", "kept"), [("  A&D\x00\x1b[2J ", "A&D[2J"), ("x" * 500, "x" * 64), ("\n", None), (None, None)]
)
def test_f49_device_text_is_stripped_and_capped_at_the_door(tmp_path: Path, text: str | None, kept: str | None) -> None:
    async def session(link: ByteLink, outlet: Outlet, _options: Options) -> None:
        outlet.note(DeviceIdentity(manufacturer=text, model=text, serial=text, firmware=text))
        outlet.note(Battery(percent=40))
        await link.read()

    rig = Rig(tmp_path, session, Script())
    run(rig, sessions=2)
    assert rig.health.identity == DeviceIdentity(kept, kept, kept, kept)
    assert rig.health.status()["battery_percent"] == 40


def test_a_code_that_no_table_knows_is_the_drivers_fault_and_stores_nothing(tmp_path: Path) -> None:
    async def session(_link: ByteLink, outlet: Outlet, _options: Options) -> None:
        values: Sequence[Value] = (Value(Name.SPO2, Unit.PERCENT, Decimal(97)),)
        await outlet.emit(weight(80), Observation(kind=Kind.WEIGHT, values=tuple(values), raw=b""))

    rig = Rig(tmp_path, session, Script())
    assert run(rig, sessions=2) == []
    assert (DeviceState.FAULT, None) in rig.states


def test_f10_values_that_are_no_numbers_are_counted(tmp_path: Path) -> None:
    """What the device could not measure, and what it sent that cannot be: 5,000 kg."""

    async def session(_link: ByteLink, outlet: Outlet, _options: Options) -> None:
        absent = Value(Name.WEIGHT, Unit.KG, absent=Absent.ERROR)
        await outlet.emit(weight(80), Observation(kind=Kind.WEIGHT, values=(absent,), raw=b"E"), weight(5000))
        raise LinkLost(Loss.DISCONNECTED)

    rig = Rig(tmp_path, session, Script())
    asyncio.run(rig.run_until(lambda: rig.health.counts["readings"] == 3))
    assert rig.health.counts["without_number"] == 2
