"""What `pair` and `unpair` do to the config file: all of it or nothing, and everything else stays as it was."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicebridge.config import DeviceConfig, load
from devicebridge.mistakes import ConfigError
from devicebridge.outbox.files import FileLock
from devicebridge.pairing.configfile import ConfigEditor, Unwritable
from support.pairing import CONFIG

CUFF = DeviceConfig(driver="ble-blood-pressure", address="C0:26:DA:01:02:03")
OXIMETER = DeviceConfig(driver="nonin", port="usb:0403:6001:A9031XYZ", baud=9600)
EXAMPLE = Path(__file__).parents[2] / "config" / "room.toml"
INTERLEAVED = """
# the old scale
[devices.scale]   # by the door
driver = "ble-weight-scale"
address = "C0:26:DA:01:02:04"  # do not move

[devices.scale.options]

# what is written down
[log]
level = "info"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "room.toml"
    path.write_text(CONFIG)
    return path


def backup(path: Path) -> Path:
    return path.with_name(f"{path.name}.bak")


def others(path: Path) -> list[str]:
    return [p.name for p in path.parent.iterdir() if p not in (path, backup(path))]


# --- Added and taken out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", ["", INTERLEAVED, INTERLEAVED.replace("\n", "\r\n")])
def test_a_table_is_added_and_taken_out_with_all_else_as_it_was(file: Path, more: str) -> None:
    before = (CONFIG + more).encode()
    file.write_bytes(before)
    ConfigEditor(file).add("cuff", CUFF)
    added = file.read_bytes()
    assert added.startswith(before)
    assert backup(file).read_bytes() == before
    assert tomllib.loads(added.decode())["devices"]["cuff"] == {
        "driver": "ble-blood-pressure",
        "address": "C0:26:DA:01:02:03",
    }
    ConfigEditor(file).remove("cuff")
    assert file.read_bytes() == before
    assert backup(file).read_bytes() == added
    assert others(file) == []


def test_the_example_keeps_its_comments(tmp_path: Path) -> None:
    file = tmp_path / "room.toml"
    file.write_bytes(EXAMPLE.read_bytes())
    ConfigEditor(file).add("second", DeviceConfig(driver="ble-thermometer", address="C0:26:DA:01:02:05"))
    assert file.read_bytes().startswith(EXAMPLE.read_bytes())


def test_a_table_in_the_middle_leaves_the_comments_around_it(file: Path) -> None:
    file.write_text(CONFIG + INTERLEAVED)
    ConfigEditor(file).remove("scale")
    text = file.read_text()
    for comment in ("# the old scale", "# what is written down", "# main street", "# The room at the end"):
        assert comment in text
    assert "weight-scale" not in text


def test_options_and_speed_are_written(file: Path) -> None:
    device = OXIMETER.model_copy(update={"options": {"hold_s": 5.0, "text": 'a "quote" and\nmore'}})
    with pytest.raises(ConfigError):  # nonin has no such options
        ConfigEditor(file).add("oximeter", device)
    assert file.read_text() == CONFIG
    ConfigEditor(file).add("oximeter", OXIMETER)
    assert ConfigEditor(file).config.devices["oximeter"] == OXIMETER


def test_a_byte_order_mark_a_link_and_the_mode_stay(file: Path) -> None:
    bom = b"\xef\xbb\xbf"
    file.write_bytes(bom + CONFIG.encode())
    file.chmod(0o640)
    link = file.with_name("link.toml")
    link.symlink_to(file)
    ConfigEditor(link).add("cuff", CUFF)
    assert link.is_symlink()
    assert file.read_bytes().startswith(bom + CONFIG.encode())
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_devices_on_one_line_are_added_to(file: Path) -> None:
    line = 'devices = {scale = {driver = "ble-weight-scale", address = "C0:26:DA:01:02:04"}}\n'
    file.write_text(line + CONFIG)
    ConfigEditor(file).add("cuff", CUFF)
    assert set(ConfigEditor(file).config.devices) == {"scale", "cuff"}
    assert "# The room at the end" in file.read_text()
    with pytest.raises(Unwritable, match=r"take out these lines by hand: \[devices.cuff\] / driver"):
        ConfigEditor(file).remove("cuff")


