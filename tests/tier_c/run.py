"""Tier C with a table: python tests/tier_c/run.py. Exit code 1 where tiers differ, 2 where the guest did not run."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.bluez import system_bus
from tier_c.bluetooth import Tier, bumble, stood_in
from tier_c.image import REPOSITORY, Image, build
from tier_c.scenarios import play, scenarios

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "devicebridge-tier-c"
MEMORY_MIB = 1024
GUEST_TIMEOUT_S = 1800
"""Emulated on two busy cores it took six minutes."""

Events = Mapping[str, list[str]]


def main() -> int:
    parser = argparse.ArgumentParser(description="The same scenarios over Bumble, a stand-in for BlueZ, and BlueZ.")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"where the image is kept, {CACHE} by default")
    parser.add_argument("--console", action="store_true", help="show what the guest says")
    parser.add_argument("--kvm", action="store_true", help="run on the processor instead of emulating one")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    out = options.cache / "out"
    console = "stdio" if options.console else f"file:{out / 'console.log'}"
    c = run_guest([*_machine(build(options.cache), out, kvm=options.kvm), "-serial", console], out)
    with system_bus() as bus:
        a, b = play_all(bumble), play_all(stood_in(bus))
    return print_table(a, b, c)


def run_guest(machine: list[str], out: Path) -> Events:
    """What the guest wrote, by scenario; less than all where it did not come to its end."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    try:
        subprocess.run(machine, timeout=GUEST_TIMEOUT_S, check=True, stdin=subprocess.DEVNULL)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"The guest did not come to its end: {error}", file=sys.stderr)
    results = out / "events.jsonl"
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return {played["name"]: played["events"] for played in map(json.loads, lines)}


def _machine(image: Image, out: Path, *, kvm: bool) -> list[str]:
    command = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot"]
    command += ["-accel", "kvm", "-cpu", "host"] if kvm else ["-accel", "tcg,thread=multi", "-cpu", "max"]
    command += ["-smp", "2", "-m", str(MEMORY_MIB)]
    command += ["-kernel", str(image.kernel), "-initrd", str(image.initramfs)]
    command += ["-append", "console=ttyS0 quiet panic=-1"]
    shared = {"root": image.root, "python": image.python, "project": image.project, "tests": REPOSITORY / "tests"}
    for tag, folder in shared.items():
        command += ["-virtfs", f"local,path={folder},mount_tag={tag},security_model=none,readonly=on"]
    return [*command, "-virtfs", f"local,path={out},mount_tag=out,security_model=none"]


def play_all(tier: Tier) -> Events:
    return {name: play(scenario, tier) for name, scenario in scenarios()}


def print_table(a: Events, b: Events, c: Events) -> int:
    """The exit code."""
    played = {name: (a[name], b[name], c.get(name, ["not played"])) for name in a}
    different = [name for name, tiers in played.items() if not tiers[0] == tiers[1] == tiers[2]]
    print(f"{'scenario':<56}{'events: A':>9}{'B':>4}{'C':>4}  same")
    for name, tiers in played.items():
        counts = "".join(f"{len(events):>{width}}" for width, events in zip((9, 4, 4), tiers, strict=True))
        print(f"{name:<56}{counts}  {'NO' if name in different else 'yes'}")
    for name in different:
        print(f"\n{name}")
        for tier, events in zip("ABC", played[name], strict=True):
            print("".join(f"  {tier}  {event}\n" for event in events), end="")
    print(f"\n{len(played) - len(different)} of {len(played)} scenarios give the same events in tiers A, B and C.")
    if not c:
        return 2
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
