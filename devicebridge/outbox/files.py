"""The three small files beside the database: a lock against a second daemon, a reserve of disk space, and the highest
sequence number ever committed."""

from __future__ import annotations

import os
import shutil
import sys
import zlib
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from .model import Fault, OutboxFailed

CHUNK_BYTES = 64 * 1024
"""Written at a time while the reserve is made."""


class FileLock:
    """Held as long as the process lives; the operating system lets go of it after any crash."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def acquire(self) -> None:
        """Raises OutboxFailed: LOCKED when another process, or another opener here, has it."""
        file = self._path.open("ab")
        try:
            _lock(file)
        except OSError:
            file.close()
            raise OutboxFailed(Fault.LOCKED) from None
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Reserve:
    """Disk space set aside, because on a full disk SQLite can neither mark nor delete a row."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self.whole = False
        """In place, as far as we know."""

    def restore(self) -> bool:
        """True when the reserve is in place. Asks for twice its size free, so that making it does not fill the disk."""
        if self.whole:
            return True
        if _size(self._path) == self._size_bytes:
            self.whole = True
        elif not self.is_needed():
            self.whole = self._make()
        return self.whole

    def is_needed(self) -> bool:
        return shutil.disk_usage(self._path.parent).free < 2 * self._size_bytes

    def release(self) -> None:
        self.whole = False
        with suppress(FileNotFoundError):
            self._path.unlink()

    def _make(self) -> bool:
        try:
            with self._path.open("wb") as file:
                left = self._size_bytes
                while left > 0:  # random, because zeros take no room on a compressing file system
                    left -= file.write(os.urandom(min(CHUNK_BYTES, left)))
        except OSError:
            self.release()
            return False
        return True


@dataclass(frozen=True, slots=True)
class HighWater:
    instance_id: str
    seq: int


class HighWaterFile:
    """The highest sequence number committed, written after each commit and never flushed on its own.

    It shows that rows are missing when the database came back without its -wal file, empty, or from an old copy: SQLite
    itself calls such a database sound. As it is written after the commit it never claims too much. After a power cut it
    may lag by the last commits, and it cannot see a loss when it was itself replaced by an old copy.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None

    def read(self) -> HighWater | None:
        """None when there is none, or none to be trusted."""
        try:
            text, _, check = self._path.read_text("ascii").strip().rpartition(" ")
            instance_id, seq = text.split(" ")
            if int(check, 16) != zlib.crc32(text.encode()):
                return None
            return HighWater(instance_id, int(seq))
        except (OSError, ValueError):
            return None

    def write(self, mark: HighWater) -> None:
        if self._file is None:
            self._path.touch()
            self._file = self._path.open("r+b", buffering=0)
        text = f"{mark.instance_id} {mark.seq:020d}"
        self._file.seek(0)
        self._file.write(f"{text} {zlib.crc32(text.encode()):08x}\n".encode())

    def close(self) -> None:
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
