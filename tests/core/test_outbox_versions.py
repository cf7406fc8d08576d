"""F41: a database of every version that was ever released can be opened by this program, and nothing in it is lost.

outbox_versions/N.db was written by the program of version N and is never written again. A new version brings its own.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from devicebridge.outbox import Entry, State
from devicebridge.outbox.schema import MIGRATIONS, connect, pragma
from support.clock import START

FIXTURES = Path(__file__).with_name("outbox_versions")
INSTANCE_ID = "1013e661-f47e-42ba-8b12-7e4735d724c8"
STATES = [
    (State.SENT, None),
    (State.SENT, None),
    (State.PARKED, "topic-invalid"),
    (State.PENDING, "quota-exceeded"),
    (State.PENDING, None),
    (State.PENDING, None),
]


def test_f41_there_is_a_fixture_of_every_version():
    assert sorted(int(file.stem) for file in FIXTURES.iterdir()) == list(range(1, len(MIGRATIONS) + 1))


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_f41_a_file_of_an_older_version_is_taken_over_whole(version, open_outbox, outbox_path):
    shutil.copyfile(FIXTURES / f"{version}.db", outbox_path)

    async def main():
        async with open_outbox() as outbox:
            report = outbox.report
            assert report.migrated_from == (None if version == len(MIGRATIONS) else version)
            assert (report.created, report.moved_to, report.damaged, report.missing) == (False, None, 0, 0)
            assert outbox.instance_id == INSTANCE_ID
            rows = await outbox.rows(limit=10)
            assert [(row.state, row.reason) for row in rows] == STATES
            for number, row in enumerate(rows, 1):
                assert (row.seq, row.id, row.revision) == (number, f"00000000-0000-5000-8000-{number:012d}", 1)
                assert (row.lane, row.payload, row.raw) == (
                    ("scale", "cuff")[number % 2],
                    b'{"n":%d}' % number,
                    bytes([number]),
                )
                assert row.created_at == START + timedelta(minutes=number - 1)
            assert [row.seq for row in await outbox.pending(limit=10)] == [5, 4, 6], (
                "by lane, and none parked as damaged"
            )
            assert await outbox.recall("cuff", "last-record") == "17"
            assert await outbox.put([Entry("new", 1, "cuff", "t", b"{}")]) == 1
            outbox.settle(5)
            assert (await outbox.rows(limit=1, after_seq=6))[0].seq == 7
        with closing(connect(outbox_path)) as db:
            assert pragma(db, "user_version") == len(MIGRATIONS)

    asyncio.run(main())
