"""Everything goes wrong at once, for as long as you like, and no reading may be lost, invented, altered or doubled.

    python tests/faults/chaos/run.py --minutes 10 --seed 1 [--keep FOLDER]

Prints a table by fault. Exit code 1 where a promise was broken. The same seed and length give the same faults at the
same times; how they meet the daemon is the machine's. POSIX; needs mosquitto, and libfaketime for a clock that jumps.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from faults.chaos.plan import plan
from faults.chaos.rig import Outcome, rig

REMARKS_MAX = 40


def report(outcome: Outcome) -> str:
    table = outcome.table
    lines = [
        str(table),
        f"duplicates: {table.duplicate_share:.2%} of the readings that arrived",
        f"cut off with the daemon at most {table.cut_off_after_s:.3f} s after their last byte",
        f"parked, and sent again by the operator: {outcome.parked}; starts of the daemon: {outcome.starts}",
        *(f"left out, for want of what it takes: {fault}" for fault in outcome.left_out),
        *table.remarks[:REMARKS_MAX],
        *outcome.complaints[:REMARKS_MAX],
        "A PROMISE WAS BROKEN" if outcome.broken else "every promise was kept",
    ]
    return "\n".join(lines)


async def chaos(folder: Path, seed: int, minutes: float) -> Outcome:
    async with rig(folder, seed) as ready:
        ready.say = lambda sentence: print(sentence, flush=True)
        return await ready.run(plan(seed, minutes * 60))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the outbox, the logs and the journal")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="devicebridge-chaos-") as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        outcome = asyncio.run(chaos(folder, args.seed, args.minutes))
    print(report(outcome))
    return 1 if outcome.broken else 0


if __name__ == "__main__":
    sys.exit(main())
