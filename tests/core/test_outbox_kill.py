"""F35: the writer killed at any instant. What it was told is on the disk is there; a lost mark only sends twice."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys

import pytest

from devicebridge.outbox import State

WRITER = """
import asyncio, sys
from pathlib import Path
from devicebridge.clock import SystemClock
from devicebridge.outbox import Entry, Outbox

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

async def put(outbox, prefix, number):
    ids = [f"{prefix}-{number}-{n}" for n in range(3)]
    await outbox.put([Entry(id_, 1, prefix, "topic", id_.encode() * 20) for id_ in ids])
    say("stored", *ids)

async def settle(outbox):
    rows = await outbox.pending(limit=2)
    for row in rows:
        outbox.settle(row.seq)
    await outbox.flush()
    say("settled", *(row.id for row in rows))

async def main():
    outbox = Outbox(Path(sys.argv[1]), max_bytes=64 << 20, reserve_bytes=1 << 20, keep_s=1e6, clock=SystemClock())
    await outbox.open()
    for number in range(10_000):
        await asyncio.gather(*(put(outbox, f"{sys.argv[2]}-{lane}", number) for lane in range(4)), settle(outbox))

asyncio.run(main())
"""


@pytest.mark.long
def test_f35_killed_fifty_times(open_outbox, outbox_path):
    chance = random.Random(35)
    stored: set[str] = set()
    settled: set[str] = set()
    for turn in range(50):
        _run_and_kill(outbox_path, turn, chance.randint(1, 60), stored, settled)
    rows = asyncio.run(_rows(open_outbox))
    found = {row.id: row for row in rows}
    assert len(found) == len(rows)
    assert stored <= found.keys()
    assert {id_ for id_ in settled if found[id_].state is not State.SENT} == set()
    assert all(row.payload == row.id.encode() * 20 for row in rows)
    groups = [row.id.rpartition("-")[0] for row in rows]
    assert {groups.count(group) for group in set(groups)} == {3}, "each group whole or not at all"
    assert len(settled) > 100


def test_f35_marks_lost_with_the_process_only_send_again(open_outbox, outbox_path):
    writer = subprocess.run([sys.executable, "-c", LOSER, str(outbox_path)], timeout=60, capture_output=True)
    assert writer.returncode == 7, writer.stderr

    async def main():
        async with open_outbox() as outbox:
            [row] = await outbox.pending(limit=10)
            assert row.id == "one"

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


def _run_and_kill(path, turn, lines, stored, settled) -> None:
    """Believes every line that came out, also those still in the pipe when the axe fell."""
    command = [sys.executable, "-c", WRITER, str(path), str(turn)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(lines)]
        writer.kill()
        said += [line for line in writer.stdout if line.endswith("\n")]
    for line in said:
        word, *ids = line.split()
        (stored if word == "stored" else settled).update(ids)


async def _rows(open_outbox):
    async with open_outbox(keep_s=1e9, max_bytes=64 << 20) as outbox:
        report = outbox.report
        assert (report.moved_to, report.damaged, report.missing) == (None, 0, 0)
        return await outbox.rows(limit=1_000_000)
