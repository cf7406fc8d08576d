"""A driver that is not ours: built as its own wheel, installed beside ours, seen to run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from devicebridge.testing.broker import Broker
from support.daemon import Daemon, Inbox, wait_for


def _run(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True, timeout=60, check=False)


def test_it_is_listed_beside_ours(acme: Path) -> None:
    listed = _run(acme, "-m", "devicebridge", "drivers", "--json")
    packages = {row["id"]: row["package"] for row in map(json.loads, listed.stdout.splitlines())}
    assert packages["acme-scale"] == packages["acme-ekg"] == "acme-devices 1.0"
    assert packages["nonin"].startswith("devicebridge ")


def test_it_decodes(acme: Path) -> None:
    decoded = _run(acme, "-m", "devicebridge", "decode", "acme-scale", "--text", r"#0042;082.50;kg\r\n")
    line = json.loads(decoded.stdout)
    assert line["group"][0] == {
        "name": "weight",
        "value": 82.5,
        "unit": "kg",
        "raw": {"value": "82.50", "unit": "kg"},
    }
    assert line["record"] == "0042"


def test_it_passes_conformance(acme: Path) -> None:
    words = ("-m", "pytest", "-p", "no:cacheprovider", "-k", "acme", "--pyargs", "devicebridge.testing.suite")
    result = _run(acme, *words)
    assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout


def test_it_runs(acme: Path, broker: Broker, received: Inbox, tmp_path: Path) -> None:
    simulator = subprocess.Popen(
        [sys.executable, "-m", "devicebridge", "simulate", "acme-scale", "--json"],
        env={**os.environ, "PYTHONPATH": str(acme)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert simulator.stdout is not None
        port = json.loads(simulator.stdout.readline())["port"]
        device = f'[devices.scale]\ndriver = "acme-scale"\nport = "{port}"\n'
        with Daemon(tmp_path, broker, device, python_path=str(acme)):
            wait_for(lambda: len({r["id"] for r in received.readings}) == 2, "two weighings")
        assert {r["values"][0]["value"] for r in received.readings} == {82.5, 61.25}
    finally:
        simulator.terminate()
        simulator.communicate(timeout=10)


def test_f55_two_packages_with_one_id_are_refused_and_both_named(acme: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin-1.0.dist-info"
    twin.mkdir()
    (twin / "METADATA").write_text("Metadata-Version: 2.1\nName: twin\nVersion: 1.0\n")
    (twin / "entry_points.txt").write_text("[devicebridge.drivers]\nacme-scale = twin:DRIVER\n")
    listed = _run(Path(f"{acme}{os.pathsep}{tmp_path}"), "-m", "devicebridge", "drivers")
    assert listed.returncode == 69
    assert "acme-devices (acme_scale:DRIVER) and twin (twin:DRIVER)" in listed.stderr
    assert "Traceback" not in listed.stderr
