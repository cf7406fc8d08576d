"""F39: power cuts, simulated below SQLite (`support.disk`, `support.power`); the outbox above is the real one.

Each generation begins on a disk as a cut has left it, so that recoveries are cut as well.
"""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from support import disk, outbox_writer
from support.disk import Event
from support.outbox_writer import Record, Told
from support.power import Disk
from support.promised import Promised

GENERATIONS, CUTS_EACH = 12, 10
ROUNDS = 12
"""Of writing, in a generation: some sixty commits, several checkpoints, and a close."""

NAME = "outbox.db"
HIGH = f"{NAME}.high"

pytestmark = pytest.mark.skipif(not disk.is_possible(), reason="this Python hides its SQLite's sqlite3_vfs_register")


@pytest.mark.long
def test_f39_120_power_cuts_lose_nothing_that_was_promised(tmp_path: Path) -> None:
    rng, before, earlier = random.Random(39), dict[str, bytes](), Promised()
    rows = 0
    for generation in range(GENERATIONS):
        record = _record(tmp_path / f"{generation}", before, f"{generation:04d}")
        for cut in range(CUTS_EACH):
            promised = earlier.copy()
            left = _cut(Disk(before), record[: rng.randrange(len(record))], promised, rng)
            assert promised.lost(_lay_out(tmp_path / f"{generation}-{cut}", left)) == 0
            rows += len(promised.stored)
        before, earlier = left, promised
    print(f"{GENERATIONS * CUTS_EACH} cuts, {rows} rows promised in all before them, 0 lost")


@pytest.mark.long
def test_f39_a_drive_that_lies_about_its_flushes_is_found_out(tmp_path: Path) -> None:
    """So the simulation does see a loss. On such a drive nobody can promise anything."""
    rng, record = random.Random(39), _record(tmp_path / "whole", {}, "lie")
    is_lost = []
    for cut in range(20):
        promised = Promised()
        left = _cut(Disk({}, honest=False), record[: rng.randrange(len(record))], promised, rng)
        try:
            is_lost.append(promised.lost(_lay_out(tmp_path / f"{cut}", left)) > 0)
        except AssertionError:
            is_lost.append(True)
    assert sum(is_lost) > len(is_lost) / 2


RECORDER = """
import sys
from pathlib import Path
from support.outbox_writer import record
record(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), fails_one_in=int(sys.argv[5]))
"""


def test_f39_a_disk_that_fails_now_and_then_costs_nothing_that_was_promised(tmp_path: Path) -> None:
    """And its failures, with a power cut on top, neither."""
    rng, promised = random.Random(36), Promised()
    record = _record(tmp_path / "whole", {}, "fails", fails_one_in=20)
    left = _cut(Disk({}), record, promised, rng)
    assert promised.lost(_lay_out(tmp_path / "end", left)) == 0
    for cut in range(20):
        promised = Promised()
        left = _cut(Disk({}), record[: rng.randrange(len(record))], promised, rng)
        assert promised.lost(_lay_out(tmp_path / f"{cut}", left)) == 0


def _record(folder: Path, before: Mapping[str, bytes], prefix: str, *, fails_one_in: int = 0) -> Record:
    path, out = _lay_out(folder, before), folder / "record"
    command = [sys.executable, "-c", RECORDER, str(path), prefix, str(ROUNDS), str(out), str(fails_one_in)]
    subprocess.run(command, cwd=Path(outbox_writer.__file__).parents[1], check=True, timeout=60)
    record: Record = pickle.loads(out.read_bytes())
    return record


def _lay_out(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / NAME


def _cut(disk: Disk, record: Record, promised: Promised, rng: random.Random) -> dict[str, bytes]:
    """What is left after the power went at the end of this record, which was told to `promised`."""
    high = [b""]
    for event in record:
        match event:
            case Event():
                disk.run(event)
            case Told():
                promised.hear(event)
            case bytes():
                high.append(event)
    return {**disk.after_cut(rng), **_side_file(high, rng)}


def _side_file(versions: list[bytes], rng: random.Random) -> dict[str, bytes]:
    """It is never flushed: any version, torn, or none."""
    first, second = rng.choice(versions), rng.choice(versions)
    torn = rng.randrange(max(len(first), 1))
    return rng.choice([{}, {HIGH: first}, {HIGH: versions[-1]}, {HIGH: first[:torn] + second[torn:]}])
