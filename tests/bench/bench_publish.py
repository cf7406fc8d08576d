"""What durability costs: the outbox and publisher beside a bare paho QoS 1 publish, same broker, same window, same run.

    python tests/bench/bench_publish.py [--rounds 5] [--seconds 10] [--rows 20000] [--window 20]

Latency at each rate, to the PUBACK: ours from the commit, when the reading is on the disk, and from the call of
`Outbox.put`; bare paho's from the call of `publish`. Drain: a backlog in the outbox, with a subscriber in a process of
its own, beside a loop of bare paho that has neither disk nor order to keep. Ours and the other take turns; the figures
are medians of the rounds. Absolute numbers belong to the machine; the ratios are what to compare. Needs mosquitto.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

sys.path.insert(0, str(Path(__file__).parents[1]))

from table import Pairs, Row, print_head, print_rows

from devicebridge.clock import SystemClock
from devicebridge.config import BrokerConfig
from devicebridge.outbox import Entry, Outbox
from devicebridge.publisher import Publisher
from support.mosquitto import Mosquitto
from support.waiting import until

RATES_PER_S = (1, 100, 1000)
WARM_UP = 5
"""Publishes before the first that counts."""
TARGET_P50, TARGET_DRAIN = 3.0, 0.6
CALLERS = 32
PATIENCE_S = 120.0
BROKER = "max_queued_messages 0"  # or it drops what a subscriber does not take quickly enough
PAYLOAD = b'{"schema":"devicebridge/reading/1"}'.ljust(600)
TOPIC = "devicebridge/v1/main-street/exam-3/device-{lane}/reading/weight"
SUBSCRIBER = """
import sys, paho.mqtt.client as mqtt
left = int(sys.argv[2])
def on_message(client, data, message):
    global left
    left -= 1
    if not left:
        client.disconnect()
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
client.on_connect = lambda client, *_: client.subscribe("devicebridge/#", qos=1)
client.on_subscribe = lambda *_: print("ready", flush=True)
client.on_message = on_message
client.connect("127.0.0.1", int(sys.argv[1])); client.loop_forever()
"""

Latencies = list[float]
"""In seconds."""


class TimedOutbox(Outbox):
    """Notes when each row was settled."""

    def __init__(self, folder: Path) -> None:
        path = folder / "outbox.db"
        super().__init__(path, max_bytes=1 << 30, reserve_bytes=1 << 24, keep_s=1e6, clock=SystemClock())
        self.settled_s: dict[int, float] = {}

    def settle(self, seq: int) -> None:
        self.settled_s[seq] = time.perf_counter()
        super().settle(seq)


class Bare:
    """Nothing but paho with a window: lost with the process."""

    def __init__(self, port: int, window: int) -> None:
        self._slots = threading.Semaphore(window)
        self.settled_s: list[float] = []
        """By packet number, which counts from 1."""
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "bare", protocol=mqtt.MQTTv5)
        self._client.max_inflight_messages_set(0)
        self._client.on_socket_open = lambda client, data, opened: opened.setsockopt(6, 1, 1)
        self._client.on_publish = self._on_publish
        ready = threading.Event()
        self._client.on_connect = lambda *_: ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        ready.wait()

    def publish(self, number: int, lane: int) -> None:
        self._slots.acquire()
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/json"
        properties.UserProperty = ("id", f"00000000-0000-5000-8000-{number:012d}")
        self._client.publish(TOPIC.format(lane=lane), PAYLOAD, qos=1, properties=properties)

    def wait(self, answers: int) -> None:
        while len(self.settled_s) < answers:
            time.sleep(0.001)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_publish(self, client: mqtt.Client, data: object, mid: int, *_: object) -> None:
        self.settled_s.append(time.perf_counter())  # a broker answers in order: MQTT 5.0 section 4.6
        self._slots.release()


def bare_latencies(port: int, window: int, count: int, rate_per_s: float) -> Latencies:
    bare = Bare(port, window)
    began_s = []
    for number in range(WARM_UP):
        bare.publish(number, 0)
    bare.wait(WARM_UP)
    first_s = time.perf_counter()
    for number in range(count):
        time.sleep(max(0.0, first_s + number / rate_per_s - time.perf_counter()))
        began_s.append(time.perf_counter())
        bare.publish(number, number % window)
    bare.wait(WARM_UP + count)
    bare.close()
    return [settled_s - at for at, settled_s in zip(began_s, bare.settled_s[WARM_UP:], strict=True)]


async def our_latencies(
    folder: Path, port: int, window: int, count: int, rate_per_s: float
) -> tuple[Latencies, Latencies]:
    """(from the commit, from the call of `put`)"""
    outbox = TimedOutbox(folder)
    await outbox.open()
    publisher = _publisher(outbox, port, window)
    task = asyncio.create_task(publisher.run())
    began_s, committed_s = {}, {}

    async def put(number: int, lane: int) -> None:
        began_s[number] = time.perf_counter()
        await outbox.put([_entry(number, lane)])
        committed_s[number] = time.perf_counter()

    for number in range(WARM_UP):
        await put(number, 0)
    await until(lambda: publisher.counters.acknowledged == WARM_UP, PATIENCE_S)
    first_s = time.perf_counter()
    async with asyncio.TaskGroup() as puts:
        for number in range(count):
            await asyncio.sleep(max(0.0, first_s + number / rate_per_s - time.perf_counter()))
            puts.create_task(put(WARM_UP + number, number % window))
    await until(lambda: publisher.counters.acknowledged == WARM_UP + count, PATIENCE_S)
    await _stop(task, outbox)
    counted = range(WARM_UP, WARM_UP + count)
    settled_s = {number: outbox.settled_s[number + 1] for number in counted}
    after_commit = [max(0.0, settled_s[number] - committed_s[number]) for number in counted]
    return after_commit, [settled_s[number] - began_s[number] for number in counted]


def bare_drain_per_s(port: int, rows: int, window: int) -> float:
    bare = Bare(port, window)
    began_s = time.perf_counter()
    for number in range(rows):
        bare.publish(number, number % window)
    bare.wait(rows)
    rate = rows / (time.perf_counter() - began_s)
    bare.close()
    return rate


async def our_drain_per_s(outbox: TimedOutbox, port: int, rows: int, window: int) -> float:
    publisher = _publisher(outbox, port, window)
    began_s = time.perf_counter()
    task = asyncio.create_task(publisher.run())
    await until(lambda: publisher.counters.acknowledged == rows, PATIENCE_S)
    rate = rows / (time.perf_counter() - began_s)
    await _stop(task, outbox)
    return rate


async def filled(folder: Path, rows: int, lanes: int) -> tuple[TimedOutbox, float]:
    """(the outbox, rows stored in a second by 32 callers)"""

    async def store(caller: int) -> None:
        for number in range(caller, rows, CALLERS):
            await outbox.put([_entry(number, number % lanes)])

    outbox = TimedOutbox(folder)
    await outbox.open()
    began_s = time.perf_counter()
    await asyncio.gather(*map(store, range(CALLERS)))
    return outbox, rows / (time.perf_counter() - began_s)


@contextmanager
def subscriber(port: int, messages: int) -> Iterator[None]:
    """In a process of its own; on leaving it has received so many."""
    command = [sys.executable, "-c", SUBSCRIBER, str(port), str(messages)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
            process.wait(PATIENCE_S)
        finally:
            process.kill()


def latency_rows(folder: Path, port: int, window: int, rounds: int, seconds: float) -> Iterator[Row]:
    for rate_per_s in RATES_PER_S:
        count = max(2, round(rate_per_s * seconds))
        found = []
        for number in range(rounds):
            bare = bare_latencies(port, window, count, rate_per_s)
            place = folder / f"latency-{rate_per_s}-{number}"
            found.append((bare, *asyncio.run(our_latencies(place, port, window, count, rate_per_s))))
        yield _latency(f"commit to PUBACK, {rate_per_s}/s, p50", [(c, b) for b, c, _ in found], 50, TARGET_P50)
        yield _latency(f"commit to PUBACK, {rate_per_s}/s, p99", [(c, b) for b, c, _ in found], 99)
        yield _latency(f"put to PUBACK, disk included, {rate_per_s}/s, p50", [(p, b) for b, _, p in found], 50)
        yield _latency(f"put to PUBACK, disk included, {rate_per_s}/s, p99", [(p, b) for b, _, p in found], 99)


def _latency(what: str, rounds: list[tuple[Latencies, Latencies]], percent: int, target: float | None = None) -> Row:
    pairs = Pairs([(_percentile(ours, percent), _percentile(bare, percent)) for ours, bare in rounds])
    ours, bare = f"{pairs.ours * 1000:.2f} ms", f"bare paho {pairs.baseline * 1000:.2f} ms"
    if target is None:
        return Row(what, ours, bare, pairs.ratio)
    return Row(what, ours, bare, pairs.ratio, f"at most {target:g} times", pairs.ratio <= target)


def drain_rows(folder: Path, port: int, window: int, rounds: int, rows: int) -> Iterator[Row]:
    drained, stored = [], []
    for number in range(rounds):
        with subscriber(port, rows):
            bare_per_s = bare_drain_per_s(port, rows, window)
        stored_per_s, our_per_s = asyncio.run(_drain(folder / f"drain-{number}", port, rows, window))
        drained.append((our_per_s, bare_per_s))
        stored.append(stored_per_s)
    pairs = Pairs(drained)
    yield Row(
        f"drain of {rows} rows, {window} devices, window {window}",
        f"{pairs.ours:.0f}/s",
        f"bare paho, no disk {pairs.baseline:.0f}/s",
        pairs.ratio,
        f"at least {TARGET_DRAIN:g}",
        pairs.ratio >= TARGET_DRAIN,
    )
    yield Row(f"stored by {CALLERS} callers, flushed to disk", f"{statistics.median(stored):.0f}/s", "")


async def _drain(folder: Path, port: int, rows: int, window: int) -> tuple[float, float]:
    outbox, stored_per_s = await filled(folder, rows, window)
    with subscriber(port, rows):
        return stored_per_s, await our_drain_per_s(outbox, port, rows, window)


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


async def _stop(task: asyncio.Task[None], outbox: Outbox) -> None:
    task.cancel()
    await asyncio.wait({task})
    await outbox.close()


def _entry(number: int, lane: int) -> Entry:
    return Entry(f"00000000-0000-5000-8000-{number:012d}", 1, f"device-{lane}", TOPIC.format(lane=lane), PAYLOAD)


def _percentile(seconds: Latencies, percent: int) -> float:
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10, help="at each rate, in each round")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--window", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name) / "broker", general=BROKER) as broker:
        print_head()
        is_met = print_rows(latency_rows(Path(name), broker.port, asked.window, asked.rounds, asked.seconds))
        is_met &= print_rows(drain_rows(Path(name), broker.port, asked.window, asked.rounds, asked.rows))
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
