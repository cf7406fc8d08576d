"""A plain MQTT subscriber for `watch` and `demo`: what a consumer sees, and nothing more."""

from __future__ import annotations

import queue
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from .config import BrokerConfig
from .publisher.tls import classify, context
from .words import BROKER

QUEUE_LIMIT = 10_000
"""Messages a slow terminal may fall behind; the broker keeps what is over it, being unacknowledged."""


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    payload: bytes
    retained: bool


class NoBroker(Exception):
    """One sentence: why the broker cannot be subscribed to."""


@contextmanager
def subscription(config: BrokerConfig, topic: str, *, client_id: str = "") -> Iterator[queue.Queue[Message]]:
    """Subscribed to `topic` at QoS 1 while entered; messages come through the queue. Raises NoBroker."""
    messages: queue.Queue[Message] = queue.Queue(QUEUE_LIMIT)
    outcome: queue.Queue[str | None] = queue.Queue()
    client = _client(config, client_id)

    def on_connect(connected: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            outcome.put(f"the broker refuses: {reason}")
        else:
            connected.subscribe(topic, qos=1)

    def on_subscribe(_client: mqtt.Client, _data: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        refused = [reason for reason in reasons if reason.is_failure]
        outcome.put(f"the broker refuses the subscription: {refused[0]}" if refused else None)

    def on_message(_client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        messages.put(Message(message.topic, bytes(message.payload), message.retain))

    client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
    try:
        _connect(client, config)
        client.loop_start()
        if refusal := outcome.get(timeout=config.connect_timeout_s):
            raise NoBroker(refusal)
        yield messages
    except queue.Empty:
        raise NoBroker("the broker does not answer") from None
    finally:
        client.disconnect()
        client.loop_stop()


def _client(config: BrokerConfig, client_id: str) -> mqtt.Client:
    five = config.protocol == "5"
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
    )
    if config.tls:
        client.tls_set_context(context(config.tls))
    if config.username:
        password = config.password_file.read_text().strip() if config.password_file else None
        client.username_pw_set(config.username, password)
    return client


def _connect(client: mqtt.Client, config: BrokerConfig) -> None:
    problem: OSError | None = None
    for host, port in config.endpoints:
        try:
            client.connect(host, port, keepalive=config.keepalive_s)
            return
        except ssl.SSLError as error:
            raise NoBroker(BROKER[classify(error)]) from None
        except OSError as error:
            problem = error
    raise NoBroker(f"no broker can be reached at {', '.join(config.addresses)} ({problem})")
