"""The table that the benchmarks fill: one line for each thing measured, beside a named baseline of the same run."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import psutil

from support.mosquitto import find

ROW = "{:46}{:>18}  {:34}{:>8}  {}"


@dataclass(frozen=True)
class Row:
    """ratio: ours over the baseline's. met: None where there is no target, or nothing could be measured."""

    what: str
    ours: str
    baseline: str
    ratio: float | None = None
    target: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Pairs:
    """Of several rounds, ours and the baseline's of the same round."""

    rounds: Sequence[tuple[float, float]]

    @property
    def ours(self) -> float:
        return statistics.median(ours for ours, _ in self.rounds)

    @property
    def baseline(self) -> float:
        return statistics.median(baseline for _, baseline in self.rounds)

    @property
    def ratio(self) -> float:
        return statistics.median(ours / baseline for ours, baseline in self.rounds)


def print_machine() -> None:
    load = ", ".join(f"{each:.1f}" for each in psutil.getloadavg())
    memory_gib = psutil.virtual_memory().total / 2**30
    print(f"{platform.platform()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB; load {load}")
    packages = " ".join(f"{name} {version(name)}" for name in ("devicebridge", "paho-mqtt", "bleak", "pyserial"))
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {_mosquitto()}; {packages}\n")


def print_head() -> None:
    print(ROW.format("", "devicebridge", "beside it", "ratio", "target").rstrip())


def print_rows(rows: Iterable[Row]) -> bool:
    """As they come; true where no target was missed."""
    is_met = True
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        verdict = {True: "met", False: "NOT met", None: ""}[row.met]
        target = f"{row.target}: {verdict}" if verdict else row.target
        print(ROW.format(row.what, row.ours, row.baseline, ratio, target).rstrip(), flush=True)
        is_met = is_met and row.met is not False
    return is_met


def _mosquitto() -> str:
    program = find()
    if program is None:
        sys.exit("mosquitto is not installed; on Debian and Ubuntu: apt install mosquitto")
    said = subprocess.run([program, "-h"], capture_output=True, text=True).stdout
    return said.partition("\n")[0].removesuffix(" is running.")
