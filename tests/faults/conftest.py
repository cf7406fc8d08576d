from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from devicebridge.testing.broker import Broker
from support import acme as acme_wheel
from support.daemon import Inbox, inbox, mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with mosquitto(tmp_path) as running:
        yield running


@pytest.fixture
def received(broker: Broker) -> Iterator[Inbox]:
    with inbox(broker) as messages:
        yield messages


@pytest.fixture(scope="session")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The third party's driver, installed; to be put on PYTHONPATH."""
    return acme_wheel.install(tmp_path_factory.mktemp("acme"))


@pytest.fixture
def frozen_broker() -> Iterator[Broker]:
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Broker("frozen", listener.getsockname()[1], "5")
