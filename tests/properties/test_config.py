"""F42: a good config is broken in every way a hand or an editor can; each time the answer has file, line and remedy."""

from __future__ import annotations

import re
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicebridge.assemble import read
from devicebridge.mistakes import ConfigError

BROKEN_CONFIGS = 200

GOOD = """\
[site]
id = "main-street"
room = "exam-3"
timezone = "America/Chicago"

[broker]
addresses = ["localhost", "broker.example.org:1884"]
username = "exam-3"
keepalive_s = 15
window = 20
[broker.tls]
ca_file = "ca.pem"

[outbox]
path = "outbox.db"
max_mib = 64
keep_days = 7

[log]
level = "info"

[devices.cuff]
driver = "ble-blood-pressure"
address = "C0:00:00:00:00:01"

[devices.oximeter]
driver = "nonin"
port = "socket://127.0.0.1:9"
[devices.oximeter.options]
steady_s = 3
"""
LINES = GOOD.splitlines()
KEYS = [number for number, line in enumerate(LINES) if "=" in line]
HEADERS = [number for number, line in enumerate(LINES) if line.startswith("[")]
REQUIRED = [n for n in KEYS if LINES[n].split(" =")[0] in ("id", "room", "timezone", "addresses", "path", "driver")]
WRONG_VALUES = ["[]", "{}", "{ x = 1 }", "[[1]]", "1979-05-27", "-1", "nan", '"\\u0007"', '""', "[true]", '" "']
"""None of them is allowed for any key of GOOD, the ones of text that may be anything aside."""
NO_VALUES = ["", '"', "'", "[", "{", "tru", "1.", "0x", '"\\q"', "=", "a", '"a" "b"', "_1", "00"]


def _with_line(number: int, line: str) -> str:
    return "\n".join([*LINES[:number], line, *LINES[number + 1 :]]) + "\n"


@st.composite
def misspelt(draw: st.DrawFn) -> tuple[str, int | None]:
    """A key with a letter too few, too many or another."""
    number = draw(st.sampled_from(KEYS))
    key, equals, value = LINES[number].partition(" =")
    at = draw(st.integers(0, len(key) - 1))
    letter = draw(st.sampled_from("abcxyz_-"))
    other = draw(
        st.sampled_from([key[:at] + key[at + 1 :], key[:at] + letter + key[at:], key[:at] + letter + key[at + 1 :]])
    )
    wrong = other if other and other != key else f"{key}x"
    return _with_line(number, f"{wrong}{equals}{value}"), number + 1


@st.composite
def wrong_value(draw: st.DrawFn) -> tuple[str, int | None]:
    number = draw(st.sampled_from([n for n in KEYS if not LINES[n].startswith(("username", "path", "ca_file"))]))
    key = LINES[number].partition(" =")[0]
    return _with_line(number, f"{key} = {draw(st.sampled_from(WRONG_VALUES))}"), number + 1


@st.composite
def no_value(draw: st.DrawFn) -> tuple[str, int | None]:
    number = draw(st.sampled_from(KEYS))
    return _with_line(number, f"{LINES[number].partition(' =')[0]} = {draw(st.sampled_from(NO_VALUES))}"), None


@st.composite
def key_missing(draw: st.DrawFn) -> tuple[str, int | None]:
    number = draw(st.sampled_from(REQUIRED))
    header = max(n for n in HEADERS if n < number)
    return _with_line(number, ""), header + 1


@st.composite
def key_twice(draw: st.DrawFn) -> tuple[str, int | None]:
    number = draw(st.sampled_from(KEYS))
    return _with_line(number, f"{LINES[number]}\n{LINES[number]}"), number + 2


@st.composite
def broken_header(draw: st.DrawFn) -> tuple[str, int | None]:
    number = draw(st.sampled_from(HEADERS))
    line = LINES[number]
    name = line[1:-1]
    broken = draw(
        st.sampled_from([line[:-1], line[1:], f"[[{name}]]", f"[{name} x]", "[]", f"[{name}.]", f"[x.{name}]"])
    )
    return _with_line(number, broken), None


@st.composite
def cut_off(draw: st.DrawFn) -> tuple[str, int | None]:
    """What an editor that was killed leaves: nothing up to the end of [outbox] is a config."""
    return GOOD[: draw(st.integers(0, GOOD.index("path = ") - 1))], None


@st.composite
def garbage(draw: st.DrawFn) -> tuple[str, int | None]:
    at = draw(st.integers(0, len(LINES)))
    line = draw(st.text(st.characters(codec="utf-8", exclude_characters="\r\n#"), min_size=1, max_size=30))
    text = "\n".join([*LINES[:at], f"@{line}", *LINES[at:]]) + "\n"
    return text, at + 1


WAYS: dict[str, Callable[[], st.SearchStrategy[tuple[str, int | None]]]] = {
    way.__name__: way
    for way in (misspelt, wrong_value, no_value, key_missing, key_twice, broken_header, cut_off, garbage)
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "room.toml"


def answered(text: str, file: Path) -> list[str]:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read(file)
    problems = caught.value.problems
    assert problems
    for problem in problems:
        assert re.match(rf"{re.escape(str(file))}:[1-9][0-9]*(: \S|$)", problem.where), problem
        assert problem.what and problem.remedy, problem
        assert str(problem).isprintable(), problem
        assert int(problem.where[len(str(file)) + 1 :].partition(":")[0]) <= len(text.splitlines()) + 1, problem
    return [problem.where for problem in problems]


def test_the_good_one_is_good(file: Path) -> None:
    file.write_text(GOOD)
    assert set(read(file).devices) == {"cuff", "oximeter"}
    assert tomllib.loads(GOOD)


@given(st.sampled_from(sorted(WAYS)).flatmap(lambda way: WAYS[way]()))
@settings(max_examples=BROKEN_CONFIGS)
def test_f42_each_of_two_hundred_broken_configs_is_answered(broken: tuple[str, int | None]) -> None:
    text, line = broken
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "room.toml"
        places = answered(text, file)
        assert line is None or any(place.startswith(f"{file}:{line}") for place in places), (line, places)


@given(misspelt())
@settings(max_examples=100)
def test_f42_a_misspelt_key_is_told_its_right_name(broken: tuple[str, int | None]) -> None:
    text, line = broken
    assert line is not None
    key = LINES[line - 1].partition(" =")[0]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "room.toml"
        file.write_text(text)
        with pytest.raises(ConfigError) as caught:
            read(file)
    [said] = [problem for problem in caught.value.problems if problem.what == "unknown key"]
    assert f":{line}: " in said.where
    assert key in said.remedy


@given(st.binary(max_size=200))
@settings(max_examples=100)
def test_f42_nor_are_bytes_of_any_kind_a_traceback(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "room.toml"
        file.write_bytes(data)
        with pytest.raises(ConfigError):
            read(file)
