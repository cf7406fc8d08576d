"""F36 and F37: the disk is full, or the outbox has reached its own limit."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from devicebridge.outbox import Fault, OutboxFull, State

PAYLOAD = b"x" * 1000


async def fill(outbox, entry, first: int, *, at_once: int = 20) -> tuple[int, Fault]:
    """Stores groups until one is refused: (rows stored, why)."""
    stored = 0
    while True:
        group = [entry(first + stored + n, payload=PAYLOAD) for n in range(at_once)]
        try:
            stored += await outbox.put(group)
        except OutboxFull as full:
            return stored, full.fault


async def settle_all(outbox) -> int:
    settled, last = 0, {}
    while rows := await outbox.pending(limit=100_000, after=last):
        for row in rows:
            outbox.settle(row.seq)
            last[row.lane] = row.seq
        settled += len(rows)
    await outbox.flush()
    return settled


def test_f37_at_the_limit_unsettled_rows_stay_and_new_ones_are_refused(open_outbox, entry):
    async def main():
        async with open_outbox(max_bytes=4 << 20, reserve_bytes=1 << 20) as outbox:
            stored, fault = await fill(outbox, entry, 0)
            assert fault is Fault.SIZE_LIMIT and stored > 2000
            stats = await outbox.stats()
            assert (stats.pending, stats.refusing) == (stored, Fault.SIZE_LIMIT)
            assert 4 << 20 <= stats.used_bytes < 5 << 20

    asyncio.run(main())


def test_f37_at_the_limit_the_oldest_settled_rows_go_first(open_outbox, entry, clock):
    async def main():
        async with open_outbox(max_bytes=4 << 20, reserve_bytes=1 << 20) as outbox:
            stored, _ = await fill(outbox, entry, 0)
            for seq in range(1, 1001):
                outbox.settle(seq)
            outbox.set_aside(1001, "topic-invalid")
            await outbox.flush()
            more, fault = await fill(outbox, entry, stored)
            assert fault is Fault.SIZE_LIMIT and more >= 900
            rows = await outbox.rows(limit=100_000)
            assert [r.seq for r in rows if r.state is not State.PENDING] == [1001]
            assert len(rows) == stored + more - 1000

    asyncio.run(main())


def test_f37_draining_goes_on_at_the_hard_limit(open_outbox, entry):
    async def main():
        async with open_outbox(max_bytes=2 << 20, reserve_bytes=1 << 20) as outbox:
            await fill(outbox, entry, 0, at_once=500)
            assert await settle_all(outbox) > 1000
            assert (await outbox.stats()).pending == 0
            assert await outbox.put([entry(10**6)]) == 1
            assert (await outbox.stats()).refusing is None

    asyncio.run(main())


def test_f37_a_group_that_does_not_fit_does_not_fail_its_neighbours(open_outbox, entry):
    async def main():
        async with open_outbox(max_bytes=2 << 20, reserve_bytes=1 << 20) as outbox:
            results = await asyncio.gather(
                outbox.put([entry(1)]),
                outbox.put([entry(2, payload=bytes(8 << 20))]),
                outbox.put([entry(3)]),
                return_exceptions=True,
            )
            assert [results[0], results[2]] == [1, 1]
            assert isinstance(results[1], OutboxFull) and results[1].fault is Fault.SIZE_LIMIT

    asyncio.run(main())


@pytest.fixture
def small_disk(tmp_path):
    """A file system of six MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if (
        sys.platform != "linux"
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)], capture_output=True
        ).returncode
    ):
        pytest.skip("needs the right to mount a tmpfs: run as root, or under unshare --map-root-user --mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_f36_a_full_disk_refuses_the_new_drains_the_old_and_recovers(open_outbox, entry, small_disk):
    async def main():
        async with open_outbox(small_disk / "outbox.db", max_bytes=64 << 20, reserve_bytes=1 << 19) as outbox:
            stored, fault = await fill(outbox, entry, 0)
            assert fault is Fault.DISK_FULL and stored > 1000
            stats = await outbox.stats()
            assert (stats.pending, stats.refusing) == (stored, Fault.DISK_FULL)
            with pytest.raises(OutboxFull):
                await outbox.put([entry(10**6)])
            assert await settle_all(outbox) == stored, "not a row lost, and each can be marked"
            assert await outbox.put([entry(10**6)]) == 1, "the settled rows made room"
            assert (await outbox.stats()).refusing is None
            assert (small_disk / "outbox.db.reserve").stat().st_size == 1 << 19
            assert await outbox.put([entry(10**6 + 1)]) == 1

    asyncio.run(main())


def test_f36_a_disk_filled_by_others_keeps_our_rows_and_is_noticed_when_free_again(open_outbox, entry, small_disk):
    ballast = small_disk / "ballast"

    async def main():
        async with open_outbox(small_disk / "outbox.db", max_bytes=64 << 20, reserve_bytes=1 << 19) as outbox:
            assert await outbox.put([entry(n) for n in range(10)]) == 10
            for seq in range(1, 6):
                outbox.settle(seq)
            await outbox.flush()
            _fill_up(ballast)
            _, fault = await fill(outbox, entry, 100)
            assert fault is Fault.DISK_FULL
            stats = await outbox.stats()
            assert (stats.sent, stats.refusing) == (5, Fault.DISK_FULL), "pruning ours would not have helped"
            await settle_all(outbox)
            ballast.unlink()
            assert (await outbox.stats()).refusing is None
            assert await outbox.put([entry(10**6)]) == 1

    asyncio.run(main())


def test_f36_a_full_disk_at_start(open_outbox, entry, small_disk):
    path = small_disk / "outbox.db"

    async def main():
        async with open_outbox(path, reserve_bytes=1 << 19) as outbox:
            await outbox.put([entry(1), entry(2)])
        _fill_up(small_disk / "ballast")
        async with open_outbox(path, reserve_bytes=1 << 19) as outbox:
            with pytest.raises(OutboxFull) as full:
                await outbox.put([entry(3)])
            assert full.value.fault is Fault.DISK_FULL
            assert await settle_all(outbox) == 2

    asyncio.run(main())


def _fill_up(path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(os.urandom(size))
            except OSError:
                pass
