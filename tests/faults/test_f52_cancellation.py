"""F52: a session that is to end does end, at whatever moment it is told. `asyncio.wait_for` loses a cancellation that
meets the end of what it waits for (https://github.com/python/cpython/issues/86296, mended in Python 3.12)."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from devicebridge.health import DeviceHealth
from devicebridge.setbacks import Restraint
from support.box import Hasty, box, supervisor
from support.outbox_writer import outbox_at
from support.waiting import until

TIMES = 300


@pytest.mark.long
def test_f52_a_cancelled_supervisor_ends_whatever_it_was_doing(tmp_path: Path) -> None:
    rng = random.Random(52)

    async def main() -> None:
        outbox = outbox_at(tmp_path / "outbox.db")
        await outbox.open()
        async with box() as port:
            for _ in range(TIMES):
                health = DeviceHealth("box", "box", Hasty())
                task = asyncio.create_task(supervisor(tmp_path, port, outbox, health, Hasty(), Restraint()).run())
                await until(lambda: health.counts["sessions"] > 1)  # noqa: B023 - awaited at once
                for _ in range(rng.randrange(40)):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait({task}, timeout=5)
                assert task.cancelled()
        await outbox.close()

    asyncio.run(main())
