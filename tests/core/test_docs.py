"""What the documents say is what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from devicebridge.cli import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_device_tables_are_fresh() -> None:
    """Written by: python docs/make_devices.py"""
    words = [sys.executable, ROOT / "docs" / "make_devices.py", "--check"]
    made = subprocess.run(words, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr


def test_the_readme_names_every_command() -> None:
    assert [name for name in COMMANDS if f"| `{name}" not in README] == []


def test_every_file_the_documents_point_to_is_there() -> None:
    for document in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "drivers" / "README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
