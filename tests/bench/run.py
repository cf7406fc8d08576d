"""What devicebridge promises of speed and size: every figure beside a named baseline of the same run, in one table.

    pip install '.[bench]'; python tests/bench/run.py [--short] [--only publish drain idle start gateways]

It takes a quarter of an hour; --short a third of that, with figures that waver more. Needs mosquitto, and the network
once, for the other gateways. Exit code 1 where a target was missed. What EKG, serial lines, the radio, decoding and
pairing take is told by the programs beside this one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import bench_gateways
import bench_idle
import bench_publish
import bench_start
from table import Row, print_head, print_machine, print_rows

from devicebridge.testing.broker import Broker
from support.mosquitto import Mosquitto

PARTS = ("publish", "drain", "idle", "start", "gateways")
WINDOW = 20


@dataclass(frozen=True)
class Length:
    rounds: int
    seconds: float
    rows: int
    idle_s: float
    starts: int
    kills: int
    outage_rows: int


LONG = Length(rounds=5, seconds=10, rows=20_000, idle_s=60, starts=7, kills=10, outage_rows=2000)
SHORT = Length(rounds=3, seconds=4, rows=5_000, idle_s=20, starts=3, kills=3, outage_rows=500)


def part(name: str, folder: Path, broker: Mosquitto, length: Length) -> Iterator[Row]:
    running = Broker("mosquitto", broker.port, "5")
    match name:
        case "publish":
            return bench_publish.latency_rows(folder, broker.port, WINDOW, length.rounds, length.seconds)
        case "drain":
            return bench_publish.drain_rows(folder, broker.port, WINDOW, length.rounds, length.rows)
        case "idle":
            return bench_idle.rows(folder, running, length.idle_s)
        case "start":
            return bench_start.rows(folder, running, length.starts)
        case _:
            return bench_gateways.rows(folder, length.kills, length.outage_rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    asked = parser.parse_args()
    length, is_met = SHORT if asked.short else LONG, True
    print_machine()
    print_head()
    for name in asked.only:
        with (
            tempfile.TemporaryDirectory() as folder,
            Mosquitto(Path(folder) / "broker", general=bench_publish.BROKER) as broker,
        ):
            is_met &= print_rows(part(name, Path(folder), broker, length))
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
