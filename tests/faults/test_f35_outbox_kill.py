"""F35: the process killed at any instant. What the outbox has promised is there; a mark that was still waiting is
lost, and only sends twice."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from support.outbox_writer import killable, outbox_at
from support.promised import Promised

ROUNDS = int(os.environ.get("DEVICEBRIDGE_KILLS", "250"))
LATEST_KILL = 40
"""So many things told, at the most, before the axe falls: seven rounds of four groups, marks and memory."""


@pytest.mark.long
@pytest.mark.timeout(600)
def test_f35_250_kills_lose_nothing_that_was_promised(tmp_path: Path) -> None:
    rng, promised, path = random.Random(35), Promised(), tmp_path / "outbox.db"
    for turn in range(ROUNDS):
        _run_and_kill(path, f"{turn:04d}", rng.randint(0, LATEST_KILL), promised)
    assert promised.lost(path) == 0
    assert len(promised.stored) > 30 * ROUNDS and len(promised.settled) > 4 * ROUNDS
    print(f"{ROUNDS} kills, {len(promised.stored)} rows and {len(promised.settled)} marks promised, 0 lost")


def _run_and_kill(path: Path, prefix: str, heard: int, promised: Promised) -> None:
    """Believes everything that came out, also what was still in the pipe when the axe fell."""
    with killable(path, prefix) as (process, pipe):
        for _ in range(heard):
            assert pipe.poll(20), "the writer has ended, or hangs"
            promised.hear(pipe.recv())
        process.kill()
        try:
            while True:
                promised.hear(pipe.recv())
        except (EOFError, OSError):
            return


def test_f35_marks_lost_with_the_process_only_send_again(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    writer = subprocess.run([sys.executable, "-c", LOSER, str(path)], timeout=60, capture_output=True)
    assert writer.returncode == 7, writer.stderr

    async def main() -> None:
        outbox = outbox_at(path)
        await outbox.open()
        [row] = await outbox.pending(limit=10)
        assert row.id == "one"
        await outbox.close()

    asyncio.run(main())


LOSER = """
import asyncio, os, sys
from pathlib import Path
from devicebridge.clock import SystemClock
from devicebridge.outbox import Entry, Outbox

async def main():
    outbox = Outbox(Path(sys.argv[1]), max_bytes=64 << 20, reserve_bytes=1 << 20, keep_s=1e6, clock=SystemClock())
    await outbox.open()
    await outbox.put([Entry("one", 1, "cuff", "topic", b"{}")])
    outbox.settle(1)
    os._exit(7)

asyncio.run(main())
"""