# --- Not touched ---------------------------------------------------------------------------------------------------


def untouched(file: Path, before: bytes) -> None:
    assert file.read_bytes() == before
    assert not backup(file).exists()
    assert others(file) == []


@pytest.mark.parametrize(
    "text", ["", "[site", CONFIG + "[devices.x]\ndriver = 'nobody'\nport = 'COM1'\n", CONFIG.replace("clinic", "No!")]
)
def test_a_broken_config_is_not_touched(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError):
        ConfigEditor(file).add("cuff", CUFF)
    untouched(file, text.encode())


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("cuff", DeviceConfig(driver="nobody", address="C0:26:DA:01:02:03")),
        ("cuff", DeviceConfig(driver="nonin", address="C0:26:DA:01:02:03")),
        ("No Name", CUFF),
        ("a]\n[evil", CUFF),
        ("cuff", DeviceConfig(driver="nonin", port="/dev/ttyUSB0")),
    ],
)
def test_what_would_make_a_bad_config_is_not_written(file: Path, name: str, device: DeviceConfig) -> None:
    with pytest.raises(ConfigError):
        ConfigEditor(file).add(name, device)
    untouched(file, CONFIG.encode())


def test_a_name_or_a_place_that_is_taken_is_refused(file: Path) -> None:
    ConfigEditor(file).add("cuff", CUFF)
    with pytest.raises(Unwritable, match='there is a device "cuff" already'):
        ConfigEditor(file).add("cuff", OXIMETER)
    with pytest.raises(ConfigError, match="cuff and other are both at"):
        ConfigEditor(file).add("other", CUFF)
    with pytest.raises(KeyError):
        ConfigEditor(file).remove("other")


def test_a_file_that_somebody_else_changed_meanwhile_is_left_to_them(file: Path) -> None:
    editor = ConfigEditor(file)
    file.write_text(CONFIG + "# mine\n")
    with pytest.raises(Unwritable, match="changed by somebody else"):
        editor.add("cuff", CUFF)
    untouched(file, (CONFIG + "# mine\n").encode())


def test_two_who_write_at_once_lose_nothing_of_each_other(file: Path) -> None:
    """Each has either its own table in the file, or a sentence."""
    count = 8
    editors = [ConfigEditor(file) for _ in range(count)]
    ready = threading.Barrier(count)

    def add(number: int) -> bool:
        device = DeviceConfig(driver="nonin", port=f"COM{number}")
        ready.wait()
        try:
            editors[number].add(f"device-{number}", device)
        except Unwritable:
            return False
        return True

    with ThreadPoolExecutor(count) as pool:
        written = list(pool.map(add, range(count)))
    devices = {f"device-{number}" for number in range(count) if written[number]}
    assert len(devices) == 1
    assert set(tomllib.loads(file.read_text())["devices"]) == devices
    assert backup(file).read_text() == CONFIG
    assert others(file) == []


def test_one_who_writes_just_now_is_not_disturbed(file: Path) -> None:
    lock = FileLock(file.with_name("room.toml.lock"))
    lock.acquire()
    with pytest.raises(Unwritable, match="is being changed by another program"):
        ConfigEditor(file).add("cuff", CUFF)
    lock.release()
    ConfigEditor(file).add("cuff", CUFF)
    assert others(file) == []


