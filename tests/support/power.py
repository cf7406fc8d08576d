"""A power cut: what of the events on a disk is there afterwards.

What was flushed is there. Of what was not, each sector of 512 bytes holds any of its contents since the last flush,
whatever its neighbours hold, so that writes are lost, torn and out of order; the file has any of its sizes since then;
a file made or deleted since the last flush of its folder is there or not. SQLite flushes the folder with the first
flush of a new journal or write-ahead log (`unixSync` in its os_unix.c).

It trusts the drive to do what it says: to keep what it was told to flush, to write a sector whole or not at all, and
to leave other sectors alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from .disk import Event

SECTOR_BYTES = 512
_JOURNALS = ("-journal", "-wal")


class Disk:
    """files: what a folder holds, by name. honest: False for a drive that answers a flush without doing it."""

    def __init__(self, files: Mapping[str, bytes], *, honest: bool = True) -> None:
        self._honest = honest
        self._files: dict[str, list[_File | None]] = {name: [_File(content)] for name, content in files.items()}
        """By name, what the folder may hold after a cut; the last is what it holds now."""

    def run(self, event: Event) -> None:
        name = Path(event.path).name
        candidates = self._files.setdefault(name, [None])
        file = candidates[-1]
        if event.kind == "create":
            candidates.append(_File(b""))
        elif event.kind == "delete":
            candidates.append(None)
            if event.at:
                self._flush_folder()
        elif file is not None:
            file.do(event)
            if event.kind == "sync" and self._honest:
                file.flush()
                if len(candidates) > 1 and name.endswith(_JOURNALS):
                    self._flush_folder()

    def after_cut(self, rng: random.Random) -> dict[str, bytes]:
        found = {path: rng.choice(candidates) for path, candidates in self._files.items()}
        return {path: file.after_cut(rng) for path, file in found.items() if file is not None}

    def _flush_folder(self) -> None:
        for candidates in self._files.values():
            del candidates[:-1]


class _File:
    def __init__(self, content: bytes) -> None:
        self._content = bytearray(content)
        self._sectors: dict[int, list[bytes]] = {}
        """The contents that a sector may have, where it was written since the last flush."""
        self._sizes = [len(content)]

    def do(self, event: Event) -> None:
        if event.kind == "write":
            end = event.at + len(event.data)
            touched = range(event.at // SECTOR_BYTES, (end - 1) // SECTOR_BYTES + 1)
        elif event.kind == "truncate":
            touched = range(event.at // SECTOR_BYTES, len(self._content) // SECTOR_BYTES + 1)
        else:
            return
        for number in touched:
            self._sectors.setdefault(number, [self._sector(number)])
        if event.kind == "write":
            self._content.extend(bytes(max(0, event.at - len(self._content))))
            self._content[event.at : end] = event.data
        else:
            del self._content[event.at :]
        for number in touched:
            self._sectors[number].append(self._sector(number))
        self._sizes.append(len(self._content))

    def flush(self) -> None:
        self._sectors.clear()
        self._sizes = [len(self._content)]

    def after_cut(self, rng: random.Random) -> bytes:
        size = rng.choice(self._sizes)
        content = self._content.ljust(size, b"\0")
        for number, versions in self._sectors.items():
            at = number * SECTOR_BYTES
            if at < size:
                content[at : at + SECTOR_BYTES] = rng.choice(versions).ljust(SECTOR_BYTES, b"\0")
        return bytes(content[:size])

    def _sector(self, number: int) -> bytes:
        return bytes(self._content[number * SECTOR_BYTES : (number + 1) * SECTOR_BYTES])
