"""F42, F43: the program does not start with a config that is wrong, or a secret that others can read: it ends with 78
and says where, what, and how to mend it, and never what the secret is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from devicebridge.testing.broker import Broker
from support.daemon import Daemon

NOBODY = Broker("none", 1, "5")
SECRET = "hunter2-7f3a"


def refused(folder: Path, old: str, new: str) -> str:
    daemon = Daemon(folder, NOBODY)
    daemon.start()
    daemon.kill()
    text = daemon.config.read_text()
    assert old in text
    daemon.config.write_text(text.replace(old, new, 1))
    ended = daemon.run("run", "-c", str(daemon.config))
    assert (ended.returncode, ended.stdout) == (78, "")
    assert "Traceback" not in ended.stderr
    assert SECRET not in ended.stderr
    return ended.stderr


def test_f42_a_typo_ends_the_start_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    said = refused(tmp_path, "timezone", "timezoone")
    assert f"{tmp_path / 'room.toml'}:5: site.timezoone: unknown key; " in said
    assert 'did you mean "timezone"?' in said


def test_f42_a_secret_in_the_wrong_place_is_not_echoed(tmp_path: Path) -> None:
    assert "broker.password" in refused(tmp_path, "[broker]", f'[broker]\npassword = "{SECRET}"')


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions; of Windows see test_private.py")
def test_f43_a_secret_that_others_can_read_ends_the_start_with_how_to_mend_it(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(SECRET)
    file.chmod(0o644)
    said = refused(tmp_path, "[broker]", f'[broker]\nusername = "u"\npassword_file = "{file}"')
    assert "can be read by others" in said
    assert f"chmod 600 {file}" in said
