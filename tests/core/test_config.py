"""F42, F43: what is wrong with a config is said with file, line, key, and how to mend it."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicebridge.config import Config, exposed_secrets, load, parse
from devicebridge.mistakes import ConfigError, ConfigText

GOOD = """\
[site]
id = "main-street"
room = "exam-3"
timezone = "America/Chicago"

[broker]
addresses = ["localhost", "broker.example.org:1884", "[::1]:1885"]

[outbox]
path = "outbox.db"

[devices.cuff]
driver = "ble-blood-pressure"
address = "C0:00:00:00:00:01"
"""
FILE = Path("/etc/devicebridge/config.toml")


def broken(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, FILE)
    return [str(problem) for problem in caught.value.problems]


def test_a_good_config_with_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(GOOD)
    config = load(file)
    assert config.outbox.path == tmp_path / "outbox.db"
    assert config.broker.endpoints == (("localhost", 1883), ("broker.example.org", 1884), ("::1", 1885))
    assert config.devices["cuff"].address == "C0:00:00:00:00:01"
    assert not config.simulated


def test_tls_changes_the_default_port() -> None:
    config = parse(GOOD + "[broker.tls]\n", FILE)
    assert config.broker.endpoints[0] == ("localhost", 8883)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("room =", "rom =", f'{FILE}:3: site.rom: unknown key; did you mean "room"?'),
        ('"main-street"', '"Main St"', f'{FILE}:2: site.id: "Main St" is not allowed here; use lower-case letters'),
        (
            "America/Chicago",
            "America/Chicagoo",
            f'{FILE}:4: site.timezone: "America/Chicagoo" is not an IANA time zone',
        ),
        ('path = "outbox.db"', "", f"{FILE}:9: outbox.path: is missing; add it"),
        ('path = "outbox.db"', 'path = "o.db"\nmax_mib = 1', f"{FILE}:11: outbox.max_mib: "),
        ('address = "C0', 'adress = "C0', f'{FILE}:14: devices.cuff.adress: unknown key; did you mean "address"?'),
        ("address =", 'port = "COM1"\naddress =', f"{FILE}:12: devices.cuff: give either port (serial) or address"),
        ('"localhost"', '"local host"', 'is not allowed here; write "host" or "host:port"'),
        ("[site]", "simulatd = true\n[site]", f'{FILE}:1: simulatd: unknown key; did you mean "simulated"?'),
        ("[site]", '[bluetooth]\nradio = "x"\n[site]', "bluetooth.radio is a simulated one; set simulated = true"),
        ('"localhost"', '"a..b"', 'broker.addresses.0: "a..b" is not allowed here; write "host" or "host:port"'),
        ('"localhost"', '"-a"', '"-a" is not allowed here; write "host" or "host:port"'),
        ('"localhost"', f'"{"a" * 64}"', 'is not allowed here; write "host" or "host:port"'),  # RFC 1035, 2.3.4
        ('"localhost"', '"host:0"', "0 is no port; write one from 1 to 65535"),
        ('"localhost"', '"host:65536"', "65536 is no port; write one from 1 to 65535"),
        ('"[::1]:1885"', '"[::1::2]:1885"', '"::1::2" is no IPv6 address; write one such as [fd00::1]'),
        ("C0:00:00:00:00:01", "C0:00:00:00:01", "is not allowed here; write it as C0:26:DA:01:02:03"),
        ("C0:00:00:00:00:01", "C0:00:00:00:00:O1", "is not allowed here; write it as C0:26:DA:01:02:03"),
        ('path = "outbox.db"', 'path = "o.db"\nmax_mib = 16', "reserve_mib (16) leaves nothing of max_mib (16); lower"),
        ('path = "outbox.db"', r'path = "o\u0000.db"', "outbox.path: a path cannot hold a null character"),
        ('path = "outbox.db"', 'path = "~nobody-of-that-name/o.db"', "the home folder of "),
        ("[devices.cuff]", '[log]\nfile = "outbox.db"\n[devices.cuff]', "log.file and outbox.path are one file"),
    ],
)
def test_f42_each_mistake_has_its_line_and_its_remedy(old: str, new: str, expected: str) -> None:
    assert old in GOOD
    assert any(expected in problem for problem in broken(GOOD.replace(old, new, 1)))


@pytest.mark.parametrize("place", ['port = "COM1"', 'address = "C0:00:00:00:00:01"'])
def test_two_devices_at_one_place_are_refused(place: str) -> None:
    twins = "".join(f'[devices.{name}]\ndriver = "nonin"\n{place}\n' for name in "ab")
    [problem] = broken(GOOD.partition("[devices")[0] + twins.replace("COM1", "com1", 1))
    assert re.search(r":17: devices\.b\.(port|address): a and b are both at", problem)


@pytest.mark.parametrize("address", ["c0:00:00:00:00:01", "5BA1A8D2-8D2E-4E5C-9C4B-0F9D2C1B7E11"])
def test_a_bluetooth_address_is_six_bytes_or_what_macos_gives(address: str) -> None:
    assert parse(GOOD.replace("C0:00:00:00:00:01", address), FILE).devices["cuff"].address == address


def test_a_wrong_address_is_told_once() -> None:
    assert len(broken(GOOD.replace('"localhost", "broker.example.org:1884", "[::1]:1885"', '"host:0"'))) == 1


def test_a_file_as_windows_own_editors_save_it(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load(file).site.id == "main-street"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("[site]", "simulatd = true\n[site]").encode())
    with pytest.raises(ConfigError, match=":1: simulatd: unknown key"):
        load(file)


def test_f42_all_mistakes_are_told_at_once() -> None:
    assert len(broken(GOOD.replace("room", "rom").replace("path", "pth"))) == 4


def test_f42_what_is_no_toml_and_no_file(tmp_path: Path) -> None:
    assert "is not TOML: " in broken("[site\n")[0]
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "latin.toml")


def test_f42_secrets_are_not_echoed() -> None:
    text = GOOD.replace("[outbox]", 'password = "hunter2"\n[outbox]')
    assert "hunter2" not in "\n".join(broken(text))


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_f43_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("x")
    secret.chmod(0o644)
    config = parse(GOOD.replace("[outbox]", f'username = "u"\npassword_file = "{secret}"\n[outbox]'), FILE)
    source = ConfigText(FILE, "")
    assert "chmod 600" in str(exposed_secrets(config, source)[0])
    secret.chmod(0o600)
    assert exposed_secrets(config, source) == []
    secret.unlink()
    assert exposed_secrets(config, source) == []
    secret.mkdir(mode=0o755)
    assert exposed_secrets(config, source) == []  # that it cannot be read is for the connection to say


KEYS = st.sampled_from(
    ["site", "id", "room", "broker", "addresses", "outbox", "path", "devices", "cuff", "tls", "x y", ""]
)
LEAVES = st.one_of(
    st.text(max_size=8), st.integers(), st.booleans(), st.floats(), st.lists(st.text(max_size=3), max_size=2)
)
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)


def toml(tree: Any) -> str:
    """Inline TOML of a tree; the test's own writer."""
    match tree:
        case dict():
            return "{" + ", ".join(f"{_quoted(k)} = {toml(v)}" for k, v in tree.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, tree)) + "]"
        case bool():
            return str(tree).lower()
        case str():
            return _quoted(tree)
        case _:
            return str(tree)


def _quoted(text: str) -> str:
    return (
        '"'
        + "".join(c if c.isalnum() and c.isascii() else f"\\u{ord(c):04x}" if ord(c) < 0x10000 else "?" for c in text)
        + '"'
    )


@given(st.dictionaries(KEYS, TREES, max_size=5))
def test_f42_no_config_whatever_ends_in_anything_but_a_sentence(tree: dict[str, Any]) -> None:
    text = "\n".join(f"{_quoted(key)} = {toml(value)}" for key, value in tree.items())
    try:
        parse(text, FILE)
    except ConfigError as error:
        assert error.problems
        assert all(p.what and p.remedy for p in error.problems)


@given(st.text(max_size=200))
def test_f42_nor_does_any_text(text: str) -> None:
    try:
        parse(text, FILE)
    except ConfigError as error:
        assert error.problems


def test_the_schema_describes_every_key() -> None:
    schema = Config.model_json_schema()
    assert tomllib.loads(GOOD).keys() <= schema["properties"].keys()
