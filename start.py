#!/usr/bin/env python3
"""Sets up what is needed in .venv and starts it.

    python3 start.py demo [--seconds N] [--json]     the whole way, on simulated devices
    python3 start.py test [pytest arguments]         the whole test suite
    python3 start.py check                           format, lint, types and import contracts
    python3 start.py run COMMAND...                  any devicebridge command

Only the standard library, so that any Python >= 3.11 can run it; on Windows: py start.py demo
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
EXTRAS = {"demo": "demo", "run": "demo", "test": "test", "check": "test"}
CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
    ("importlinter.cli", "lint-imports"),
)


@dataclass(frozen=True)
class Program:
    """packages: its name with each package manager. places: where it is when not on the path."""

    name: str
    platforms: tuple[str, ...]
    packages: dict[str, str]
    missed: str
    places: tuple[str, ...] = ()

    def found(self) -> bool:
        return bool(shutil.which(self.name) or shutil.which(self.name, path=os.pathsep.join(self.places)))


PROGRAMS = (
    Program(
        name="mosquitto",
        platforms=("linux", "darwin", "win32"),
        packages={"apt-get": "mosquitto", "dnf": "mosquitto", "brew": "mosquitto"},
        missed="the tests that need a real MQTT 5 broker will be skipped. Get it with:\n"
        "  Debian, Ubuntu: sudo apt install mosquitto    macOS: brew install mosquitto\n"
        "  Windows: winget install EclipseFoundation.Mosquitto",
        places=("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", r"C:\Program Files\mosquitto"),
    ),
    Program(
        name="dbus-daemon",
        platforms=("linux",),
        packages={"apt-get": "dbus", "dnf": "dbus-daemon"},
        missed="the tests of Bluetooth over BlueZ will be skipped. Get it with: sudo apt install dbus",
    ),
)


def main(words: list[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - an older Python is what this line is for
        return _fail(f"this is Python {sys.version.split()[0]}; devicebridge needs 3.11 or newer")
    if not words or words[0] not in EXTRAS:
        return _fail((__doc__ or "").strip())
    command, rest = words[0], words[1:]
    if problem := _install(EXTRAS[command]):
        return _fail(problem)
    if command == "test":
        _get_programs()
        os.chdir(HERE)
        return _become("-m", "pytest", *rest)
    if command == "check":
        os.chdir(HERE)
        codes = [_check(*check) for check in CHECKS]
        return int(any(codes))  # one that a signal ended has a negative code
    return _become("-m", "devicebridge", *(["demo"] if command == "demo" else []), *rest)


def _install(extra: str) -> str | None:
    """Makes .venv hold this checkout and the extra; nothing to do if it already does. A sentence if it cannot."""
    stamp = VENV / f"installed-{extra}"
    wanted = hashlib.sha256((HERE / "pyproject.toml").read_bytes() + sys.version.encode()).hexdigest()
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return None
    print(f"setting up {VENV} ...", file=sys.stderr, flush=True)
    try:
        if not _has_pip():
            venv.create(VENV, with_pip=True, clear=VENV.exists())
        pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "--editable", f"{HERE}[{extra}]"], check=True, stdout=sys.stderr)
    except (subprocess.CalledProcessError, OSError) as error:
        hint = "on Debian and Ubuntu: apt install python3-venv; and is the package index reachable?"
        return f"the virtual environment cannot be made ({error}); {hint}"
    stamp.write_text(wanted)
    return None


def _has_pip() -> bool:
    """Where python3-venv is missing, Debian leaves a .venv without it."""
    pip = [str(PYTHON), "-m", "pip", "--version"]
    return PYTHON.exists() and subprocess.run(pip, capture_output=True, check=False).returncode == 0


def _get_programs() -> None:
    """What the tests want beside Python. Taken from the system's packages where that needs nobody's password."""
    wanted = [program for program in PROGRAMS if sys.platform in program.platforms and not program.found()]
    if not wanted:
        return
    for manager, install in _installers().items():
        packages = [program.packages[manager] for program in wanted if manager in program.packages]
        if shutil.which(manager) and packages:
            print(f"fetching {' and '.join(packages)} with {manager} ...", file=sys.stderr, flush=True)
            *before, last = install
            for step in (*before, [*last, *packages]):
                subprocess.run(step, check=False, stdout=sys.stderr, stdin=subprocess.DEVNULL)
            break
    for program in wanted:
        if not program.found():
            print(f"{program.name} is not installed, so {program.missed}", file=sys.stderr, flush=True)


def _installers() -> dict[str, list[list[str]]]:
    """By package manager: the steps, to the last of which the packages are added."""
    as_root = [] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["sudo", "-n"]
    apt = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    return {
        "apt-get": [[*apt, "update"], [*apt, "install", "-y", "--no-install-recommends"]],
        "dnf": [[*as_root, "dnf", "-q", "-y", "install"]],
        "brew": [["brew", "install", "--quiet"]],
    }


def _check(module: str, *arguments: str) -> int:
    print("+", module, *arguments, file=sys.stderr, flush=True)
    if module == "importlinter.cli":
        return _run("-c", "from importlinter.cli import lint_imports_command as main; main()")
    return _run("-m", module, *arguments)


def _become(*words: str) -> int:
    """From here on this process is that one, signals and exit code included; on Windows it waits for it."""
    if os.name != "nt":
        os.execv(PYTHON, [str(PYTHON), *words])
    return _run(*words)


def _run(*words: str) -> int:
    """Ctrl-C reaches the child as well, and it ends in its own time."""
    with subprocess.Popen([str(PYTHON), *words]) as child:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 69


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
