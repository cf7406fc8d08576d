"""What a daemon costs under load, and which readings reached a subscriber: for the benchmarks."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass

import psutil

from devicebridge.testing.trials import Reading
from support.daemon import Inbox

Readings = Counter[tuple[str, Reading]]
"""Device and reading, and how often."""


@dataclass(frozen=True)
class Load:
    """Of one process. cpu_percent: of one core."""

    cpu_percent: float
    memory_mib: float


async def load_of(pid: int, seconds: float) -> Load:
    process = psutil.Process(pid)
    before, began_s, memory = process.cpu_times(), time.monotonic(), 0
    while (elapsed_s := time.monotonic() - began_s) < seconds:
        memory = max(memory, process.memory_info().rss)
        await asyncio.sleep(min(1.0, seconds - elapsed_s))
    after = process.cpu_times()
    used_s = after.user + after.system - before.user - before.system
    return Load(100 * used_s / (time.monotonic() - began_s), memory / 2**20)


def readings(messages: Inbox) -> Readings:
    """Every reading of a device once, whatever the broker repeats."""
    found: dict[tuple[str, str], tuple[str, Reading]] = {}
    for message in messages.drain():
        if "/reading/" in message.topic or message.topic.endswith("/quarantine"):
            m = json.loads(message.payload, parse_float=str, parse_int=str)
            values = {v["name"]: v.get("absent", v.get("text", v.get("value"))) for v in m["values"]}
            reading = Reading(
                kind=m["kind"],
                values=tuple(sorted(values.items())),
                status=frozenset(m["status"]),
                device_time=m.get("device_time"),
                origin=m["origin"],
            )
            found[m["device"]["name"], m["id"]] = (m["device"]["name"], reading)
    return Counter(found.values())
