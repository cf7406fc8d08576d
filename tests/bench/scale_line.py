"""A simulated scale that says its weighings to whoever listens, and what a subscriber receives of them.

A line for each, in the format of tests/third_party/acme_scale; the weight tells the number of the weighing as well.
"""

from __future__ import annotations

import os
import re
import select
import threading
import time
from collections import Counter
from collections.abc import Callable

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from thingsboard import ANSWERS, ASKS, LIMITS

NUMBERS = 10_000
"""Weighings there can be: their numbers have four digits, and a number twice would be the same weighing again."""
PATIENCE_S = 60.0
QUIET_S = 5.0
"""Where nothing has come for so long, nothing more comes."""
_WEIGHING = re.compile(rb'#(\d{4});|"weight", "value": (\d+\.\d\d)')


class Line:
    """The device's end of a pseudo-terminal, and what it heard."""

    def __init__(self) -> None:
        import tty  # not on Windows

        self._device, self._host = os.openpty()
        tty.setraw(self._host)
        self.port = os.ttyname(self._host)
        self.said_s: dict[int, float] = {}
        self.acknowledged: set[int] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def say(self, number: int) -> None:
        """Waits for room."""
        self.said_s[number] = time.perf_counter()
        os.write(self._device, f"#{number:04d};{50 + number / 100:06.2f};kg\r\n".encode())

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        os.close(self._device)
        os.close(self._host)

    def _listen(self) -> None:
        heard = b""
        while not self._closing.is_set():
            if select.select([self._device], [], [], 0.1)[0]:
                *lines, heard = (heard + os.read(self._device, 4096)).split(b"\r\n")
                self.acknowledged |= {int(line[-4:]) for line in lines if line[:4] == b"ACK "}


class Arrivals:
    """What a subscriber receives: when each weighing came first, and how often it came."""

    def __init__(self, port: int) -> None:
        self.first_s: dict[int, float] = {}
        self.times: Counter[int] = Counter()
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.wait_ready()

    def wait_ready(self) -> None:
        assert self._subscribed.wait(PATIENCE_S)

    def will_lose_broker(self) -> None:
        self._subscribed.clear()

    def settle(self, wanted: Callable[[], bool]) -> None:
        """Until that is true, or nothing has come for long."""
        seen, since_s = -1, time.monotonic()
        while not wanted() and time.monotonic() - since_s < QUIET_S:
            if self.times.total() != seen:
                seen, since_s = self.times.total(), time.monotonic()
            time.sleep(0.01)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        for topic in ("devicebridge/v1/#", "v1/gateway/telemetry", f"{ASKS}+"):
            client.subscribe(topic, qos=1)

    def _on_message(self, client: mqtt.Client, data: object, message: mqtt.MQTTMessage) -> None:
        now_s = time.perf_counter()
        if message.topic.startswith(ASKS):
            client.publish(message.topic.replace(ASKS, ANSWERS), LIMITS, qos=1)
        for number, weight in _WEIGHING.findall(message.payload):
            found = int(number) if number else round((float(weight) - 50) * 100)
            self.first_s.setdefault(found, now_s)
            self.times[found] += 1
