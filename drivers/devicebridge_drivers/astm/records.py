"""The records of LIS2-A2 (ASTM E1394): fields, repeats and components, with the delimiters that the header names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Self

RECORD_MAX_BYTES = 4_096  # a longer one is an image or a chromatogram; what is read stands in its beginning
WORD_MAX_CHARS = 64  # no instrument's name, serial number or version is longer
_TIME = re.compile(r"(\d{12}(?:\d\d)?)(?:[+-]\d{4})?")


@dataclass(frozen=True, slots=True)
class Delimiters:
    """Those of the standard's own examples, until a header names others."""

    field: str = "|"
    repeat: str = "\\"
    component: str = "^"
    escape: str = "&"

    @classmethod
    def of_header(cls, text: str) -> Self:
        """From the four characters after "H"; the usual ones where these are no four different delimiters."""
        found = text[1:5]
        is_sound = len(set(found)) == 4 and all(c.isascii() and c.isprintable() and not c.isalnum() for c in found)
        if is_sound:
            return cls(*found)
        return cls(field=text[1]) if len(text) > 1 and not text[1].isalnum() else cls()


@dataclass(frozen=True, slots=True)
class Record:
    """One record. Fields are counted from 1 as in the standard: field 1 is the record type.

    is_whole: False where it was longer than RECORD_MAX_BYTES and its end is lost.
    """

    raw: bytes
    delimiters: Delimiters
    fields: tuple[str, ...]
    is_whole: bool = True

    @classmethod
    def read(cls, raw: bytes, delimiters: Delimiters, *, is_whole: bool = True) -> Self:
        return cls(raw, delimiters, tuple(text_of(raw).split(delimiters.field)), is_whole)

    @property
    def type(self) -> str:
        return self.fields[0]

    def field(self, number: int) -> str:
        """As sent, without blanks round it; empty where the record has no such field."""
        return self.fields[number - 1].strip() if number <= len(self.fields) else ""

    def repeats(self, number: int) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.field(number).split(self.delimiters.repeat))

    def component(self, number: int, place: int) -> str:
        """Of the field's first repeat, counted from 1, with escapes undone."""
        parts = self.repeats(number)[0].split(self.delimiters.component)
        return self.plain(parts[place - 1]) if place <= len(parts) else ""

    def components(self, number: int) -> int:
        """How many of the field's components hold something; a repeated field has no components to tell apart."""
        repeats = self.repeats(number)
        return 2 if len(repeats) > 1 else sum(bool(part) for part in repeats[0].split(self.delimiters.component))

    def plain(self, text: str) -> str:
        """Undoes the escapes that stand for delimiters; others stay as they are."""
        d = self.delimiters
        letters = {"F": d.field, "S": d.component, "R": d.repeat, "E": d.escape}
        mark = re.escape(d.escape)
        return re.sub(f"{mark}([FSRE]){mark}", lambda m: letters[m[1]], text).strip()


class Assembler:
    """Joins the text of frames and cuts it into records, which end in CR and may go on over frames that end in ETB."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_cut = False  # the record is too long; what follows up to its CR is dropped
        self._is_lost = False  # so is the end of a record whose middle is missing

    def reset(self) -> None:
        self._rest, self._is_cut, self._is_lost = b"", False, False

    def lose(self) -> None:
        """A frame is missing here: the record that was to go on in it is given up, and its end passed over."""
        self._is_lost = self._is_lost or bool(self._rest)
        self._rest, self._is_cut = b"", False

    def add(self, text: bytes, *, is_final: bool) -> list[tuple[bytes, bool]]:
        """The records now complete, each with whether it is whole. is_final: the last ends here, CR or not."""
        *ended, rest = text.replace(b"\n", b"").split(b"\r")
        out = []
        for part in [*ended, rest] if is_final else ended:
            self._grow(part)
            if self._rest and not self._is_lost:
                out.append((self._rest, not self._is_cut))
            self.reset()
        if not is_final:
            self._grow(rest)
        return out

    def _grow(self, part: bytes) -> None:
        if not self._is_cut:
            self._rest += part
        if len(self._rest) > RECORD_MAX_BYTES:
            self._rest, self._is_cut = self._rest[:RECORD_MAX_BYTES], True


def text_of(raw: bytes) -> str:
    """UTF-8 where it is, else ISO 8859-1, which the standard names."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def word(text: str, limit: int = WORD_MAX_CHARS) -> str | None:
    """Device text made safe to keep: printable, no blanks round it, bounded; None where nothing is left."""
    return "".join(filter(str.isprintable, text)).strip()[:limit] or None


def time_of(text: str) -> datetime | None:
    """YYYYMMDDHHMM or YYYYMMDDHHMMSS, local, with or without its distance from UTC (+HHMM); None for all else."""
    found = _TIME.fullmatch(text) if text.isascii() else None
    if found is None:
        return None
    try:
        return datetime.strptime(found[1].ljust(14, "0"), "%Y%m%d%H%M%S")  # noqa: DTZ007 - a device's clock knows no zone
    except ValueError:
        return None
