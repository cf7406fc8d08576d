"""The time zone this PC is set to, by its IANA name.

The call on Windows is that of its own ICU (icu.dll, Windows 10 version 1903 and later), run on no Windows yet; where it
fails a person is asked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def local_zone(environment: Mapping[str, str] = os.environ, etc: Path = Path("/etc")) -> str | None:
    """None where it cannot be told, or this Python's zone data lacks it."""
    if sys.platform == "win32":
        candidates = [_of_windows()]
    else:
        candidates = [environment.get("TZ", "").lstrip(":"), _linked(etc / "localtime"), _written(etc / "timezone")]
    return next((name for name in candidates if name and is_zone(name)), None)


def is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _linked(file: Path) -> str:
    """/etc/localtime is a link into the zone data on most Linux and on macOS."""
    try:
        return str(file.readlink()).partition("zoneinfo/")[2]
    except OSError:
        return ""


def _written(file: Path) -> str:
    """Debian's."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


if sys.platform == "win32":
    import ctypes

    _NAME_MAX = 128

    def _of_windows() -> str:
        name, status = ctypes.create_unicode_buffer(_NAME_MAX), ctypes.c_int(0)
        try:
            ctypes.CDLL("icu.dll").ucal_getDefaultTimeZone(name, _NAME_MAX, ctypes.byref(status))
        except (OSError, AttributeError):
            return ""
        return name.value if status.value <= 0 else ""

else:

    def _of_windows() -> str:
        raise NotImplementedError
