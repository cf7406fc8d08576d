"""The outbox over the real SQLite: what is stored, in which order, and for how long."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from devicebridge.outbox import LANE_BYTES, Entry, Fault, Outbox, OutboxFailed, State, read_only_rows
from devicebridge.outbox.schema import MIGRATIONS, connect, create, migrate, pragma
from support.clock import START
from support.waiting import until


def ids(rows):
    return [int(row.id[-12:]) for row in rows]


def test_a_stored_row_comes_back_as_it_was(open_outbox, entry):
    async def main():
        async with open_outbox() as outbox:
            assert await outbox.put([entry(1)]) == 1
        async with open_outbox() as outbox:
            [row] = await outbox.pending(limit=10)
            assert (row.id, row.revision, row.lane, row.topic, row.payload) == (
                entry(1).id,
                1,
                "cuff",
                entry(1).topic,
                entry(1).payload,
            )
            assert (row.created_at, row.state, row.attempts, row.reason, row.settled_at) == (
                START,
                State.PENDING,
                0,
                None,
                None,
            )
            assert row.raw == b""
            [row] = await outbox.rows(limit=10)
            assert row.raw == b"\x01\x02"

    asyncio.run(main())


def test_put_is_flushed_when_it_returns(open_outbox, entry, outbox_path):
    async def main():
        async with open_outbox() as outbox:
            await outbox.put([entry(1)])
            [row] = read_only_rows(outbox_path)
            assert row.id == entry(1).id
            with closing(connect(outbox_path)) as db:
                assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    asyncio.run(main())


def test_f30_a_known_id_and_revision_is_not_stored_twice(open_outbox, entry):
    async def main():
        async with open_outbox() as outbox:
            assert await outbox.put([entry(1), entry(2)]) == 2
            assert await outbox.put([entry(2), entry(3)]) == 1
            assert await outbox.put([replace(entry(2), revision=2)]) == 1
            assert await outbox.put([]) == 0
            assert ids(await outbox.pending(limit=10)) == [1, 2, 3, 2]

    asyncio.run(main())


@pytest.mark.parametrize(
    "bad",
    [
        {"payload": "text"},
        {"lane": None},
        {"revision": 2**70},
        {"revision": "one"},
        {"topic": "\ud800"},
        {"raw": None},
    ],
)
def test_a_bad_entry_fails_its_own_group_whole_and_no_other(open_outbox, entry, bad):
    async def main():
        async with open_outbox() as outbox:
            results = await asyncio.gather(
                outbox.put([entry(1), entry(2)]),
                outbox.put([entry(3), replace(entry(4), **bad), entry(5)]),
                outbox.put([entry(6)]),
                return_exceptions=True,
            )
            assert [results[0], results[2]] == [2, 1]
            assert isinstance(results[1], OutboxFailed) and results[1].fault is Fault.BAD_ENTRY
            assert ids(await outbox.pending(limit=10)) == [1, 2, 6]

    asyncio.run(main())


def test_32_callers_share_flushes_and_each_keeps_its_order(open_outbox, entry):
    async def caller(outbox: Outbox, number: int) -> None:
        for n in range(20):
            assert await outbox.put([entry(number * 100 + n, lane=f"lane-{number:02d}")]) == 1

    async def main():
        async with open_outbox() as outbox:
            await asyncio.gather(*(caller(outbox, number) for number in range(32)))
            rows = await outbox.pending(limit=100)
            for number in range(32):
                lane = [row for row in rows if row.lane == f"lane-{number:02d}"]
                assert ids(lane) == [number * 100 + n for n in range(20)]
                assert [row.seq for row in lane] == sorted(row.seq for row in lane)

    asyncio.run(main())


def test_pending_gives_no_more_of_a_lane_than_a_bound_of_bytes(open_outbox, entry):
    """Long EKG strips are megabytes, and after an outage hundreds wait."""

    async def main():
        async with open_outbox() as outbox:
            large = b"x" * (LANE_BYTES // 2 + 1)
            await outbox.put([replace(entry(n, lane="leads"), payload=large) for n in range(5)])
            await outbox.put([entry(9, lane="scale")])
            assert ids(await outbox.pending(limit=10)) == [0, 1, 9]
            assert ids(await outbox.pending(limit=10, after={"leads": 4})) == [4, 9]

    asyncio.run(main())


def test_pending_goes_lane_by_lane_from_where_the_reader_is(open_outbox, entry):
    async def main():
        async with open_outbox() as outbox:
            await outbox.put(
                [entry(n, lane="cuff") for n in range(5)] + [entry(n, lane="scale") for n in range(10, 13)]
            )
            assert ids(await outbox.pending(limit=2)) == [0, 1, 10, 11]
            assert ids(await outbox.pending(limit=2, after={"cuff": 2})) == [2, 3, 10, 11]
            assert ids(await outbox.pending(limit=9, lanes_excluded={"cuff"})) == [10, 11, 12]

    asyncio.run(main())


def test_settled_parked_and_tried_rows(open_outbox, entry, clock):
    async def main():
        async with open_outbox() as outbox:
            await outbox.put([entry(n) for n in range(4)])
            clock.advance(5)
            outbox.settle(1)
            outbox.set_aside(2, "topic-invalid")
            outbox.attempt(3, "quota-exceeded")
            await outbox.flush()
            rows = await outbox.rows(limit=10)
            assert [(r.state, r.attempts, r.reason, r.settled_at) for r in rows] == [
                (State.SENT, 1, None, START + timedelta(seconds=5)),
                (State.PARKED, 1, "topic-invalid", START + timedelta(seconds=5)),
                (State.PENDING, 1, "quota-exceeded", None),
                (State.PENDING, 0, None, None),
            ]
            stats = await outbox.stats()
            assert (stats.pending, stats.sent, stats.parked, stats.refusing) == (2, 1, 1, None)
            assert stats.oldest_pending_at == START
            assert 0 < stats.used_bytes < stats.limit_bytes == 8 << 20

    asyncio.run(main())


def test_marks_are_written_without_being_asked_for(open_outbox, entry, outbox_path):
    async def main():
        async with open_outbox() as outbox:
            await outbox.put([entry(1)])
            outbox.settle(1)
            await until(lambda: read_only_rows(outbox_path, state=State.SENT))

    asyncio.run(main())


def test_marks_are_written_at_close(open_outbox, entry, outbox_path):
    async def main():
        async with open_outbox() as outbox:
            await outbox.put([entry(1)])
            outbox.settle(1)
        assert read_only_rows(outbox_path, state=State.SENT)

    asyncio.run(main())


def test_what_an_operator_parked_stays_parked_unless_the_broker_took_it(open_outbox, entry):
    async def main():
        async with open_outbox() as outbox:
            await outbox.put([entry(1), entry(2)])
            before = outbox.parkings
            assert await outbox.park([1, 2, 99], "operator") == 2
            assert outbox.parkings == before + 1
            outbox.attempt(1, "lost")
            outbox.settle(2)
            rows = await outbox.rows(limit=10)
            assert [(r.state, r.reason) for r in rows] == [(State.PARKED, "operator"), (State.SENT, None)]

    asyncio.run(main())


def test_f33_settled_rows_go_out_again_by_number_id_and_time(open_outbox, entry, clock):
    async def main():
        async with open_outbox() as outbox:
            for n in range(1, 5):
                await outbox.put([entry(n)])
                clock.advance(60)
            for seq in (1, 2, 3):
                outbox.settle(seq)
            minute = timedelta(minutes=1)
            assert await outbox.resend(since=START + minute, until=START + 2 * minute) == 1
            assert await outbox.resend(seqs=[1], ids=[entry(3).id, "unknown"]) == 2
            assert await outbox.resend(seqs=[1]) == 0
            assert await outbox.resend() == 0
            rows = await outbox.pending(limit=10)
            assert ids(rows) == [4, 2, 1, 3]
            assert rows[1].created_at == START + minute
            assert min(row.seq for row in rows[1:]) > 4

    asyncio.run(main())


def test_a_parked_row_goes_out_again_when_asked(open_outbox, entry):
    async def main():
        async with open_outbox() as outbox:
            await outbox.put([entry(1)])
            outbox.set_aside(1, "packet-too-large")
            assert await outbox.resend(ids=[entry(1).id]) == 1
            assert ids(await outbox.pending(limit=10)) == [1]

    asyncio.run(main())


def test_retention_removes_settled_rows_and_nothing_else(open_outbox, entry, clock):
    async def main():
        async with open_outbox(keep_s=3600) as outbox:
            await outbox.put([entry(n) for n in range(1300)])
            for seq in range(1, 1201):
                outbox.settle(seq)
            outbox.set_aside(1201, "topic-invalid")
            await outbox.flush()
            clock.advance(3599)
            assert (await outbox.stats()).sent == 1200
            outbox.settle(1202)
            await until(lambda: len(clock.slept) == 2)
            clock.advance(60)
            await until(lambda: len(clock.slept) == 3)
            remaining = await outbox.stats()
            assert (remaining.pending, remaining.sent, remaining.parked) == (98, 1, 1)

    asyncio.run(main())


def test_watchers_hear_of_new_rows_only(open_outbox, entry):
    async def main():
        async with open_outbox() as outbox:
            heard = []
            outbox.watch(lambda: heard.append(1))
            await outbox.put([entry(1)])
            assert len(heard) == 1
            await outbox.put([entry(1)])
            await outbox.pending(limit=1)
            await outbox.stats()
            assert len(heard) == 1
            outbox.settle(1)
            await outbox.resend(seqs=[1])
            assert len(heard) == 2

    asyncio.run(main())


def test_the_instance_id_lasts(open_outbox):
    async def main():
        async with open_outbox() as outbox:
            first = outbox.instance_id
        async with open_outbox() as outbox:
            assert outbox.instance_id == first
            assert outbox.report is not None and not outbox.report.created

    asyncio.run(main())


def test_a_closed_outbox_says_so(open_outbox, entry):
    async def main():
        async with open_outbox() as outbox:
            pass
        with pytest.raises(OutboxFailed) as failed:
            await outbox.put([entry(1)])
        assert failed.value.fault is Fault.CLOSED
        await outbox.close()

    asyncio.run(main())


SECOND = """
import asyncio, sys
from pathlib import Path
from devicebridge.clock import SystemClock
from devicebridge.outbox import Outbox, OutboxFailed
outbox = Outbox(Path(sys.argv[1]), max_bytes=8 << 20, reserve_bytes=1 << 20, keep_s=1, clock=SystemClock())
try:
    asyncio.run(outbox.open())
