"""F53: code that never yields to the event loop. It is seen from another thread, the program ends and names it, and
the next start leaves that driver out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from devicebridge import registry
from devicebridge.setbacks import culprits
from devicebridge.testing.broker import Broker
from support import rude
from support.daemon import Daemon, Inbox, wait_for
from support.serial_device import nonin_on_tcp

ENDED_BY_ITSELF = 75


@pytest.mark.long
def test_f53_a_spinning_driver_is_named_and_left_out_until_somebody_starts_the_program_anew(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    site = rude.install(tmp_path)
    with nonin_on_tcp("spot") as port, nonin_on_tcp("spot") as other_port:
        devices = (
            f'[devices.oximeter]\ndriver = "nonin"\nport = "{port}"\n'
            f'[devices.rude]\ndriver = "spins"\nport = "{other_port}"\n'
        )
        daemon = Daemon(tmp_path, broker, devices, python_path=str(site))
        daemon.start()
        assert daemon.process is not None
        assert daemon.process.wait(30) == ENDED_BY_ITSELF
        [stalled] = logged(daemon, "stalled")
        assert (stalled["place"].partition(":")[0], stalled["seconds"]) == ("rude.py", 10)
        with daemon:  # as the service manager does
            wait_for(lambda: (received.latest("/rude/status") or {}).get("state") == "quarantined", "it is left out")
            before = len(received.readings)
            wait_for(lambda: len(received.readings) > before + 1, "readings of the other device")
            assert "shut out" in (received.latest("/rude/status") or {})["text"]
            assert daemon.stop() < 2.5
        [named] = logged(daemon, "stalled-last-time")
        assert (named["driver"], named["place"].partition(":")[0]) == ("spins", "rude.py")
        assert daemon.events("driver-shut-out") == 1
        starts = daemon.events("started")
        with daemon:
            wait_for(lambda: daemon.events("started") > starts, "a start")
            assert daemon.events("driver-shut-out") == 1, "a stop in order forgives"


def logged(daemon: Daemon, event: str) -> list[dict[str, str]]:
    lines = map(json.loads, daemon.log.read_text().splitlines())
    return [line for line in lines if line["event"] == event]


STALLS = {
    "in Python": "while True: pass",
    "holding Python's lock": "re.fullmatch('(a|aa)+', 'a' * 99 + 'b')",
}
SCRIPT = """
import asyncio, re, sys
from pathlib import Path
from devicebridge.config import LogConfig
from devicebridge.logs import configure
from devicebridge.watchdog import watched

async def stands_still():
    {code}

async def main():
    log = configure(LogConfig(file=Path(sys.argv[1], "log")))
    with watched(asyncio.get_running_loop(), Path(sys.argv[1], "stack"), log, 75, check_s=0.05, last_resort_s=2):
        await asyncio.sleep(0.2)
        await stands_still()

asyncio.run(main())
"""


@pytest.mark.parametrize("code", STALLS.values(), ids=STALLS)
def test_f53_a_loop_that_stands_still_ends_the_program_and_leaves_its_stack(code: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(code=code))
    ended = subprocess.run([sys.executable, str(script), str(tmp_path)], timeout=30, capture_output=True)
    assert ended.returncode in (1, ENDED_BY_ITSELF), ended.stderr
    line = next(n for n, text in enumerate(script.read_text().splitlines(), 1) if code in text)
    assert culprits((tmp_path / "stack").read_text(), {"culprit": script}) == (("culprit",), f"script.py:{line}")


BUSY = """
import asyncio, sys, time
from pathlib import Path
from devicebridge.config import LogConfig
from devicebridge.logs import configure
from devicebridge.watchdog import watched

async def main():
    log = configure(LogConfig(file=Path(sys.argv[1], "log")))
    with watched(asyncio.get_running_loop(), Path(sys.argv[1], "stack"), log, 75, check_s=0.2):
        print("running", flush=True)
        for _ in range(4):
            time.sleep(1)  # a busy moment
            await asyncio.sleep(0.1)

asyncio.run(main())
"""


def test_f53_busy_moments_are_no_stall(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", BUSY, str(tmp_path)], timeout=30, capture_output=True)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert (tmp_path / "stack").read_bytes() == b""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
def test_f24_a_process_that_was_stopped_has_not_stalled(tmp_path: Path) -> None:
    import signal
    import time

    with subprocess.Popen([sys.executable, "-c", BUSY, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        time.sleep(4)  # the length of the stop is the experiment: twice what counts as a stall
        process.send_signal(signal.SIGCONT)
        assert process.wait(20) == 0


def test_f53_the_innermost_driver_on_the_stack_is_the_culprit() -> None:
    home = registry.home("nonin")
    assert home.is_dir() and home.name == "nonin"
    dump = f"""Thread 0x00007f0000000001 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 324 in wait

Thread 0x00007f0000000000 (most recent call first):
  File "/usr/lib/python3.11/re/__init__.py", line 166 in match
  File "{home / "codec.py"}", line 42 in feed
  File "/opt/devicebridge/watched.py", line 30 in read
"""
    homes = {"nonin": home, "other": home.with_name("other")}
    assert culprits(dump, homes) == (("nonin",), "codec.py:42")
    assert culprits(dump, {"other": home.with_name("other")}) == ((), None)
    assert culprits("", homes) == ((), None)
