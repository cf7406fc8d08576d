"""F48, F58: a person's name and number come out of a wristband, an analyzer and a driver that blurts them out. They are
looked for in everything the program writes or sends that is not the reading itself; and nothing is filed under them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from devicebridge.sdk.simulation import SerialPort, SerialScenario
from devicebridge.testing.broker import Broker
from devicebridge_simulators.astm import SIMULATOR as ANALYZER
from devicebridge_simulators.barcode import CR, plain
from support import rude
from support.daemon import Daemon, Inbox, wait_for
from support.serial_device import nonin_on_tcp, on_tcp

WRISTBAND = "MRN-PLANTED-4711"
PLANTED = (WRISTBAND, "PLANTED-4711", "JANE", "Jane", "DOE^")
OURS = ("outbox.db", "outbox.db-wal", "outbox.db-shm", "room.toml")
"""The readings themselves, on this PC's disk; and what the test wrote."""
SPEED = 50


def wristband() -> SerialScenario:
    async def play(port: SerialPort) -> None:
        await port.write(plain(WRISTBAND, CR))

    return SerialScenario(title="a wristband", run=play)


@contextmanager
def room() -> Iterator[str]:
    with ExitStack() as stack:
        places = {
            "scanner": ("barcode", stack.enter_context(on_tcp(wristband(), speed=SPEED))),
            "analyzer": ("astm", stack.enter_context(on_tcp(ANALYZER.scenarios["urine-strip"], speed=SPEED))),
            "oximeter": ("nonin", stack.enter_context(nonin_on_tcp("spot"))),
            "rude": ("tells", stack.enter_context(nonin_on_tcp("spot"))),
        }
        yield "".join(f'[devices.{n}]\ndriver = "{d}"\nport = "{p}"\n' for n, (d, p) in places.items())


def test_f48_f58_a_planted_identifier_is_found_nowhere_and_nothing_is_filed_under_it(
    broker: Broker, received: Inbox, tmp_path: Path
) -> None:
    site = rude.install(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    with room() as devices, Daemon(home, broker, devices, python_path=str(site)) as daemon:
        daemon.wait_ready()
        wait_for(lambda: (received.latest("/rude/status") or {}).get("state") == "fault", "the driver's fault")
        for kind in ("/reading/lab", "/reading/pulse-oximetry"):
            wait_for(lambda: any(m.topic.endswith(kind) for m in received.drain()), kind)  # noqa: B023 - at once
        answers = [daemon.run(*words, "-c", str(daemon.config)) for words in (("devices",), ("outbox", "list"))]
        scans = json.loads(daemon.run("devices", "-c", str(daemon.config), "--json").stdout)
        assert daemon.stop() < 3
    assert {row["device"] for row in scans["devices"]} == {"scanner", "analyzer", "oximeter", "rude"}
    written = [file.read_bytes() for file in home.rglob("*") if file.is_file() and file.name not in OURS]
    written += [(answer.stdout + answer.stderr).encode() for answer in answers]
    assert any(b'"event"' in text for text in written), "the log is among them"
    sent = [part for m in received.drain() for part in (m.topic.encode(), *(() if _is_reading(m) else (m.payload,)))]
    for word in PLANTED:
        assert not [text for text in (*written, *sent) if word.encode() in text], word
    assert received.readings
    assert all(reading["subject"] is None for reading in received.readings), "nobody has said whose it is"
    assert not any(WRISTBAND in json.dumps(reading) for reading in received.readings)


def _is_reading(message: object) -> bool:
    return "/reading/" in getattr(message, "topic", "")
