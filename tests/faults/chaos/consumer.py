"""What a charting system would receive: two subscribers, one a broker, with sessions that outlive their connections.

They are connected to the brokers directly: the way between broker and consumer is not on trial here.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from types import TracebackType

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

TOPICS = ("devicebridge/v1/+/+/+/reading/#", "devicebridge/v1/+/+/+/quarantine")
SESSION_S = 86_400
RETRY_S = 1


@dataclass(frozen=True, slots=True)
class Arrival:
    at_s: float
    topic: str
    payload: bytes


class Subscriber:
    def __init__(self, port: int, arrivals: deque[Arrival]) -> None:
        """arrivals: appended to from another thread."""
        self.is_subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "chart", protocol=mqtt.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in TOPICS])
        self._client.on_subscribe = lambda *_: self.is_subscribed.set()
        self._client.on_disconnect = lambda *_: self.is_subscribed.clear()
        self._client.on_message = lambda client, data, message: arrivals.append(
            Arrival(time.monotonic(), message.topic, bytes(message.payload))
        )
        self._client.reconnect_delay_set(RETRY_S, RETRY_S)
        self._port = port

    def __enter__(self) -> Subscriber:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_S
        self._client.connect("127.0.0.1", self._port, clean_start=False, properties=properties)
        self._client.loop_start()
        assert self.is_subscribed.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()
