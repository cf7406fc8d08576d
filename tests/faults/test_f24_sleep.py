"""F24: the process stands still for as long as a sleeping PC, and goes on: the gap is noticed, the connection to the
broker is made anew at once, each device is read again, and nothing of it is taken for a row of failures."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import pytest

from devicebridge.app import SLEEP_GAP_S
from devicebridge.testing.broker import Broker
from support.daemon import Daemon, Inbox, wait_for
from support.serial_device import nonin_on_tcp

BACK_S = 8.0
"""Longer than SLEEP_CHECK_S, after which it looks at the clocks."""


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
def test_f24_a_sleep_is_noticed_and_all_is_well_soon_after(broker: Broker, received: Inbox, tmp_path: Path) -> None:
    with nonin_on_tcp("spot") as port:
        device = f'[devices.oximeter]\ndriver = "nonin"\nport = "{port}"\n'
        with Daemon(tmp_path, broker, device) as daemon:
            daemon.wait_ready()
            wait_for(lambda: received.readings, "a reading")
            assert daemon.process is not None
            daemon.process.send_signal(signal.SIGSTOP)
            time.sleep(SLEEP_GAP_S + 3)  # the length of the sleep is the experiment
            before, lines = len(received.readings), len(daemon.log.read_text().splitlines())
            daemon.process.send_signal(signal.SIGCONT)
            woken_s = time.monotonic()
            wait_for(lambda: len(received.readings) > before, "a reading after it")
            wait_for(lambda: daemon.events("clock-gap") == 1, "the gap noticed", BACK_S)
            wait_for(lambda: reconnects(received) == 1, "a new connection", BACK_S)
            assert time.monotonic() - woken_s < BACK_S
            count = len(received.readings)
            wait_for(lambda: len(received.readings) > count, "readings over the new connection")
            wait_for(lambda: (received.latest("/oximeter/status") or {}).get("state") == "ok", "ok")
            assert daemon.stop() < 3
        after = [json.loads(line)["event"] for line in daemon.log.read_text().splitlines()[lines:]]
        assert not {"session-fault", "publisher-fault", "unhandled", "stalled"} & set(after)
        assert len(after) < 12, after
        ids = [r["id"] for r in received.readings]
        assert len(set(ids)) >= len(ids) - 1, "at most what was on its way, sent again"


def reconnects(received: Inbox) -> int:
    count: int = (received.latest("/exam-1/status") or {}).get("broker", {}).get("reconnects", 0)
    return count