def test_relative_paths_of_a_linked_config_begin_at_the_link(tmp_path: Path) -> None:
    """As for the daemon, which is given the same path."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "room.toml").write_text(CONFIG)
    link = tmp_path / "room.toml"
    link.symlink_to(tmp_path / "real" / "room.toml")
    assert ConfigEditor(link).config.outbox.path == load(link).outbox.path


def test_a_program_that_reads_the_file_for_a_moment_does_not_keep_it_from_being_written(file: Path) -> None:
    """Windows replaces no file that somebody has open: the daemon, a virus scanner."""
    stream = file.open("rb")
    closing = threading.Timer(0.3, stream.close)
    closing.start()
    try:
        ConfigEditor(file).add("cuff", CUFF)
    finally:
        closing.join()
    assert "cuff" in ConfigEditor(file).config.devices


@pytest.mark.skipif(not Path("/proc").exists(), reason="a folder where nothing can be made")
def test_a_folder_that_cannot_be_written_is_a_sentence(file: Path, tmp_path: Path) -> None:
    editor = ConfigEditor(file)
    backup(file).mkdir()  # in the way of the backup, whoever runs this
    (backup(file) / "x").touch()
    with pytest.raises(Unwritable, match="cannot be written"):
        editor.add("cuff", CUFF)
    assert file.read_text() == CONFIG
    assert others(file) == []


@given(
    comments=st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])), max_size=6),
    blanks=st.lists(st.integers(0, 3), min_size=6, max_size=6),
)
def test_any_comments_anywhere_stay(
    tmp_path_factory: pytest.TempPathFactory, comments: list[str], blanks: list[int]
) -> None:
    file = tmp_path_factory.mktemp("room") / "room.toml"
    tables = [CONFIG, '[devices.one]\ndriver = "nonin"\nport = "COM1"\n', '[log]\nlevel = "info"\n']
    parts = [f"# {comment}\n" for comment in comments]
    text = "".join(t + "\n" * blanks[i] + "".join(parts[i::3]) for i, t in enumerate(tables))
    file.write_bytes(text.encode())
    ConfigEditor(file).add("cuff", CUFF)
    assert file.read_bytes().startswith(text.encode())
    ConfigEditor(file).remove("one")
    left = file.read_bytes().decode()
    for part in parts:
        assert part in left
    assert set(tomllib.loads(left)["devices"]) == {"cuff"}


# --- Killed --------------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from devicebridge.config import DeviceConfig
from devicebridge.pairing import configfile

def attempt(path, lines):
    "Adds a device, and is killed before so many lines of the module are done."
    left = lines
    def trace(frame, event, _):
        nonlocal left
        if frame.f_code.co_filename != configfile.__file__:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)
    editor = configfile.ConfigEditor(path)
    editor.add("cuff", DeviceConfig(driver="ble-blood-pressure", address="C0:26:DA:01:02:03"))
    os._exit(0)

path, old = Path(sys.argv[1]), Path(sys.argv[1]).read_bytes()
kills = new = 0
while True:
    path.write_bytes(old)
    if (child := os.fork()) == 0:
        attempt(path, kills + 1)
    _, status = os.waitpid(child, 0)
    found = path.read_bytes()
    new += found != old
    whole = sys.argv[2].encode()
    if found not in (old, whole):
        sys.exit(f"after {kills + 1} lines: {found!r}")
    if os.WIFEXITED(status):
        break
    kills += 1
print(kills, new, os.WEXITSTATUS(status), found == whole)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_f35_kill_9_at_every_line_leaves_the_old_file_or_the_new_one(file: Path) -> None:
    whole = CONFIG + '\n[devices.cuff]\ndriver = "ble-blood-pressure"\naddress = "C0:26:DA:01:02:03"\n'
    command = [sys.executable, "-c", KILLED, str(file), whole]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 0, result.stderr
    kills, new, code, is_whole = result.stdout.split()
    assert int(kills) > 60
    assert 0 < int(new) < int(kills)
    assert (code, is_whole) == ("0", "True")
    ConfigEditor(file).remove("cuff")  # what a killed run left behind is in nobody's way
    assert others(file) == []
