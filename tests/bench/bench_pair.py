"""From `devicebridge pair` to the first test reading, with a simulated cuff in pairing mode that shows a passkey.

    python tests/bench/bench_pair.py [--rounds N]

Two cuffs. One at a device's own pace: a connection interval of 30 ms, pauses as a cuff makes them, and a person who
takes 3 s to read six digits and type them. The other without any delay of its own: what then is left is the program's
share, from the start of the interpreter on; beside it the processor time that the program took until its end.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from devicebridge.testing.radio import Manner, Security
from support.cuff_room import cuff_room
from support.pairing import CONFIG
from support.screen import screen

TARGET_S, TARGET_OWN_S = 15.0, 3.0
TYPING_S = 3.0
INTERVAL_S = 0.03


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    whole_s = [_pair(pace=1.0, interval_s=INTERVAL_S, typing_s=TYPING_S) for _ in range(rounds)]
    before_s = _processor_s()
    own_s = [_pair(pace=0.0, interval_s=None, typing_s=0.0) for _ in range(rounds)]
    processor_s = (_processor_s() - before_s) / rounds
    print(f"{'':38}{'median':>10}{'longest':>10}{'target':>10}")
    for title, seconds, target_s in (
        ("pair to first test reading", whole_s, TARGET_S),
        ("of which the program's own share", own_s, TARGET_OWN_S),
    ):
        met = "met" if max(seconds) < target_s else "NOT met"
        print(f"{title:38}{statistics.median(seconds):8.2f} s{max(seconds):8.2f} s{target_s:8.0f} s  {met}")
    print(f"{'processor time':38}{processor_s:8.2f} s; load of this PC: {psutil.getloadavg()[0]:.1f}")
    return 0


def _processor_s() -> float:
    """Of the programs that have ended."""
    times = psutil.Process().cpu_times()
    return float(times.children_user + times.children_system)


def _pair(*, pace: float, interval_s: float | None, typing_s: float) -> float:
    """Seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with cuff_room(folder, Security(manner=Manner.PASSKEY), pace=pace, interval_s=interval_s) as room:
            config = folder / "room.toml"
            config.write_text(CONFIG + room.bluetooth)
            began_s = time.perf_counter()
            with screen("pair", "-c", str(config), "--address", room.address, "--name", "cuff") as terminal:
                terminal.expect("six digits")
                time.sleep(typing_s)  # the person
                terminal.type(room.displayed())
                terminal.expect("SYS 124")
                took_s = time.perf_counter() - began_s
                terminal.expect(r"\[y/n\]")
                terminal.type("y")
                terminal.expect("cuff is in")
                terminal.end()
    return took_s


if __name__ == "__main__":
    sys.exit(main())
