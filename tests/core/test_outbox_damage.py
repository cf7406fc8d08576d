"""F38: every way the file was seen to break, on the real file."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing

import pytest

from devicebridge.outbox import Entry, Fault, OutboxFailed, State
from devicebridge.outbox.salvage import MAX_ASIDE
from devicebridge.outbox.schema import PAGE_BYTES, connect

ROWS = 300


@pytest.fixture
def filled(open_outbox, entry):
    """A closed database: rows 1 to 100 sent, 101 parked, the rest pending."""

    async def fill() -> str:
        async with open_outbox() as outbox:
            for first in range(1, ROWS + 1, 10):
                await outbox.put([entry(n, payload=b"%05d" % n * 40) for n in range(first, first + 10)])
            for seq in range(1, 101):
                outbox.settle(seq)
            outbox.set_aside(101, "topic-invalid")
            return outbox.instance_id

    return asyncio.run(fill())


def reopened(open_outbox):
    """(report, instance id, all rows, highest seq that a new row gets)"""

    async def reopen():
        async with open_outbox() as outbox:
            rows = await outbox.rows(limit=10 * ROWS)
            await outbox.put([Entry(f"new-{len(rows)}", 1, "cuff", "t", b"{}")])
            [new] = await outbox.rows(limit=1, after_seq=max((r.seq for r in rows), default=0))
            return outbox.report, outbox.instance_id, rows, new.seq

    return asyncio.run(reopen())


def corrupt_file(path):
    [aside] = path.parent.glob("outbox.db.corrupt-*Z")
    return aside


def test_f38_a_sound_database_has_nothing_to_report(open_outbox, filled):
    report, instance_id, rows, _ = reopened(open_outbox)
    assert (report.created, report.moved_to, report.salvaged, report.damaged, report.missing) == (False, None, 0, 0, 0)
    assert instance_id == filled
    assert len(rows) == ROWS


@pytest.mark.parametrize(
    ("offset", "garbage"),
    [
        (0, b"\x00" * 100),  # zeroed header
        (0, b"garbage " * 512),  # the whole first page
        (16, b"\xff" * 84),  # header, but for the magic
    ],
    ids=["header-zeroed", "first-page-garbage", "header-garbage"],
)
def test_f38_first_page_lost_and_every_row_kept(open_outbox, filled, outbox_path, offset, garbage):
    damaged = bytearray(outbox_path.read_bytes())
    damaged[offset : offset + len(garbage)] = garbage
    outbox_path.write_bytes(damaged)
    report, instance_id, rows, new = reopened(open_outbox)
    assert report.moved_to == corrupt_file(outbox_path)
    assert report.moved_to.read_bytes() == damaged
    assert (report.salvaged, report.damaged, report.missing) == (ROWS, 0, 0)
    assert instance_id == filled
    assert [r.seq for r in rows] == list(range(1, ROWS + 1))
    assert [r.state for r in rows] == [State.SENT] * 100 + [State.PARKED] + [State.PENDING] * 199
    assert new > ROWS


def test_f38_a_bad_page_costs_the_rows_on_it(open_outbox, filled, outbox_path):
    with closing(connect(outbox_path)) as db:
        [leaf] = (
            db.execute(
                "SELECT pageno FROM dbstat WHERE name = 'outbox' AND pagetype = 'leaf' ORDER BY pageno LIMIT 1 OFFSET 5"
            ).fetchone()
            if _has_dbstat(db)
            else [_leaf_with(outbox_path, b"00150" * 40)]
        )
    with outbox_path.open("r+b") as file:
        file.seek((leaf - 1) * PAGE_BYTES)
        file.write(os.urandom(PAGE_BYTES))
    report, instance_id, rows, _ = reopened(open_outbox)
    assert report.moved_to is not None and instance_id == filled
    assert ROWS - 20 <= report.salvaged == len(rows) < ROWS
    assert all(r.payload == b"%05d" % int(r.id[-12:]) * 40 for r in rows)
    assert rows[0].seq == 1 and rows[-1].seq == ROWS


def test_f38_truncated(open_outbox, filled, outbox_path):
    os.truncate(outbox_path, outbox_path.stat().st_size // 2 // PAGE_BYTES * PAGE_BYTES)
    report, instance_id, rows, new = reopened(open_outbox)
    assert report.moved_to is not None and instance_id == filled
    assert 0 < report.salvaged == len(rows) < ROWS
    assert new > ROWS, "a number is never used twice"


@pytest.mark.parametrize("size", [1, 50, 511, 1000])
def test_f38_truncated_to_a_stump(open_outbox, filled, outbox_path, size):
    os.truncate(outbox_path, size)
    report, instance_id, rows, new = reopened(open_outbox)
    assert (rows, report.missing, instance_id) == ([], ROWS, filled)
    assert new == ROWS + 1


def test_f38_zero_length_is_not_taken_for_a_new_database(open_outbox, filled, outbox_path):
    os.truncate(outbox_path, 0)
    report, instance_id, rows, new = reopened(open_outbox)
    assert (report.created, report.missing, rows, instance_id) == (True, ROWS, [], filled)
    assert new == ROWS + 1


def test_f38_missing_wal_is_noticed(open_outbox, entry, outbox_path, tmp_path):
    crashed = tmp_path / "crashed" / "outbox.db"
    crashed.parent.mkdir()

    async def fill():
        async with open_outbox() as outbox:
            await outbox.put([entry(n) for n in range(100)])
        async with open_outbox() as outbox:
            await outbox.put([entry(n) for n in range(100, 150)])
            for suffix in ("", ".high"):
                shutil.copyfile(f"{outbox_path}{suffix}", f"{crashed}{suffix}")
        async with open_outbox(crashed) as outbox:
            return outbox.report, len(await outbox.pending(limit=1000))

    report, pending = asyncio.run(fill())
    assert (report.missing, pending) == (50, 100)


def test_f38_a_crash_that_left_its_wal_loses_nothing(open_outbox, entry, outbox_path, tmp_path):
    crashed = tmp_path / "crashed" / "outbox.db"
    crashed.parent.mkdir()

    async def fill():
        async with open_outbox() as outbox:
            await outbox.put([entry(n) for n in range(100)])
            for suffix in ("", "-wal", ".high"):
                shutil.copyfile(f"{outbox_path}{suffix}", f"{crashed}{suffix}")
        async with open_outbox(crashed) as outbox:
            return outbox.report, len(await outbox.pending(limit=1000))

    report, pending = asyncio.run(fill())
    assert (report.missing, pending) == (0, 100)


@pytest.mark.parametrize("text", ["", "garbage", "uuid 000001 deadbeef\n", "\xff\xfe"])
def test_f38_a_torn_side_file_is_not_believed(open_outbox, filled, outbox_path, text):
    outbox_path.with_name("outbox.db.high").write_text(text, "latin-1")
    report, _, rows, _ = reopened(open_outbox)
    assert (report.missing, len(rows)) == (0, ROWS)


def test_f38_a_flipped_bit_in_a_row_is_parked_and_never_published(open_outbox, filled, outbox_path):
    data = bytearray(outbox_path.read_bytes())
    place = data.index(b"00250" * 40)
    data[place + 3] ^= 0x04
    outbox_path.write_bytes(data)
    with closing(connect(outbox_path)) as db:
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",), "SQLite itself does not see it"

    async def main():
        async with open_outbox() as outbox:
            assert outbox.report.moved_to is None
            published = await outbox.pending(limit=1000)
            assert 250 not in {r.seq for r in published} and len(published) == 198
            [row] = await outbox.rows(limit=1, after_seq=249)
            assert (row.seq, row.state, row.reason) == (250, State.PARKED, "corrupt")
            assert ((await outbox.stats()).parked, (await outbox.stats()).damaged) == (2, 1)
            await outbox.resend(seqs=[250])
            assert len(await outbox.pending(limit=1000)) == 198

    asyncio.run(main())


def test_f38_a_flipped_bit_and_a_lost_header_park_the_row_too(open_outbox, filled, outbox_path):
    data = bytearray(outbox_path.read_bytes())
    data[data.index(b"00250" * 40) + 3] ^= 0x04
    data[:100] = bytes(100)
    outbox_path.write_bytes(data)
    report, _, rows, _ = reopened(open_outbox)
    assert (report.salvaged, report.damaged) == (ROWS, 1)
    assert (rows[249].state, rows[249].reason) == (State.PARKED, "corrupt")


def test_f38_damage_met_in_use_is_repaired_in_place(open_outbox, entry, outbox_path, filled):
    async def main():
        async with open_outbox() as outbox:
            await outbox.put([entry(n, payload=bytes(1000)) for n in range(5000, 9000)])
        async with open_outbox() as outbox:  # larger than SQLite's page cache, which would hide the damage
            leaf = _leaf_with(outbox_path, b"00290" * 40)
            with outbox_path.open("r+b") as file:
                file.seek((leaf - 1) * PAGE_BYTES)
                file.write(b"\xa5" * PAGE_BYTES)
            with pytest.raises(OutboxFailed) as failed:
                await outbox.rows(limit=9000)
            assert failed.value.fault is Fault.CORRUPT
            assert outbox.report.moved_to == corrupt_file(outbox_path)
            assert outbox.instance_id == filled
            assert ROWS + 4000 - 20 <= len(await outbox.rows(limit=9000)) < ROWS + 4000
            assert await outbox.put([entry(1000)]) == 1

    asyncio.run(main())


@pytest.mark.parametrize("moved", [("-wal",), ("-wal", "")])
def test_f38_a_repair_that_was_interrupted_goes_on(open_outbox, filled, outbox_path, moved):
    data = bytearray(outbox_path.read_bytes())
    data[:100] = bytes(100)
    outbox_path.write_bytes(data)
    outbox_path.with_name("outbox.db-wal").write_bytes(b"")
    for suffix in moved:
        name = f"outbox.db.corrupt-20261121T000000Z{suffix}"
        outbox_path.with_name(f"outbox.db{suffix}").rename(outbox_path.with_name(name))
    outbox_path.with_name("outbox.db.salvaged").write_bytes(b"half done")
    report, instance_id, rows, _ = reopened(open_outbox)
    assert report.moved_to == outbox_path.with_name("outbox.db.corrupt-20261121T000000Z") == corrupt_file(outbox_path)
    assert (report.salvaged, len(rows), instance_id) == (ROWS, ROWS, filled)
    assert not [p for p in outbox_path.parent.iterdir() if "salvage" in p.name]


@pytest.mark.parametrize(
    "harm",
    [
        lambda wal: wal[: len(wal) // 2],
        lambda wal: wal[: len(wal) // 2] + bytes(len(wal) // 2),
        lambda wal: b"garbage " * (len(wal) // 8),
        lambda wal: b"",
    ],
    ids=["truncated", "zeroed-half", "garbage", "empty"],
)
def test_f38_a_damaged_wal_is_noticed_and_what_lies_before_it_kept(harm, open_outbox, entry, outbox_path, tmp_path):
    """Of 50 commits of one row each, in a log that SQLite believes up to its first bad frame."""
    crashed = tmp_path / "crashed" / "outbox.db"
    crashed.parent.mkdir()

    async def fill():
        async with open_outbox() as outbox:
            await outbox.put([entry(n) for n in range(100)])
        async with open_outbox() as outbox:
            for n in range(100, 150):
                await outbox.put([entry(n)])
            for suffix in ("", "-wal", ".high"):
                shutil.copyfile(f"{outbox_path}{suffix}", f"{crashed}{suffix}")
        wal = crashed.with_name("outbox.db-wal")
        wal.write_bytes(harm(wal.read_bytes()))
        async with open_outbox(crashed) as outbox:
            return outbox.report, await outbox.pending(limit=1000)

    report, pending = asyncio.run(fill())
    assert 0 < report.missing <= 50
    assert [row.seq for row in pending] == list(range(1, 150 - report.missing + 1))
    assert report.moved_to is None


def test_f38_a_deleted_database_is_not_taken_for_a_first_start(open_outbox, filled, outbox_path):
    outbox_path.unlink()
    report, instance_id, rows, new = reopened(open_outbox)
    assert (report.created, report.missing, rows, instance_id, new) == (True, ROWS, [], filled, ROWS + 1)


def test_f38_a_damaged_database_is_never_overwritten_by_the_next(open_outbox, filled, outbox_path):
    """Both within one second, as on a disk that fails."""
    for _ in range(2):
        data = bytearray(outbox_path.read_bytes())
        data[:100] = bytes(100)
        outbox_path.write_bytes(data)
        report, _, _, _ = reopened(open_outbox)
        assert report.salvaged >= ROWS
    assert len(list(outbox_path.parent.glob("outbox.db.corrupt-*Z"))) == 2


def test_f38_a_disk_is_not_filled_with_damaged_databases(open_outbox, filled, outbox_path):
    for number in range(MAX_ASIDE):
        outbox_path.with_name(f"outbox.db.corrupt-20261120T0000{number:02d}Z").write_bytes(b"an earlier one")
    damaged = bytes(100) + outbox_path.read_bytes()[100:]
    outbox_path.write_bytes(damaged)
    with pytest.raises(OutboxFailed) as failed:
        reopened(open_outbox)
    assert failed.value.fault is Fault.CORRUPT
    assert outbox_path.read_bytes() == damaged


def _has_dbstat(db: sqlite3.Connection) -> bool:
    try:
        db.execute("SELECT 1 FROM dbstat LIMIT 1")
    except sqlite3.OperationalError:
        return False
    return True


def _leaf_with(path, payload) -> int:
    """The number of the page that holds this payload."""
    return path.read_bytes().index(payload) // PAGE_BYTES + 1
