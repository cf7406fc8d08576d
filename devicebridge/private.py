"""Whether others on this PC can read a secret file: by its mode, or on Windows by its access list.

The reading of access lists is tried on lists alone; the call that fetches them has been run on no Windows yet.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path

_ACE = re.compile(r"\(([^;()]*);([^;()]*);([^;()]*);[^;()]*;[^;()]*;([^;()]*)(?:;[^()]*)?\)")
_TRUSTED = frozenset({"SY", "BA", "CO", "OW", "LS", "NS", "S-1-5-18", "S-1-5-32-544", "S-1-5-19", "S-1-5-20"})
"""The system, the administrators, the owner and the service accounts, who can read everything of the service's."""
_SERVICE_SID = "S-1-5-80-"
_READING_WORDS = frozenset({"FA", "FR", "GA", "GR", "CC"})
_READING_BITS = 0x0000_0001 | 0x1000_0000 | 0x8000_0000
"""FILE_READ_DATA, GENERIC_ALL, GENERIC_READ."""


def others_can_read(path: Path) -> bool:
    """False where it is no file, or cannot be looked at: that is for whoever needs it to say."""
    if sys.platform == "win32":
        return path.is_file() and _sddl_lets_others_read(_sddl(path))
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & (stat.S_IRWXG | stat.S_IRWXO))


def remedy(path: Path) -> str:
    if os.name == "nt":
        return f'run: icacls "{path}" /inheritance:r /grant:r *S-1-5-18:R *S-1-5-32-544:F'
    return f"run: chmod 600 {path}"


def _sddl_lets_others_read(sddl: str | None) -> bool:
    """Of a security descriptor as text ([MS-DTYP] 2.5.1). None: it could not be had, as where there are no rights."""
    if sddl is None:
        return False
    owner = re.search(r"O:(S-[0-9-]+|[A-Z]{2})", sddl)
    _, found, dacl = sddl.partition("D:")
    if not found or dacl.startswith("NO_ACCESS_CONTROL"):
        return True
    trusted = _TRUSTED | ({owner[1]} if owner else set())
    return any(
        kind in ("A", "XA") and "IO" not in flags and _reads(rights) and not _is_trusted(sid, trusted)
        for kind, flags, rights, sid in _ACE.findall(dacl.partition("S:")[0])
    )


def _is_trusted(sid: str, trusted: frozenset[str]) -> bool:
    return sid in trusted or sid.startswith(_SERVICE_SID)


def _reads(rights: str) -> bool:
    if rights.startswith("0x"):
        return bool(int(rights, 16) & _READING_BITS)
    return not _READING_WORDS.isdisjoint(rights[i : i + 2] for i in range(0, len(rights), 2))


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _OWNER_AND_DACL = 0x1 | 0x4
    _SE_FILE_OBJECT = 1

    def _sddl(path: Path) -> str | None:
        advapi, kernel = ctypes.WinDLL("advapi32"), ctypes.WinDLL("kernel32")
        kernel.LocalFree.argtypes = (ctypes.c_void_p,)
        descriptor, text = ctypes.c_void_p(), wintypes.LPWSTR()
        failed = advapi.GetNamedSecurityInfoW(
            str(path), _SE_FILE_OBJECT, _OWNER_AND_DACL, None, None, None, None, ctypes.byref(descriptor)
        )
        if failed:
            return None
        try:
            if not advapi.ConvertSecurityDescriptorToStringSecurityDescriptorW(
                descriptor, 1, _OWNER_AND_DACL, ctypes.byref(text), None
            ):
                return None
            return text.value
        finally:
            kernel.LocalFree(descriptor)
            kernel.LocalFree(text)

else:

    def _sddl(path: Path) -> str | None:
        raise NotImplementedError
