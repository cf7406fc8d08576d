"""F48, F49: what must not be logged cannot be."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from devicebridge.config import LogConfig
from devicebridge.logs import KEYS, allowed_only, configure, place_of
from devicebridge.sdk import Loss


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=20)))
def test_f48_only_listed_keys_pass(event: dict[str, str]) -> None:
    kept = allowed_only(None, "info", dict(event))
    assert set(kept) <= KEYS | {"dropped_keys"}
    assert kept.get("dropped_keys", 0) == len([key for key in event if key not in KEYS])


@given(st.text())
def test_f49_text_is_one_printable_capped_line(text: str) -> None:
    kept = allowed_only(None, "info", {"reason": text})
    assert len(kept["reason"]) <= 200
    assert kept["reason"].isprintable()


def test_json_lines_in_a_capped_file(tmp_path: Path) -> None:
    file = tmp_path / "log" / "devicebridge.log"
    log = configure(LogConfig(file=file, level="info"))
    log.bind(device="cuff").info("device", reason=Loss.UNPLUGGED, systolic=128)
    log.debug("device", reason=Loss.BUSY)
    [line] = file.read_text().splitlines()
    entry = json.loads(line)
    assert entry["event"] == "device"
    assert (entry["device"], entry["reason"], entry["level"], entry["dropped_keys"]) == ("cuff", "unplugged", "info", 1)
    assert "128" not in line


def test_f48_an_exception_is_named_by_its_place_never_its_text() -> None:
    try:
        raise ValueError("MRN 12345")
    except ValueError as error:
        assert place_of(error).startswith("test_logs.py:")


def test_f50_the_files_of_the_log_are_capped_in_size_and_number(tmp_path: Path) -> None:
    log = configure(LogConfig(file=tmp_path / "log", max_mib=1, files=2))
    for _ in range(30_000):
        log.info("device", reason="x" * 100)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["log", "log.1"]
    assert all(file.stat().st_size <= 1 << 20 for file in files)
