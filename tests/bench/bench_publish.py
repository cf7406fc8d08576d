"""What durability costs: the outbox and publisher beside a bare paho QoS 1 loop, same broker, same window, same run.

    python tests/bench/bench_publish.py [--rows 20000] [--window 20] [--rate 200]

Absolute numbers belong to the machine; the ratios are what to compare between versions. Needs mosquitto.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

sys.path.insert(0, str(Path(__file__).parents[1]))

from devicebridge.clock import SystemClock
from devicebridge.config import BrokerConfig
from devicebridge.outbox import Entry, Outbox
from devicebridge.publisher import Publisher
from support.mosquitto import Mosquitto

PAYLOAD = b'{"schema":"devicebridge/reading/1"}'.ljust(600)
TOPIC = "devicebridge/v1/main-street/exam-3/device-{lane}/reading/weight"


class TimedOutbox(Outbox):
    """Notes when each row was settled."""

    def __init__(self, *args: object, **settings: object) -> None:
        super().__init__(*args, **settings)  # type: ignore[arg-type]
        self.settled_s: dict[int, float] = {}

    def settle(self, seq: int) -> None:
        self.settled_s[seq] = time.perf_counter()
        super().settle(seq)


class Bare:
    """Nothing but paho with a window: lost with the process."""

    def __init__(self, port: int, window: int) -> None:
        self._slots = threading.Semaphore(window)
        self.settled_s: dict[int, float] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "bare", protocol=mqtt.MQTTv5)
        self._client.max_inflight_messages_set(0)
        self._client.on_socket_open = lambda client, data, opened: opened.setsockopt(6, 1, 1)
        self._client.on_publish = self._on_publish
        ready = threading.Event()
        self._client.on_connect = lambda *_: ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        ready.wait()

    def publish(self, number: int, lane: int) -> int:
        self._slots.acquire()
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/json"
        properties.UserProperty = ("id", f"00000000-0000-5000-8000-{number:012d}")
        return self._client.publish(TOPIC.format(lane=lane), PAYLOAD, qos=1, properties=properties).mid

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_publish(self, client: mqtt.Client, data: object, mid: int, *_: object) -> None:
        self.settled_s[mid] = time.perf_counter()
        self._slots.release()


def bare_drain_per_s(port: int, rows: int, window: int) -> float:
    bare = Bare(port, window)
    began_s = time.perf_counter()
    answered = 0
    for number in range(rows):
        bare.publish(number, number % window)
    while answered < min(rows, 65535):
        answered = len(bare.settled_s)
        time.sleep(0.001)
    rate = rows / (time.perf_counter() - began_s)
    bare.close()
    return rate


def bare_latencies_s(port: int, rows: int, window: int, rate: float) -> list[float]:
    bare = Bare(port, window)
    sent_s = {}
    for number in range(rows):
        began_s = time.perf_counter()
        sent_s[bare.publish(number, number % window)] = began_s
        time.sleep(1 / rate)
    time.sleep(0.2)
    bare.close()
    return [bare.settled_s[mid] - at for mid, at in sent_s.items()]


async def our_drain_per_s(folder: Path, port: int, rows: int, window: int) -> tuple[float, float]:
    """(rows stored per second by 32 callers, rows drained per second)"""
    async with asyncio.timeout(600):
        outbox = _outbox(folder)
        await outbox.open()
        began_s = time.perf_counter()
        await asyncio.gather(*(_store(outbox, caller, rows, window) for caller in range(32)))
        stored = rows / (time.perf_counter() - began_s)
        publisher = _publisher(outbox, port, window)
        began_s = time.perf_counter()
        task = asyncio.create_task(publisher.run())
        while publisher.counters.acknowledged < rows:
            await asyncio.sleep(0.005)
        drained = rows / (time.perf_counter() - began_s)
        await _stop(task, outbox)
        return stored, drained


async def our_latencies_s(folder: Path, port: int, rows: int, window: int, rate: float) -> list[float]:
    outbox = _outbox(folder)
    await outbox.open()
    task = asyncio.create_task(_publisher(outbox, port, window).run())
    await asyncio.sleep(0.2)
    committed_s = {}
    for number in range(rows):
        await outbox.put([_entry(number, number % window)])
        committed_s[number + 1] = time.perf_counter()
        await asyncio.sleep(1 / rate)
    await asyncio.sleep(0.2)
    await _stop(task, outbox)
    return [max(0.0, outbox.settled_s[seq] - at) for seq, at in committed_s.items()]


def _outbox(folder: Path) -> TimedOutbox:
    return TimedOutbox(folder / "outbox.db", max_bytes=1 << 30, reserve_bytes=1 << 24, keep_s=1e6, clock=SystemClock())


def _publisher(outbox: Outbox, port: int, window: int) -> Publisher:
    return Publisher(
        BrokerConfig(addresses=(f"127.0.0.1:{port}",), window=window),
        outbox,
        client_id="ours",
        will_topic="status",
        will_payload=b"",
        clock=SystemClock(),
        rng=random.Random(),
        on_change=lambda: None,
    )


async def _store(outbox: Outbox, caller: int, rows: int, window: int) -> None:
    for number in range(caller, rows, 32):
        await outbox.put([_entry(number, number % window)])


async def _stop(task: asyncio.Task[None], outbox: Outbox) -> None:
    task.cancel()
    await asyncio.wait({task})
    await outbox.close()


def _entry(number: int, lane: int) -> Entry:
    return Entry(f"00000000-0000-5000-8000-{number:012d}", 1, f"device-{lane}", TOPIC.format(lane=lane), PAYLOAD)


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(seconds, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--window", type=int, default=20)
    parser.add_argument("--rate", type=float, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name) / "broker") as broker:
        bare = bare_drain_per_s(broker.port, asked.rows, asked.window)
        stored, ours = asyncio.run(our_drain_per_s(Path(name) / "a", broker.port, asked.rows, asked.window))
        few = min(2000, asked.rows)
        bare_p50, bare_p99 = _percentiles(bare_latencies_s(broker.port, few, asked.window, asked.rate))
        our_p50, our_p99 = _percentiles(
            asyncio.run(our_latencies_s(Path(name) / "b", broker.port, few, asked.window, asked.rate))
        )
    print(f"window {asked.window}, {asked.rows} rows of {len(PAYLOAD)} bytes; latency at {asked.rate:.0f}/s")
    print(f"drain           ours {ours:8.0f}/s   bare paho {bare:8.0f}/s   ratio {ours / bare:.2f}")
    print(f"to PUBACK p50   ours {our_p50:8.2f} ms  bare paho {bare_p50:8.2f} ms  ratio {our_p50 / bare_p50:.2f}")
    print(f"to PUBACK p99   ours {our_p99:8.2f} ms  bare paho {bare_p99:8.2f} ms  ratio {our_p99 / bare_p99:.2f}")
    print(f"stored by 32 callers, flushed to disk  {stored:8.0f}/s")


if __name__ == "__main__":
    main()
