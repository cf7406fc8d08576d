"""The rig: simulated devices on real links, the real daemon, real brokers behind proxies, and a plan of faults."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devicebridge.testing.radio import Ether
from support.proxy import Proxy

from .account import Began, Table, reckon
from .brokers import Brokers
from .devices import RADIO_PACE, Analyzer, Cuff, Device, GlucoseMeter, Oximeter, Scale, SerialDevice
from .journal import Journal
from .plan import HABITS, Episode, Fault, Track
from .process import Process, find_faketime

CONFIG = """\
simulated = true
[site]
id = "clinic"
room = "exam-1"
timezone = "UTC"
[broker]
addresses = {addresses}
keepalive_s = 5
connect_timeout_s = 2
ack_timeout_s = 4
[outbox]
path = "outbox.db"
reserve_mib = 1
[control]
port = 0
[log]
file = "daemon.log"
max_mib = 64
[bluetooth]
radio = "simulated"
radio_address = "{radio}"
"""
READY_S = 60.0
HELD_S = 420.0
"""A lane on hold asks again after five minutes at the longest: so long the end may take, and a little more."""
POLL_S = 0.2
CLOCK_JUMP_S = 6 * 3600
OPERATOR_ROWS = 1000
WATCH_S = 0.25


@dataclass
class Outcome:
    table: Table
    complaints: list[str]
    parked: int
    """Readings that were parked, visibly, and sent again by the operator in the end."""
    starts: int
    left_out: list[Fault] = field(default_factory=list)

    @property
    def broken(self) -> list[str]:
        return self.table.broken + self.complaints


class Rig:
    def __init__(self, folder: Path, brokers: Brokers, journal: Journal, adapter: Proxy, devices: list[Device]) -> None:
        self._folder = folder
        self._brokers = brokers
        self._journal = journal
        self._adapter = adapter
        self._devices = devices
        self._process = Process(folder, _write_config(folder, brokers, adapter, devices), journal)
        self._began: list[Began] = []
        self._moved: set[str] = set()
        self._is_dead = False
        self.say: Callable[[str], None] = lambda sentence: None

    async def run(self, episodes: list[Episode]) -> Outcome:
        known = [e for e in episodes if e.fault is not Fault.CLOCK or find_faketime()]
        self._process.start()
        try:
            await self._until(self._is_connected, READY_S, "the first start")
            watch = asyncio.create_task(self._watch())
            tracks = [self._follow([e for e in known if HABITS[e.fault].track is t]) for t in Track]
            await asyncio.gather(*tracks)
            self.say("the faults have stopped")
            try:
                await self._settle()
            except (AssertionError, TimeoutError) as error:
                self._process.complaints.append(f"not everything came to rest: {error!r}")
            watch.cancel()
            await self._process.stop()
        finally:
            if self._process.is_running:
                await self._process.kill()
        self._process.read_log()
        self._journal.write(self._folder / "journal.jsonl")
        table = reckon(self._journal, list(self._brokers.arrivals), self._began, self._moved)
        left_out = [] if len(known) == len(episodes) else [Fault.CLOCK]
        return Outcome(table, self._process.complaints, len(self._moved), self._process.starts, left_out)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            if not self._is_dead:
                self._process.check()

    async def _follow(self, episodes: list[Episode]) -> None:
        began_s = time.monotonic()
        for episode in episodes:
            await asyncio.sleep(max(0.0, began_s + episode.at_s - time.monotonic()))
            self.say(f"{episode.at_s:7.1f} s  {episode.fault}")
            self._began.append(Began(time.monotonic(), episode.fault))
            match HABITS[episode.fault].track:
                case Track.BROKER:
                    await self._brokers.suffer(episode)
                case Track.PROCESS:
                    await self._process_suffers(episode)
                case Track.DEVICE:
                    await self._device_suffers(episode)

    async def _process_suffers(self, episode: Episode) -> None:
        process = self._process
        match episode.fault:
            case Fault.KILL | Fault.STOP:
                self._is_dead = True
                await (process.kill() if episode.fault is Fault.KILL else process.stop())
                await asyncio.sleep(episode.lasts_s)
                process.start()
                self._is_dead = False
            case Fault.SLEEP:
                process.sleep()
                await asyncio.sleep(episode.lasts_s)
                process.wake()
            case Fault.CLOCK:
                process.set_clock(random.Random(episode.choice).uniform(-CLOCK_JUMP_S, CLOCK_JUMP_S))
                await asyncio.sleep(episode.lasts_s)

    async def _device_suffers(self, episode: Episode) -> None:
        serial = [device for device in self._devices if isinstance(device, SerialDevice)]
        cable = serial[episode.choice % len(serial)].cable
        match episode.fault:
            case Fault.CABLE_CUT:
                cable.cuts = 1
            case Fault.GARBAGE:
                cable.garbage = 2
            case Fault.HALF_FRAME:
                cable.halves = 1
            case Fault.BIT_FLIP:
                cable.flips = 2
            case Fault.SILENCE:
                cable.is_silent = True
            case Fault.RADIO_GONE:
                self._adapter.is_open = False
                self._adapter.cut()
            case Fault.OUT_OF_REACH:
                for device in self._devices:
                    if isinstance(device, Cuff | GlucoseMeter):
                        device.peripheral.lose()
        await asyncio.sleep(episode.lasts_s)
        cable.mend()
        self._adapter.is_open = True

    # The end: everything is well again, and everything must arrive.

    async def _settle(self) -> None:
        self._process.set_clock(0)
        await asyncio.gather(*(self._finished(device) for device in self._devices))
        self.say("the devices have handed everything over")
        await self._until(self._is_empty, HELD_S, "the outbox empties")
        await self._send_parked_again()
        await self._until(self._is_empty, HELD_S, "the outbox empties")
        await self._quiet()

    async def _finished(self, device: Device) -> None:
        try:
            await asyncio.wait_for(device.finish(), HELD_S)
        except TimeoutError:
            raise AssertionError(f"{device.name} still has something to hand over after {HELD_S:g} s") from None

    async def _send_parked_again(self) -> None:
        """As an operator does who has mended what the broker objected to."""
        while rows := await self._process.ask("/v1/outbox", state="parked", limit=OPERATOR_ROWS):
            self._moved |= {row["id"] for row in rows}
            await self._process.ask("/v1/outbox/resend", {"seqs": [row["seq"] for row in rows]})

    async def _quiet(self) -> None:
        """What the brokers have taken is on its way to the subscribers."""
        count = -1
        while count != len(self._brokers.arrivals):
            count = len(self._brokers.arrivals)
            await asyncio.sleep(2.0)

    async def _is_connected(self) -> bool:
        status = await self._process.ask("/v1/status")
        return status is not None and status["room"]["broker"]["phase"] == "connected"

    async def _is_empty(self) -> bool:
        status = await self._process.ask("/v1/status")
        return status is not None and status["room"]["outbox"].get("pending") == 0

    async def _until(self, condition: Callable[[], Any], patience_s: float, what: str) -> None:
        deadline_s = time.monotonic() + patience_s
        while not await condition():
            if time.monotonic() > deadline_s:
                raise AssertionError(f"{what}: not within {patience_s:g} s: {await self._process.ask('/v1/status')}")
            await asyncio.sleep(POLL_S)


@asynccontextmanager
async def rig(folder: Path, seed: int) -> AsyncIterator[Rig]:
    """Everything is there but the daemon, which `run` starts."""
    rng, journal = random.Random(f"{seed}/devices"), Journal()
    serial = [
        (Analyzer("analyzer", journal, rng, 0.005), False),
        (Analyzer("lab", journal, rng, 0.5), True),
        (Scale(journal, rng, 0.7), False),
        (Oximeter(journal, rng, 0.5), True),
    ]
    async with AsyncExitStack() as stack:
        brokers = await stack.enter_async_context(Brokers.running(folder))
        ether = await stack.enter_async_context(Ether(pace=RADIO_PACE))
        adapter = Proxy(int((await ether.serve_tcp()).rpartition(":")[2]))
        await stack.enter_async_context(adapter.listening())
        cuff, meter = await Cuff.hosted(journal, ether, 1.0), await GlucoseMeter.hosted(journal, ether, 2.0)
        stack.push_async_callback(cuff.stop)
        stack.push_async_callback(meter.stop)
        for device, over_pty in serial:
            await stack.enter_async_context(device.served(over_pty=over_pty))
        yield Rig(folder, brokers, journal, adapter, [*(device for device, _ in serial), cuff, meter])


def _write_config(folder: Path, brokers: Brokers, adapter: Proxy, devices: list[Device]) -> Path:
    text = CONFIG.format(addresses=json.dumps(brokers.addresses), radio=f"tcp:127.0.0.1:{adapter.port}")
    for device in devices:
        key, value = device.place
        text += f'[devices.{device.name}]\ndriver = "{device.driver}"\n{key} = {json.dumps(value)}\n{device.options}'
    config = folder / "room.toml"
    config.write_text(text)
    return config
