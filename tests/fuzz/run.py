#!/usr/bin/env python3
"""Coverage-guided fuzzing with atheris (Linux; pip install -e '.[fuzz]').

    python tests/fuzz/run.py --runs 20000                  every target, one after the other, each in its own process
    python tests/fuzz/run.py --runs 200000 nonin-serial    one of them; --list names all

The targets, and what must hold, are those of tests/support/fuzzing.py. An input that breaks one is written to
tests/fuzz/found/; make it a vector or a test of its own before mending what it shows.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
LENGTH_MAX = 600
"""Of an input: longer than two of any device's records."""


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--runs", type=int, default=20_000, help="inputs for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(words)
    if args.inside:
        return _fuzz(args.targets[0], args.runs, args.seed)
    from support.fuzzing import targets

    names = [target.name for target in targets()]
    if args.list:
        print("\n".join(names))
        return 0
    return max(_supervise(name, args.runs, args.seed) for name in args.targets or names)


def _supervise(name: str, runs: int, seed: int) -> int:
    """One target in a process of its own, which a crash would end. Prints a line of what came of it."""
    command = [sys.executable, str(HERE / "run.py"), "--inside", name, "--runs", str(runs), "--seed", str(seed)]
    began_s = time.monotonic()
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace")
    elapsed_s = time.monotonic() - began_s
    done = re.findall(r"^#(\d+)\s+(?:DONE|NEW|pulse|REDUCE)\s+cov: (\d+)", ended.stderr, re.MULTILINE)
    count, covered = done[-1] if done else ("?", "?")
    print(f"{name:32} {count:>8} inputs {covered:>6} edges {elapsed_s:7.1f} s  {'FOUND' if ended.returncode else 'ok'}")
    if ended.returncode:
        print(ended.stderr[-3000:])
    sys.stdout.flush()
    return int(ended.returncode != 0)


def _fuzz(name: str, runs: int, seed: int) -> int:
    """Does not return: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["devicebridge", "devicebridge_drivers"]):
        from support.fuzzing import targets

        [target] = targets(name)
    found = HERE / "found"
    found.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus, target.open() as once:
        for number, data in enumerate(target.seeds):
            Path(corpus, f"seed-{number:04d}").write_bytes(data)
        options = [f"-runs={runs}", f"-seed={seed}", f"-max_len={LENGTH_MAX}", f"-artifact_prefix={found}/{name}-"]
        atheris.Setup([sys.argv[0], *options, corpus], lambda data: once(bytes(data)))
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
