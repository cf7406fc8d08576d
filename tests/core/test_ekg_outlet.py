"""A session's outlet, the supervisor and the fleet, where a device has leads. The outbox and its disk are real."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from jsonschema import Draft202012Validator

from devicebridge.clock import SystemClock
from devicebridge.config import EkgConfig, LogConfig
from devicebridge.ekg.channel import Recorded
from devicebridge.ekg.recording import SAMPLES_MAX, Recording
from devicebridge.fleet import Fleet
from devicebridge.health import DeviceHealth, DeviceState
from devicebridge.intake import Intake, Source
from devicebridge.logs import configure
from devicebridge.outbox import Fault, Outbox, OutboxFailed
from devicebridge.outlet import DeviceOutlet, recording_mark
from devicebridge.sdk import (
    ByteLink,
    DeviceClockKind,
    Driver,
    Kind,
    Lead,
    LinkLost,
    Loss,
    Manifest,
    Options,
    Outlet,
    Rhythm,
    SerialSpec,
    Strip,
    Wave,
)
from devicebridge.supervise import Device, Supervisor
from support.clock import QuickClock
from support.ekg import TWO, wave
from support.waiting import until

SOURCE = Source("s", "r", "leads", "leads", "usb:0000:0000", link_identity_is_device=False, simulated=False)
PER_BYTE = 25
"""Samples for each byte on the line: a quarter second."""


class Leads:
    """A port whose device sends a byte when the test says so."""

    def __init__(self) -> None:
        self.opened = 0
        self._said: asyncio.Queue[bytes] = asyncio.Queue()

    def say(self, count: int) -> None:
        for _ in range(count):
            self._said.put_nowait(b"s")

    def hang_up(self) -> None:
        self._said.put_nowait(b"")

    async def ready(self) -> None: ...

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteLink]:
        self.opened += 1
        yield self

    async def read(self) -> bytes:
        if data := await self._said.get():
            return data
        raise LinkLost(Loss.UNPLUGGED)

    async def write(self, data: bytes, /) -> None: ...


async def streamed(link: ByteLink, outlet: Outlet, _options: Options) -> None:
    index = 0
    while True:
        for _ in await link.read():
            outlet.wave(wave(index, PER_BYTE))
            index += PER_BYTE


class Rig:
    def __init__(self, folder: Path, ekg: EkgConfig) -> None:
        self.clock = QuickClock(20)
        self.outbox = Outbox(
            folder / "outbox.db", max_bytes=64 << 20, reserve_bytes=1 << 20, keep_s=60, clock=SystemClock()
        )
        self.log_file = folder / "log"
        self.line = Leads()
        self.ekg = ekg
        self._log = configure(LogConfig(file=self.log_file))
        self.fleet = Fleet(self._make, self.clock)

    def _make(self, device: Device, health: DeviceHealth) -> Supervisor:
        rng = random.Random(1)
        return Supervisor(device, self.outbox, health, clock=self.clock, rng=rng, log=self._log, changed=lambda: None)

    def start(self) -> None:
        manifest = Manifest(
            id="leads", title="Leads", kinds=frozenset({Kind.ECG}), models=(), links=(SerialSpec(baud=9600),),
            clock=DeviceClockKind.NONE, rhythm=Rhythm(),
        )  # fmt: skip
        driver = Driver(manifest=manifest, options=Options, session=streamed, codec=lambda *_: None)  # type: ignore[arg-type, return-value]
        device = Device(
            name="leads", driver=driver, options=Options(), opener=self.line, over_gatt=False, ekg=self.ekg,
            intake=lambda: Intake(SOURCE, ZoneInfo("UTC"), self.clock),
        )  # fmt: skip
        self.fleet.start([device])

    @property
    def health(self) -> DeviceHealth:
        return self.fleet.healths["leads"]

    async def rows(self) -> int:
        return len(await self.outbox.rows(limit=10))


Play = Callable[[Callable[[Rig], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    async def main(scene: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
        rig = Rig(tmp_path, EkgConfig(record="leads-on", seconds=1))
        await rig.outbox.open()
        try:
            await scene(rig)
        finally:
            await rig.fleet.end(1)
            await rig.outbox.close()

    return lambda scene: asyncio.run(main(scene))


async def wait_in_vain_for_the_disk(rig: Rig) -> None:
    """A strip is finished, and the outbox refuses it."""
    rig.start()
    rig.line.say(9)
    await until(lambda: rig.fleet.supervisors["leads"].ekg._job is not None)  # type: ignore[union-attr]
    await until(lambda: rig.health.last_bytes_at)
    await rig.outbox.flush()  # the mark is on the disk
    await rig.outbox.close()  # the plainest way in which it cannot save
    rig.line.say(4)
    await until(lambda: rig.health.state is DeviceState.CANNOT_SAVE)


def test_f36_while_a_strip_waits_for_the_disk_no_byte_makes_the_device_ok(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        await wait_in_vain_for_the_disk(rig)
        heard = rig.health.session_bytes
        rig.line.say(4)
        await until(lambda: rig.health.session_bytes >= heard + 4)
        assert rig.health.state is DeviceState.CANNOT_SAVE
        await rig.outbox.open()
        await until(lambda: rig.health.counts["ekg_recordings"])
        assert rig.health.state is DeviceState.OK
        assert await rig.rows() == 1

    play(scene)


@pytest.mark.parametrize("is_lost_before", [False, True])
def test_f42_a_strip_that_waits_is_saved_before_its_device_leaves(play: Play, is_lost_before: bool) -> None:
    """Taken out of the config, and put back: the next supervisor finds the strip, and misses none."""

    async def scene(rig: Rig) -> None:
        await wait_in_vain_for_the_disk(rig)
        health = rig.health
        if is_lost_before:
            rig.line.hang_up()
            await until(lambda: health.counts["sessions"] == 2)
        rig.fleet.stop(["leads"])
        rig.start()
        began_s = rig.clock.monotonic_s()
        await until(lambda: rig.clock.monotonic_s() > began_s + 10)
        opened = rig.line.opened
        await rig.outbox.open()
        await until(lambda: rig.line.opened > opened)
        assert await rig.rows() == 1
        assert not rig.health.counts["ekg_recordings_broken"]

    play(scene)


def test_a_strip_in_the_midst_of_which_its_device_leaves_is_said_to_be_broken(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        rig.start()
        rig.line.say(9)
        channel = rig.fleet.supervisors["leads"].ekg
        assert channel is not None
        await until(lambda: channel._job is not None)
        health = rig.health
        rig.fleet.stop(["leads"])
        await until(lambda: health.counts["ekg_recordings_broken"])
        await until(lambda: "recording-broken" in rig.log_file.read_text())
        assert not await rig.rows()

    play(scene)


def test_f39_a_strip_that_is_missing_is_said_even_where_the_disk_refuses(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        await rig.outbox.remember("leads", recording_mark(2), str(uuid.uuid4()))
        refusing = _Refusing(rig.outbox)
        rig.outbox = refusing  # type: ignore[assignment]
        rig.start()
        await until(lambda: rig.line.opened)
        assert rig.health.counts["ekg_recordings_broken"] == 1
        assert "recording-missing" in rig.log_file.read_text()

    play(scene)


class _Refusing:
    """An outbox whose disk has become full."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def __getattr__(self, name: str) -> Any:
        return getattr(self._outbox, name)

    async def remember(self, *_: str) -> None:
        raise OutboxFailed(Fault.DISK_FULL)


