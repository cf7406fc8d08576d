"""What SQLite asks of the disk, seen from below: a layer over SQLite's own VFS, put there through its C interface
(https://www.sqlite.org/vfs.html). It serves the very SQLite that `sqlite3` uses, so that the outbox runs as it is.

For a process of its own: the layer stays until that process ends. What is not written through SQLite, and the shared
memory of its -shm file, which is made anew after a crash, does not pass here.
"""

from __future__ import annotations

import _sqlite3
import ctypes
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from pathlib import Path
from typing import NamedTuple

OK = 0
FAILURES = {"write": 10 | 3 << 8, "sync": 10 | 4 << 8}
"""SQLITE_IOERR_WRITE and SQLITE_IOERR_FSYNC, for a watch to return."""


class Event(NamedTuple):
    """kind: create, write, truncate, sync, delete. at: an offset, a size, or 1 if the folder is flushed too."""

    kind: str
    path: str
    at: int = 0
    data: bytes = b""


Watch = Callable[[Event], int]
"""Told before it is done. A result code other than OK is returned to SQLite, and nothing is done."""

_CLOSE = CFUNCTYPE(c_int, c_void_p)
_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)
_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_DELETE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
"""Names stay pointers: behind a name lie the parameters of its URI."""


class _Methods(Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = (
        ("version", c_int),
        ("close", _CLOSE),
        ("read", c_void_p),
        ("write", _WRITE),
        ("truncate", _TRUNCATE),
        ("sync", _SYNC),
        ("others", c_void_p * 13),
    )


class _File(Structure):
    """The beginning of every sqlite3_file."""

    _fields_ = (("methods", POINTER(_Methods)),)


class _Vfs(Structure):
    """sqlite3_vfs, version 3."""

    _fields_ = (
        ("version", c_int),
        ("file_bytes", c_int),
        ("path_max", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", _OPEN),
        ("delete", _DELETE),
        ("others", c_void_p * 14),
    )


def is_possible() -> bool:
    return hasattr(ctypes.CDLL(_sqlite3.__file__), "sqlite3_vfs_register")


def lay(watch: Watch) -> object:
    """Puts the layer under every database opened from now on. Keep what it returns as long as the process lives."""
    return _Layer(watch)


class _Layer:
    """The files stay those of SQLite's own VFS; only their table of methods is exchanged for a copy with ours in it."""

    def __init__(self, watch: Watch) -> None:
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        self._watch = watch
        self._below: _Vfs = library.sqlite3_vfs_find(None).contents
        self._paths: dict[int, str] = {}
        self._tables: dict[int, _Methods] = {}
        self._vfs = _Vfs.from_buffer_copy(self._below)
        self._vfs.name, self._vfs.open, self._vfs.delete = b"watched", _OPEN(self._open), _DELETE(self._delete)
        assert library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1) == OK

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
        path = ctypes.string_at(name).decode() if name else ""
        is_new = not Path(path).exists()
        code = int(self._below.open(vfs, name, file, flags, out))
        opened = _File.from_address(file)
        if code == OK and path:
            below = opened.methods.contents
            self._paths[file] = path
            opened.methods = ctypes.pointer(self._tables.setdefault(ctypes.addressof(below), self._table(below)))
            if is_new:
                self._watch(Event("create", path))
        return code

    def _table(self, below: _Methods) -> _Methods:
        def close(file: int) -> int:
            self._paths.pop(file)
            return int(below.close(file))

        def write(file: int, data: int, size: int, offset: int) -> int:
            event = Event("write", self._paths[file], offset, ctypes.string_at(data, size))
            return self._watch(event) or int(below.write(file, data, size, offset))

        def truncate(file: int, size: int) -> int:
            return self._watch(Event("truncate", self._paths[file], size)) or int(below.truncate(file, size))

        def sync(file: int, flags: int) -> int:
            return self._watch(Event("sync", self._paths[file])) or int(below.sync(file, flags))

        table = _Methods.from_buffer_copy(below)
        table.close, table.write, table.truncate, table.sync = (
            _CLOSE(close),
            _WRITE(write),
            _TRUNCATE(truncate),
            _SYNC(sync),
        )
        return table

    def _delete(self, vfs: int, name: int, folder_too: int) -> int:
        code = int(self._below.delete(vfs, name, folder_too))
        if code == OK:
            self._watch(Event("delete", ctypes.string_at(name).decode(), int(bool(folder_too))))
        return code
