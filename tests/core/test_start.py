"""start.py: where it runs what, what it makes of ends, and what it does with half a virtual environment."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in for Python is a shell script")

START = Path(__file__).parents[2] / "start.py"
RECORDING = """\
#!/bin/sh
echo "$PWD $*" >> "{log}"
case "$*" in *{killed}*) kill -9 $$;; esac
exit {code}
"""


class Checkout:
    """start.py beside a .venv that is up to date and whose Python only notes what it was asked for."""

    def __init__(self, folder: Path, *, killed: str = "nothing", code: int = 0) -> None:
        self.folder = folder / "checkout"
        (self.folder / ".venv/bin").mkdir(parents=True)
        shutil.copy(START, self.folder)
        (self.folder / "pyproject.toml").write_text("[project]\nname = 'x'\nversion = '0'\n")
        self._log = folder / "log"
        python = self.folder / ".venv/bin/python"
        python.write_text(RECORDING.format(log=self._log, killed=killed, code=code))
        python.chmod(0o755)
        wanted = (self.folder / "pyproject.toml").read_bytes() + sys.version.encode()
        for extra in ("demo", "test"):
            stamp = self.folder / f".venv/installed-{extra}"
            stamp.write_text(hashlib.sha256(wanted).hexdigest())

    def start(self, *words: str, cwd: Path) -> int:
        command = [sys.executable, str(self.folder / "start.py"), *words]
        return subprocess.run(command, cwd=cwd, capture_output=True, timeout=60).returncode

    @property
    def asked(self) -> list[str]:
        return self._log.read_text().splitlines()


def test_a_command_runs_where_the_caller_is_and_the_tests_in_the_checkout(tmp_path: Path) -> None:
    checkout, elsewhere = Checkout(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert checkout.start("run", "check", "-c", "room.toml", cwd=elsewhere) == 0
    assert checkout.start("demo", "--seconds", "1", cwd=elsewhere) == 0
    assert checkout.start("test", "-k", "x", cwd=elsewhere) == 0
    assert checkout.asked == [
        f"{elsewhere} -m devicebridge check -c room.toml",
        f"{elsewhere} -m devicebridge demo --seconds 1",
        f"{checkout.folder} -m pytest -k x",
    ]


def test_the_exit_code_of_a_command_is_that_of_start(tmp_path: Path) -> None:
    assert Checkout(tmp_path, code=78).start("run", "check", cwd=tmp_path) == 78


def test_a_check_that_a_signal_killed_is_no_success(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, killed="mypy")
    assert checkout.start("check", cwd=tmp_path) == 1
    assert len(checkout.asked) == 4  # the others are run all the same
    assert all(line.startswith(f"{checkout.folder} ") for line in checkout.asked)


@pytest.mark.long
def test_half_a_virtual_environment_is_made_anew(tmp_path: Path) -> None:
    """What python -m venv leaves on Debian where python3-venv is not installed: a Python without pip."""
    checkout = Checkout(tmp_path)
    shutil.rmtree(checkout.folder / ".venv")
    venv.create(checkout.folder / ".venv", with_pip=False)
    python = checkout.folder / ".venv/bin/python"
    has_pip = [str(python), "-m", "pip", "--version"]
    assert subprocess.run(has_pip, capture_output=True).returncode != 0
    env = {**os.environ, "PIP_NO_INDEX": "1"}  # that nothing can be installed is not the point here
    command = [sys.executable, str(checkout.folder / "start.py"), "run", "drivers"]
    assert subprocess.run(command, env=env, capture_output=True, timeout=100).returncode == 69
    assert subprocess.run(has_pip, capture_output=True).returncode == 0
