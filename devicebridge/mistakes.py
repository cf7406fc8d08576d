"""What is wrong with a config file, in sentences: where, what, and how to mend it."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

FILE_MAX_BYTES = 1 << 20
"""A room's config has some thousand; a longer file is another."""

Location = tuple[str | int, ...]

_WORD = r"\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+"
_HEADER = re.compile(rf"\s*\[\[?\s*((?:{_WORD})(?:\s*\.\s*(?:{_WORD}))*)\s*\]")
_KEY = re.compile(rf"\s*((?:{_WORD})(?:\s*\.\s*(?:{_WORD}))*)\s*=")
_AT_LINE = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)

_REMEDIES = {
    "int_type": "write a whole number, without quotes",
    "float_type": "write a number, without quotes",
    "bool_type": "write true or false, without quotes",
    "string_type": 'write it in quotes: "..."',
    "path_type": 'write it in quotes: "..."',
    "tuple_type": 'write a list: ["..."]',
    "dict_type": "make it a table, with its name in brackets",
    "model_type": "make it a table, with its name in brackets",
    "too_short": "add one",
    "too_long": "take some out",
}
"""By pydantic's word for the mistake. The others name what is allowed themselves."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what, and what to do about it. What it quotes cannot steer a terminal."""

    where: str
    what: str
    remedy: str

    def __post_init__(self) -> None:
        for name in ("where", "what", "remedy"):
            text = "".join(c if c.isprintable() else "?" for c in getattr(self, name))
            object.__setattr__(self, name, text)

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}"


class ConfigError(Exception):
    """The configuration cannot be used. `problems` says why, one sentence each."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class ConfigText:
    """A config file as it is written, for saying where in it something stands."""

    path: Path
    text: str

    @classmethod
    def of(cls, path: Path) -> ConfigText:
        """Raises ConfigError."""
        try:
            with path.open("rb") as stream:
                data = stream.read(FILE_MAX_BYTES + 1)
        except OSError as error:
            remedy = "see that the file is there and may be read; -c names it"
            raise ConfigError([Problem(str(path), f"cannot be read ({error.strerror})", remedy)]) from None
        if len(data) > FILE_MAX_BYTES:
            raise ConfigError([Problem(str(path), "is too long for a config", "name the right file with -c")])
        try:
            return cls(path, data.decode("utf-8-sig"))  # Windows' own editors write a byte order mark
        except UnicodeDecodeError as error:
            where = f"{path}:{data[: error.start].count(10) + 1}"
            raise ConfigError([Problem(where, "is not UTF-8 text", "save the file as UTF-8")]) from None

    def place(self, location: Location) -> str:
        """ "FILE:LINE: key". What is missing belongs into its table, or at the end of the file."""
        return f"{self.path}:{self.line(location) or self._end}: {_dotted(location)}"

    def line(self, location: Location) -> int | None:
        """The line a key stands in, or the nearest table around it begins in; None where there is neither."""
        wanted = tuple(map(str, location))
        best, depth = None, 0
        for number, path in _keys_by_line(self.text):
            if path == wanted:
                return number
            if depth < len(path) and path == wanted[: len(path)]:
                best, depth = number, len(path)
        return best

    def glimpse(self, location: Location) -> Any:
        """A value that stands in one line, even where the rest of the file is broken; None where it does not."""
        lines = self.text.splitlines()
        number = next((n for n, path in _keys_by_line(self.text) if path == location), None)
        try:
            return None if number is None else next(iter(tomllib.loads(lines[number - 1]).values()))
        except (ValueError, StopIteration):
            return None

    def not_toml(self, message: str) -> Problem:
        """A TOMLDecodeError in our words."""
        found = _AT_LINE.fullmatch(message)
        what, line = (found[1], int(found[2] or self._end)) if found else (message, 1)
        return Problem(f"{self.path}:{line}", f"is not TOML: {what[:1].lower()}{what[1:]}", "mend that line")

    @property
    def _end(self) -> int:
        return max(1, len(self.text.splitlines()))


def misfit(sentence: str, *at: str) -> PydanticCustomError:
    """For validators that look at several values: "what; remedy", and the key to point at."""
    return PydanticCustomError("misfit", "{sentence}", {"sentence": sentence, "at": at})


def problems(
    error: ValidationError,
    model: type[BaseModel],
    source: ConfigText,
    prefix: Location = (),
    remedies: Mapping[str, str] | None = None,
) -> list[Problem]:
    """A validation error in sentences. prefix: where `model` stands in the file. remedies: by pattern."""
    found = []
    items = error.errors(include_url=False, include_context=True)
    for item in items:
        if item["type"] == "too_short" and any(item["loc"] == other["loc"][:-1] for other in items):
            continue  # only because none of its items is right, which is said of each
        at = item.get("ctx", {}).get("at", ())
        location = (*prefix, *item["loc"], *at)
        found.append(Problem(source.place(location), *explain(item, model, remedies or {})))
    return found


def explain(item: Mapping[str, Any], model: type[BaseModel], remedies: Mapping[str, str]) -> tuple[str, str]:
    """One of a ValidationError's errors of `model`: what is wrong, and what to do."""
    kind, location = item["type"], item["loc"]
    if kind == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        return "unknown key", f'did you mean "{near[0]}"?' if near else f"known keys are {', '.join(known)}"
    if kind == "missing":
        return "is missing", "add it"
    if kind == "string_pattern_mismatch":
        pattern = item["ctx"]["pattern"]
        return f"{_shown(item)} is not allowed here", remedies.get(pattern, f"it must match {pattern}")
    if kind in ("value_error", "misfit"):
        context = item["ctx"]
        what, _, remedy = str(context.get("sentence") or context["error"]).partition("; ")
        return what, remedy or "see the example for what may stand here"
    message = f"{item['msg'][:1].lower()}{item['msg'][1:]}"
    return f"{_shown(item)}: {message}", _REMEDIES.get(kind, "write what is allowed")


def _shown(item: Mapping[str, Any]) -> str:
    value = item.get("input")
    if not isinstance(value, str | int | float | bool):
        return "the value"
    return f'"{str(value)[:60]}"'


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that the table at `location` may hold."""
    current: Any = model
    for step in location:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(step))
            annotation = field.annotation if field else None
            current = annotation if get_origin(annotation) is dict else _table_type(annotation)
        else:
            current = _table_type(current)
    if isinstance(current, type) and issubclass(current, BaseModel):
        return sorted(current.model_fields)
    return []


def _table_type(annotation: Any) -> Any:
    """The model inside `Model | None` or `dict[str, Model]`, else the annotation."""
    candidates = [annotation, *get_args(annotation)]
    models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
    return models[0] if models else annotation


def _dotted(location: Location) -> str:
    return ".".join(map(str, location)) or "the file"


def _keys_by_line(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line, path of the table or key that begins there): a reading aid, which need not understand all of TOML."""
    table: tuple[str, ...] = ()
    quote = ""
    for number, line in enumerate(text.splitlines(), 1):
        if quote:
            quote = "" if quote in line else quote
        elif header := _HEADER.match(line):
            table = _words(header[1])
            yield number, table
        elif key := _KEY.match(line):
            yield number, (*table, *_words(key[1]))
            quote = next((q for q in ('"""', "'''") if line.count(q) == 1), "")


def _words(dotted: str) -> tuple[str, ...]:
    return tuple(word.strip("\"'") for word in re.findall(_WORD, dotted))
