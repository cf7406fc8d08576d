"""The [devices] tables of a config file, added and taken out again with everything else left as it is.

The new text is checked whole before it takes the old one's place; that happens at once, or not at all, whatever ends
the program; the old file stays beside it as FILE.bak. What cannot be done without a guess is not done.
"""

from __future__ import annotations

import codecs
import os
import shutil
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from ..assemble import device_problems
from ..config import Config, DeviceConfig, parse
from ..mistakes import ConfigError, ConfigText
from ..outbox import OutboxFailed
from ..outbox.files import FileLock

REPLACE_TRIES, REPLACE_AGAIN_S = 20, 0.1
"""Windows replaces no file that somebody has open, as the daemon or a virus scanner has for a moment."""


class Unwritable(Exception):
    """The file was left as it is: one sentence with its remedy."""


class ConfigEditor:
    """As it was read; written only if it still is."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError for a file that is no good config as it stands."""
        self._path = path.resolve()  # a link stays a link
        self._shown = path
        self._text = ConfigText.of(self._path).text
        self.config = self._checked(self._text)

    def check_writable(self) -> None:
        """Before a person goes to any trouble. Raises Unwritable."""
        with self._alone():
            pass

    def add(self, name: str, device: DeviceConfig) -> None:
        """Raises Unwritable, ConfigError."""
        table = device.model_dump(exclude_defaults=True, exclude_none=True, mode="json")
        if name in self.config.devices:
            raise Unwritable(f'there is a device "{name}" already; choose another name')
        tree = tomllib.loads(self._text)
        tree.setdefault("devices", {})[name] = table
        self._replace(_with(self._text, name, table), tree, _by_hand("add", name, table))

    def remove(self, name: str) -> None:
        """Raises Unwritable, ConfigError; KeyError where there is no such device."""
        tree = tomllib.loads(self._text)
        table = tree["devices"].pop(name)
        if not tree["devices"]:
            del tree["devices"]
        self._replace([_without(self._text, name)], tree, _by_hand("take out", name, table))

    def _replace(self, texts: Iterable[str], tree: Mapping[str, Any], remedy: str) -> None:
        """texts: ways to write it. tree: what it must mean; a text that means anything else is not written."""
        text = next((text for text in texts if _means(text, tree)), None)
        if text is None:
            raise Unwritable(f"{self._shown} is written in a way that cannot be changed here; {remedy}")
        self._checked(text)
        with self._alone():
            self._write(text)

    def _write(self, text: str) -> None:
        present = self._path.read_bytes()
        bom = codecs.BOM_UTF8 if present.startswith(codecs.BOM_UTF8) else b""
        if present != bom + self._text.encode():
            raise Unwritable(f"{self._shown} was changed by somebody else meanwhile; try again")
        _write_whole(self._path.with_name(f"{self._path.name}.bak"), present, like=self._path)
        _write_whole(self._path, bom + text.encode(), like=self._path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Of two that write at once the second is told; a lock of a run that was killed holds nobody up."""
        file = self._path.with_name(f"{self._path.name}.lock")
        lock = FileLock(file)
        try:
            lock.acquire()
            try:
                yield
            finally:
                lock.release()
                with suppress(OSError):  # on Windows, where the next one has it open already
                    file.unlink()
        except OutboxFailed:
            raise Unwritable(f"{self._shown} is being changed by another program just now; try again") from None
        except OSError as error:
            remedy = "run this as the user who may change it"
            raise Unwritable(f"{self._shown} cannot be written ({error.strerror}); {remedy}") from None

    def _checked(self, text: str) -> Config:
        config = parse(text, self._shown)
        if problems := device_problems(config, ConfigText(self._shown, text)):
            raise ConfigError(problems)
        return config


def _with(text: str, name: str, table: Mapping[str, Any]) -> Iterator[str]:
    """The ways to write it: a table of its own at the end, or into a table that is written on one line."""
    newline = "\r\n" if "\r\n" in text else "\n"
    block = _block(name, table).replace("\n", newline)
    ending = "" if not text or text.endswith("\n") else newline
    yield f"{text}{ending}{newline}{block}"
    with suppress(TOMLKitError):
        document: Any = tomlkit.parse(text)
        document["devices"][name] = table
        yield tomlkit.dumps(document)


def _block(name: str, table: Mapping[str, Any]) -> str:
    document = tomlkit.document()
    devices = tomlkit.table(is_super_table=True)
    devices.append(name, tomlkit.item(table))
    document.append("devices", devices)
    return tomlkit.dumps(document)


def _without(text: str, name: str) -> str:
    """By lines: from the table's header to its last key. Comments around it stay."""
    kept: list[str] = []
    held: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if path := _header(line):
            inside = path[:2] == ["devices", name]
            kept += held
            held = []
        if not inside:
            kept.append(line)
        elif not line.strip() or line.lstrip().startswith("#"):
            held.append(line)
        else:
            held = []
    if inside and not held:  # it stood last, after an empty line
        while len(kept) > 1 and not kept[-1].strip():
            kept.pop()
    return "".join(kept + held)


def _header(line: str) -> list[str]:
    """The path of a table's header; empty for any other line."""
    if not line.lstrip().startswith("["):
        return []
    try:
        tree: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return []
    path: list[str] = []
    while isinstance(tree, dict) and len(tree) == 1:
        ((step, tree),) = tree.items()
        path.append(step)
    return path


def _means(text: str, tree: Mapping[str, Any]) -> bool:
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return {"devices": {}, **found} == {"devices": {}, **tree}


def _by_hand(what: str, name: str, table: Mapping[str, Any]) -> str:
    lines = filter(None, _block(name, table).splitlines())
    return f"{what} these lines by hand: {' / '.join(lines)}"


def _write_whole(path: Path, data: bytes, *, like: Path) -> None:
    """In one step, on disk before it takes the place of what was there; with the mode and owner of `like`."""
    partial = path.with_name(f"{path.name}.new")
    partial.unlink(missing_ok=True)  # of a run that was killed
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        shutil.copymode(like, partial)
        _copy_owner(like, partial)
        _take_place(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _take_place(partial: Path, path: Path) -> None:
    for _ in range(REPLACE_TRIES - 1):
        with suppress(PermissionError):
            partial.replace(path)
            return
        time.sleep(REPLACE_AGAIN_S)
    partial.replace(path)


def _copy_owner(like: Path, path: Path) -> None:
    if hasattr(os, "chown"):
        owner = like.stat()
        with suppress(PermissionError):  # only root may give a file away; then it is ours, as it was
            os.chown(path, owner.st_uid, owner.st_gid)


def _sync_folder(folder: Path) -> None:
    """So that the new name survives a power cut; Windows has nothing of the kind, nor have some network shares."""
    if os.name == "nt":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
