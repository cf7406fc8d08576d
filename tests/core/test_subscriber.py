"""The subscriber of watch and demo: it ends when told to, and says why there is no broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from devicebridge.config import BrokerConfig, TlsConfig
from devicebridge.subscriber import BACK, GONE, NoBroker, subscription
from support import mosquitto

TOPIC = "devicebridge/v1/clinic/exam-1/+/reading/+"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[mosquitto.Mosquitto]:
    if mosquitto.find() is None:
        pytest.skip("mosquitto is not installed")
    with mosquitto.Mosquitto(tmp_path / "broker") as running:
        yield running


def config(port: int, **more: object) -> BrokerConfig:
    return BrokerConfig.model_validate({"addresses": [f"127.0.0.1:{port}"], "connect_timeout_s": 5, **more})


def publish(port: int, count: int) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for number in range(count):
        client.publish(TOPIC.replace("+", "x"), str(number), qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def test_a_full_queue_does_not_hold_up_the_end(broker: mosquitto.Mosquitto) -> None:
    with subscription(config(broker.port), TOPIC, limit=3) as messages:
        publish(broker.port, 10)
        while not messages.full():
            time.sleep(0.01)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 3


def test_messages_wait_for_a_slow_reader_and_come_in_order(broker: mosquitto.Mosquitto) -> None:
    with subscription(config(broker.port), TOPIC, limit=3) as messages:
        publish(broker.port, 10)
        assert [messages.get(timeout=10).payload for _ in range(10)] == [b"%d" % n for n in range(10)]


def test_it_tells_once_when_the_broker_goes_and_when_it_is_back(broker: mosquitto.Mosquitto) -> None:
    told: list[str] = []
    back = threading.Event()

    def tell(sentence: str) -> None:
        told.append(sentence)
        if sentence == BACK:
            back.set()

    with subscription(config(broker.port), TOPIC, tell=tell) as messages:
        broker.kill()
        broker.start()
        assert back.wait(20)
        publish(broker.port, 1)
        assert messages.get(timeout=10).payload == b"0"
    assert told == [GONE, BACK]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"username": "u", "password_file": "absent"}, "the password file cannot be read"),
        ({"username": "u", "password_file": "."}, "the password file cannot be read"),
        ({"tls": TlsConfig(ca_file=Path("absent"))}, "a TLS file cannot be used"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_sentence(more: dict[str, object], sentence: str) -> None:
    with pytest.raises(NoBroker, match=sentence), subscription(config(1, **more), TOPIC):
        pass


def test_a_name_that_nobody_knows_is_a_sentence() -> None:
    nowhere = BrokerConfig(addresses=("broker.invalid",))  # RFC 2606
    with (
        pytest.raises(NoBroker, match=r"broker\.invalid: the broker's name is not known"),
        subscription(nowhere, TOPIC),
    ):
        pass


def test_credentials_that_are_refused_are_told(tmp_path: Path) -> None:
    if mosquitto.find() is None:
        pytest.skip("mosquitto is not installed")
    with (
        mosquitto.Mosquitto(tmp_path / "broker", anonymous=False) as broker,
        pytest.raises(NoBroker, match=r"the broker does not allow this|the user name or the password"),
        subscription(config(broker.port), TOPIC),
    ):
        pass
