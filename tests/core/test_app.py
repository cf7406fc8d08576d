"""The daemon's chores, with a clock of the test's own."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from pathlib import Path

from devicebridge.app import REFRESH_S, Daemon
from devicebridge.config import LogConfig, parse
from devicebridge.health import DeviceHealth, DeviceState
from devicebridge.logs import configure
from devicebridge.reload import ConfigFile
from support.clock import ManualClock

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
