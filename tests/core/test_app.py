"""The daemon's chores, with a clock of the test's own."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devicebridge.app import REFRESH_S, SLEEP_CHECK_S, Daemon
from devicebridge.clock import SystemClock
from devicebridge.config import LogConfig, parse
from devicebridge.health import DeviceHealth, DeviceState
from devicebridge.logs import configure
from devicebridge.reload import ConfigFile
from devicebridge.testing.broker import Broker
from support.clock import ManualClock
from support.daemon import Inbox, inbox, mosquitto, wait_for
from support.waiting import until

CONFIG = """\
[site]
id = "clinic"
room = "exam-1"
timezone = "America/Chicago"
[broker]
addresses = ["127.0.0.1"]
[outbox]
path = "outbox.db"
"""


def test_every_status_is_written_again_however_busy_the_rest_is(tmp_path: Path) -> None:
    """An "ok" that was true when the last byte came must not stand for ever."""

    async def main() -> None:
        clock = ManualClock()
        config = parse(CONFIG, tmp_path / "room.toml")
        log = configure(LogConfig(file=tmp_path / "log"))
        file = ConfigFile(tmp_path / "room.toml", clock)
        daemon = Daemon(config, file=file, clock=clock, rng=random.Random(1), log=log)
        quiet = daemon.fleet.healths["quiet"] = DeviceHealth("quiet", "box", clock)
        quiet.heard(1)
        quiet.enter(DeviceState.OK)
        chore = asyncio.create_task(daemon._refresh_status())
        for _ in range(3):
            daemon._changed("busy")
            await asyncio.sleep(0)
            clock.advance(REFRESH_S)
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        chore.cancel()
        assert "quiet" in daemon._dirty
        assert quiet.state is DeviceState.WAITING
        assert clock.now() - quiet.since < timedelta(seconds=2 * REFRESH_S)

    asyncio.run(main())


class Slow(Daemon):
    """Its room status takes long, as where the disk does, and is ready when the daemon moves to another broker."""

    moving = False

    async def room_status(self) -> Mapping[str, Any]:
        status = await super().room_status()
        if self.moving:
            self.moving = False
            await until(lambda: self._is_moving)
        return status


def test_the_broker_that_is_left_keeps_no_word_of_devices_and_hears_that_we_are_gone(tmp_path: Path) -> None:
    (tmp_path / "next").mkdir()
    path = tmp_path / "room.toml"
    lost = '[control]\nport = 0\n[devices.cuff]\ndriver = "nonin"\nport = "socket://127.0.0.1:9"\n'

    async def main(old: Broker, new: Broker, received: Inbox, moved: Inbox) -> None:
        text = CONFIG.replace('"127.0.0.1"', f'"127.0.0.1:{old.port}"') + lost
        path.write_text(text)
        clock = SystemClock()
        file = ConfigFile(path, clock)
        log = configure(LogConfig(file=tmp_path / "log"))
        daemon = Slow(file.read(), file=file, clock=clock, rng=random.Random(1), log=log)
        stop = asyncio.Event()
        running = asyncio.create_task(daemon.run(stop))
        await until(lambda: received.latest("/cuff/status") and received.latest("/exam-1/status"))
        daemon.moving = True
        daemon._changed("cuff")
        await until(lambda: not daemon.moving)
        path.write_text(text.replace(str(old.port), str(new.port)))
        await daemon.reload()
        await until(lambda: moved.latest("/cuff/status") and moved.latest("/exam-1/status"))
        stop.set()
        await running

    with mosquitto(tmp_path) as old, mosquitto(tmp_path / "next") as new:
        with inbox(old) as received, inbox(new) as moved:
            asyncio.run(asyncio.wait_for(main(old, new, received, moved), 30))
        with inbox(old) as later:
            wait_for(later.drain, "what the old one retained")
            assert [(m.topic, json.loads(m.payload)["state"]) for m in later.drain()] == [
                ("devicebridge/v1/clinic/exam-1/status", "offline")
            ]


class SetClock(ManualClock):
    """Of a PC whose wall clock can be set. ahead_s: how far."""

    ahead_s = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead_s)


@pytest.mark.parametrize("ahead_s", [3600, -3600])
def test_f23_a_clock_that_is_set_is_recorded(ahead_s: float, tmp_path: Path) -> None:
    async def main() -> None:
        clock = SetClock()
        config = parse(CONFIG.replace("[outbox]", 'client_id = "pc"\n[outbox]'), tmp_path / "room.toml")
        log = configure(LogConfig(file=tmp_path / "log"))
        file = ConfigFile(tmp_path / "room.toml", clock)
        daemon = Daemon(config, file=file, clock=clock, rng=random.Random(1), log=log)
        daemon.publisher = daemon._make_publisher()
        chore = asyncio.create_task(daemon._notice_sleep())

        async def look() -> int:
            await asyncio.sleep(0)
            clock.advance(SLEEP_CHECK_S)
            await asyncio.sleep(0)
            return (tmp_path / "log").read_text().count("clock-gap")

        assert await look() == 0
        clock.ahead_s = ahead_s
        assert await look() == 1
        assert await look() == 1
        chore.cancel()

    asyncio.run(main())
