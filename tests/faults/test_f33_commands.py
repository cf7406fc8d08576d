"""F33, F40: the outbox commands on a daemon that runs. They ask it; none of them opens the database, for a second
writer at the wrong moment can spoil it (https://www.sqlite.org/wal.html, "The WAL-Reset Bug")."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from devicebridge.outbox import Entry
from devicebridge.testing.broker import Broker
from support.daemon import Daemon, wait_for
from support.outbox_writer import outbox_at

NOBODY = Broker("none", 1, "5")
"""So that nothing is sent and each row stays as the commands leave it."""

NO_DATABASE = """
import sys

def refuse(event, args):
    if event == "sqlite3.connect":
        raise RuntimeError("a second connection to the outbox")

sys.addaudithook(refuse)
"""


@pytest.fixture
def no_database(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH with which no connection to a database can be made."""
    folder = tmp_path / "no-database"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(NO_DATABASE)
    return folder


def test_f33_f40_the_commands_work_on_a_live_daemon_without_a_connection_of_their_own(
    tmp_path: Path, no_database: Path
) -> None:
    async def fill() -> None:
        outbox = outbox_at(tmp_path / "outbox.db")
        await outbox.open()
        await outbox.put([Entry(f"id-{n}", 1, "cuff", "topic", b'{"n": %d}' % n) for n in (1, 2, 3)])
        outbox.settle(1)
        await outbox.close()

    asyncio.run(fill())
    with Daemon(tmp_path, NOBODY) as daemon:
        wait_for(lambda: daemon.events("started"), "a start")
        daemon.python_path = str(no_database)

        def ask(action: str, *words: str) -> list[dict[str, object]]:
            ended = daemon.run("outbox", action, "-c", str(daemon.config), "--json", *words)
            assert ended.returncode == 0, ended.stderr
            return [json.loads(line) for line in ended.stdout.splitlines()]

        assert [(row["seq"], row["state"]) for row in ask("list")] == [(1, "sent"), (2, "pending"), (3, "pending")]
        assert ask("park", "2", "3") == [{"parked": 2}]
        assert ask("resend", "3") == [{"resent": 1}]
        assert ask("resend", "1") == [{"resent": 1}]
        assert [(row["id"], row["state"], row["reason"]) for row in ask("list")] == [
            ("id-2", "parked", "operator"),
            ("id-3", "pending", None),
            ("id-1", "pending", None),
        ]
        assert ask("export", "--state", "pending") == [{"n": 3}, {"n": 1}]
        assert daemon.stop() < 3
        without = daemon.run("outbox", "list", "-c", str(daemon.config))
        assert "RuntimeError" in without.stderr, "so the guard is there"
