"""F54: ten thousand sessions leave nothing behind: no memory, no task, no thread, no open file."""

from __future__ import annotations

import asyncio
import gc
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from devicebridge.health import DeviceHealth
from devicebridge.setbacks import Restraint
from support.box import Hasty, box, supervisor
from support.outbox_writer import outbox_at
from support.waiting import until

SESSIONS = 10_000
WARM_UP = 1_000
"""By then every cache and pool has its size."""


@dataclass(frozen=True)
class Footprint:
    memory_kib: int
    objects: int
    tasks: int
    threads: int
    handles: int

    @classmethod
    def now(cls) -> Footprint:
        gc.collect()
        process = psutil.Process()
        handles = process.num_handles() if hasattr(process, "num_handles") else process.num_fds()
        tasks, threads = len(asyncio.all_tasks()), threading.active_count()
        return cls(process.memory_info().rss >> 10, len(gc.get_objects()), tasks, threads, handles)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_f54_ten_thousand_sessions_stay_flat(tmp_path: Path) -> None:
    async def main() -> None:
        outbox = outbox_at(tmp_path / "outbox.db")
        await outbox.open()
        clock = Hasty()
        health = DeviceHealth("box", "box", clock)
        counts = health.counts
        async with box() as port:
            task = asyncio.create_task(supervisor(tmp_path, port, outbox, health, clock, Restraint()).run())
            await until(lambda: counts["sessions"] >= WARM_UP, 100)
            before = Footprint.now()
            await until(lambda: counts["sessions"] >= WARM_UP + SESSIONS, 500)
            after = Footprint.now()
            task.cancel()
            await asyncio.wait({task})
        await outbox.close()
        print(before, after)
        assert counts["readings"] + counts["repeats"] >= SESSIONS
        assert counts["faults"] > SESSIONS / 4 and counts["abandoned"] == 0
        assert after.memory_kib < before.memory_kib + 4096
        assert after.objects < before.objects + 500
        assert abs(after.tasks - before.tasks) <= 3 and abs(after.threads - before.threads) <= 3
        assert abs(after.handles - before.handles) <= 4, "of one session under way"

    asyncio.run(main())
