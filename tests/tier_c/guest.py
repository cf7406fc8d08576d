"""In the guest: plays every scenario on the real bluetoothd, and writes the events into the folder given."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from .scenarios import play, scenarios
from .vhci import Bluetoothd, system_bus


def main(out: Path) -> None:
    bluetoothd = Bluetoothd(out / "bluetoothd.log")
    with system_bus(out / "dbus.log"), (out / "events.jsonl").open("w", encoding="utf-8") as results:
        for name, scenario in scenarios():
            if not bluetoothd.runs:
                asyncio.run(bluetoothd.start())
            began_s = time.monotonic()
            events = play(scenario, bluetoothd.tier)
            if not bluetoothd.runs:
                events.append("bluetoothd is gone")
            took_s = time.monotonic() - began_s
            print(json.dumps({"name": name, "events": events, "took_s": took_s}), file=results, flush=True)
            print(f"{took_s:6.1f} s  {name}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