def test_a_session_that_was_left_behind_records_nothing_more(play: Play) -> None:
    async def scene(rig: Rig) -> None:
        rig.start()
        rig.line.say(1)
        await until(lambda: rig.health.counts["ekg_samples"])
        outlet = rig.fleet.supervisors["leads"]._outlet
        assert outlet is not None
        rig.line.hang_up()
        await until(lambda: rig.line.opened == 2)
        outlet.wave(wave(25, 25))
        assert rig.health.counts["ekg_samples"] == 25

    play(scene)


def test_a_long_strip_is_made_without_holding_up_the_devices(tmp_path: Path) -> None:
    """And what is on the disk then keeps to the schema, sample by sample."""
    leads = tuple(Lead)[:8]
    many = replace(TWO, leads=leads, rate_hz=Decimal(250))
    count = SAMPLES_MAX // len(leads)
    rows = tuple(tuple(n * 7 % 60_000 - 30_000 + lead for lead in range(len(leads))) for n in range(count))
    recording = Recording(many, 0, count)
    recording.take(Wave(format=many, first_index=0, rows=rows))
    recorded = Recorded(uuid.uuid4(), QuickClock(1).now(), None, frozenset())
    held_up_s = [0.0]

    async def go_round() -> None:
        while True:
            began_s = time.perf_counter()
            await asyncio.sleep(0)
            held_up_s.append(time.perf_counter() - began_s)

    async def main() -> bytes:
        clock = QuickClock(1)
        outbox = Outbox(tmp_path / "o.db", max_bytes=64 << 20, reserve_bytes=1 << 20, keep_s=60, clock=SystemClock())
        await outbox.open()
        intake = Intake(SOURCE, ZoneInfo("UTC"), clock)
        health = DeviceHealth("leads", "leads", clock)
        outlet = DeviceOutlet(intake, outbox, health, clock, lambda *_: None, lambda: None)
        round_ = asyncio.create_task(go_round())
        await asyncio.sleep(0)
        await outlet.record(recording, recorded)
        round_.cancel()
        [row] = await outbox.rows(limit=2)
        await outbox.close()
        return row.payload

    message = json.loads(asyncio.run(main()))
    began_s = time.perf_counter()
    Intake(SOURCE, ZoneInfo("UTC"), QuickClock(1)).recording(recording.strip(), recorded)
    assert max(held_up_s) < (time.perf_counter() - began_s) / 2
    columns = [[int(word) for word in lead["data"].split(" ")] for lead in message["strip"]["leads"]]
    assert tuple(zip(*columns, strict=True)) == rows


def test_a_reading_with_a_strip_keeps_to_the_published_schema() -> None:
    recorded = Recorded(uuid.uuid4(), QuickClock(1).now(), Decimal(-12), frozenset({Lead.I}))
    strip = Strip(format=TWO, rows=((1, None), (None, None), (-32768, 32767)))
    entry = Intake(SOURCE, ZoneInfo("America/Chicago"), QuickClock(1)).recording(strip, recorded)
    message = json.loads(entry.payload)
    schema = json.loads((Path(__file__).parents[2] / "config/reading.schema.json").read_text("utf-8"))
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(message)
    assert (message["quality"], message["status"]) == ("questionable", ["lead-off"])
    assert [lead["data"] for lead in message["strip"]["leads"]] == ["1 E -32768", "E E 32767"]
    assert entry.topic.endswith("/reading/ecg")
