"""Builds the third party's wheel of two drivers and installs it beside ours, in a folder of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "third_party"


def install(folder: Path) -> Path:
    """The folder to put on PYTHONPATH."""
    wheels, site = folder / "wheels", folder / "site"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(SOURCE)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = wheels.glob("acme_devices-1.0-*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    return site
