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
MOSQUITTO_ELSEWHERE = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", r"C:\Program Files\mosquitto")


def main(words: list[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - an older Python is what this line is for
        return _fail(f"this is Python {sys.version.split()[0]}; devicebridge needs 3.11 or newer")
    if not words or words[0] not in EXTRAS:
        return _fail((__doc__ or "").strip())
    command, rest = words[0], words[1:]
    if problem := _install(EXTRAS[command]):
        return _fail(problem)
    if command == "test":
        _get_mosquitto()
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


def _get_mosquitto() -> None:
    """The tests want a real MQTT 5 broker. Taken from the system's packages where that needs nobody's password."""
    if _mosquitto_found():
        return
    for manager, steps in _installers():
        if shutil.which(manager):
            print(f"fetching mosquitto with {manager} ...", file=sys.stderr, flush=True)
            for step in steps:
                subprocess.run(step, check=False, stdout=sys.stderr, stdin=subprocess.DEVNULL)
            break
    if not _mosquitto_found():
        print(
            "mosquitto is not installed, so the tests that need a real broker will be skipped. Get it with:\n"
            "  Debian, Ubuntu: sudo apt install mosquitto    macOS: brew install mosquitto\n"
            "  Windows: winget install EclipseFoundation.Mosquitto",
            file=sys.stderr,
            flush=True,
        )


def _installers() -> list[tuple[str, list[list[str]]]]:
    as_root = [] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["sudo", "-n"]
    apt = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    return [
        ("apt-get", [[*apt, "update"], [*apt, "install", "-y", "--no-install-recommends", "mosquitto"]]),
        ("dnf", [[*as_root, "dnf", "-q", "-y", "install", "mosquitto"]]),
        ("brew", [["brew", "install", "--quiet", "mosquitto"]]),
    ]


def _mosquitto_found() -> bool:
    return bool(shutil.which("mosquitto") or shutil.which("mosquitto", path=os.pathsep.join(MOSQUITTO_ELSEWHERE)))


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