except OutboxFailed as failed:
    print(failed.fault)
"""


def test_f40_a_second_daemon_is_refused(open_outbox, outbox_path, entry):
    async def main():
        async with open_outbox() as outbox:
            second = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-c", SECOND, str(outbox_path)],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert second.stdout.strip() == "locked", second.stderr
            with pytest.raises(OutboxFailed) as failed:
                async with open_outbox():
                    pass
            assert failed.value.fault is Fault.LOCKED
            assert await outbox.put([entry(1)]) == 1

    asyncio.run(main())


def test_f41_a_newer_file_is_refused_and_left_alone(open_outbox, outbox_path, entry):
    async def main():
        async with open_outbox() as outbox:
            await outbox.put([entry(1)])
        with closing(connect(outbox_path)) as db:
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        before = outbox_path.read_bytes()
        with pytest.raises(OutboxFailed) as failed:
            async with open_outbox():
                pass
        assert failed.value.fault is Fault.NEWER_VERSION
        assert outbox_path.read_bytes() == before

    asyncio.run(main())


def test_f41_migration_is_one_transaction_after_a_copy(tmp_path):
    path, copy = tmp_path / "old.db", tmp_path / "copy.db"
    with closing(connect(path)) as db:
        create(db, "instance")
        good = ("ALTER TABLE meta ADD COLUMN note TEXT",)
        with pytest.raises(sqlite3.OperationalError):
            migrate(db, copy, (*MIGRATIONS, good, ("ALTER TABLE nothing ADD COLUMN x",)))
        assert pragma(db, "user_version") == len(MIGRATIONS)
        assert len(db.execute("SELECT * FROM meta").fetchone()) == 2
        migrate(db, copy, (*MIGRATIONS, good))
        assert pragma(db, "user_version") == len(MIGRATIONS) + 1
        assert len(db.execute("SELECT * FROM meta").fetchone()) == 3
    with closing(connect(copy)) as db:
        assert pragma(db, "user_version") == len(MIGRATIONS)
        assert db.execute("SELECT instance_id FROM meta").fetchone() == ("instance",)


def test_a_foreign_database_is_refused_and_left_alone(open_outbox, outbox_path):
    with closing(sqlite3.connect(outbox_path)) as db:
        db.execute("CREATE TABLE somebody_elses (x)")
        db.commit()
    before = outbox_path.read_bytes()

    async def main():
        with pytest.raises(OutboxFailed) as failed:
            async with open_outbox():
                pass
        assert failed.value.fault is Fault.NOT_OURS

    asyncio.run(main())
    assert outbox_path.read_bytes() == before


def test_the_raw_bytes_may_be_left_out():
    assert Entry("id", 1, "lane", "topic", b"{}").raw == b""
