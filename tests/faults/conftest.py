from __future__ import annotations

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
