"""F06: the operating system never answers. A few calls are left behind, each with its thread; when there are too many
the program ends, so that the service manager gives it a new process, and the next start knows why."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from devicebridge.links.serial import MAX_ABANDONED
from devicebridge.testing.broker import Broker
from support.daemon import Daemon, Inbox, wait_for
from support.serial_device import nonin_on_tcp

ENDED_BY_ITSELF = 75
ENDS_S = 60.0
"""Each port is given ten seconds to open and two to close, all of them at a time."""

NEVER_OPENS = """
import sys, threading

def hang(event, args):
    if event == "open" and "dead-port" in str(args[0]):
        threading.Event().wait()

sys.addaudithook(hang)
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="device paths")
def test_f06_too_many_calls_that_never_return_end_the_program(broker: Broker, received: Inbox, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(NEVER_OPENS)
    ports = [tmp_path / f"dead-port-{n}" for n in range(MAX_ABANDONED)]
    dead = "".join(f'[devices.dead-{n}]\ndriver = "nonin"\nport = "{port}"\n' for n, port in enumerate(ports))
    with nonin_on_tcp("spot") as port:
        daemon = Daemon(
            tmp_path, broker, f'[devices.oximeter]\ndriver = "nonin"\nport = "{port}"\n{dead}', python_path=str(hook)
        )
        daemon.start()
        wait_for(lambda: len(received.readings) > 1, "readings of the other device")
        assert daemon.process is not None
        assert daemon.process.wait(ENDS_S) == ENDED_BY_ITSELF
    assert "no longer answer the operating system" in (tmp_path / "stderr").read_text()
    [setback] = json.loads((tmp_path / "outbox.db.setbacks.json").read_text())
    assert setback["why"] == "stuck-ports"
