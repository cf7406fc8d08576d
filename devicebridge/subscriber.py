"""A plain MQTT subscriber for `watch` and `demo`: what a consumer sees, and nothing more."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from .config import BrokerConfig
from .publisher.link import Unready, failure, password
from .publisher.reasons import CONNACK, Reason
from .publisher.tls import context
from .words import BROKER

QUEUE_LIMIT = 10_000
"""Messages a slow terminal may fall behind; the broker keeps what is over it, being unacknowledged."""
FULL_POLL_S = 0.2
"""How often a full queue is tried again; a subscription that ends waits no longer than this for it."""
RETRY_MAX_S = 10
"""Between two attempts to reach a broker that went away."""
UNSPECIFIED = 0x80
GONE = "the broker has gone; waiting for it"
BACK = "the broker is back"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    payload: bytes
    retained: bool


class NoBroker(Exception):
    """One sentence with its remedy: why the broker cannot be subscribed to."""


@contextmanager
def subscription(
    config: BrokerConfig,
    topic: str,
    *,
    client_id: str = "",
    tell: Tell = lambda sentence: None,
    limit: int = QUEUE_LIMIT,
) -> Iterator[queue.Queue[Message]]:
    """Subscribed to `topic` at QoS 1 while entered; messages come through the queue. Raises NoBroker.

    tell: called on another thread, once each time, when the broker goes, refuses, or is back.
    """
    client = _client(config, client_id)
    subscriber = _Subscriber(client, topic, tell, limit)
    try:
        _connect(client, config)
        client.loop_start()
        if refusal := subscriber.outcome.get(timeout=config.connect_timeout_s):
            raise NoBroker(refusal)
        yield subscriber.messages
    except queue.Empty:
        raise NoBroker(BROKER[Reason.NO_ANSWER]) from None
    finally:
        subscriber.closing.set()
        client.disconnect()
        client.loop_stop()


class _Subscriber:
    """What paho's network thread calls. `outcome`: of the first attempt, None where it succeeded."""

    def __init__(self, client: mqtt.Client, topic: str, tell: Tell, limit: int) -> None:
        self.messages: queue.Queue[Message] = queue.Queue(limit)
        self.outcome: queue.Queue[str | None] = queue.Queue()
        self.closing = threading.Event()
        self._topic = topic
        self._tell = tell
        self._said: str | None = None
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_disconnect, client.on_message = self._on_disconnect, self._on_message

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._say(BROKER[CONNACK.get(reason.value, CONNACK[UNSPECIFIED]).reason])
        else:
            client.subscribe(self._topic, qos=1)

    def _on_subscribe(self, _client: mqtt.Client, _data: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        refused = any(reason.is_failure for reason in reasons)
        self._say(BROKER[Reason.NOT_AUTHORIZED] if refused else BACK)

    def _on_disconnect(self, _client: mqtt.Client, _data: Any, _flags: Any, _reason: Any, _properties: Any) -> None:
        if self._said in (None, BACK):  # else it is the end of a refusal, which was told
            self._say(BROKER[Reason.HUNG_UP] if self._said is None else GONE)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        received = Message(message.topic, bytes(message.payload), message.retain)
        while not self.closing.is_set():
            with suppress(queue.Full):
                self.messages.put(received, timeout=FULL_POLL_S)
                return

    def _say(self, sentence: str) -> None:
        """The first one is the outcome of `subscription`; later ones are told when they are new."""
        first, is_new = self._said is None, sentence != self._said
        self._said = sentence
        if first:
            self.outcome.put(None if sentence == BACK else sentence)
        elif is_new and not self.closing.is_set():
            self._tell(sentence)


def _client(config: BrokerConfig, client_id: str) -> mqtt.Client:
    five = config.protocol == "5"
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
    )
    client.connect_timeout = config.connect_timeout_s
    client.reconnect_delay_set(max_delay=RETRY_MAX_S)
    if config.tls:
        try:
            client.tls_set_context(context(config.tls))
        except OSError:
            raise NoBroker(BROKER[Reason.TLS_FILES]) from None
    if config.username is not None:
        try:
            client.username_pw_set(config.username, password(config.password_file))
        except Unready as unready:
            raise NoBroker(BROKER[unready.ending.reason]) from None
    return client


def _connect(client: mqtt.Client, config: BrokerConfig) -> None:
    """The first of the brokers that can be reached."""
    problems: list[str] = []
    for host, port in config.endpoints:
        try:
            client.connect(host, port, keepalive=config.keepalive_s)
            return
        except OSError as error:
            problems.append(BROKER[failure(error).reason])
    raise NoBroker(f"no broker can be reached at {', '.join(config.addresses)}: {problems[-1]}")
