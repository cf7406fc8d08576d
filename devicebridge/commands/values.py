"""Each value of a config, and where it came from. Nothing but the file and the defaults has a say: no environment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from .. import registry
from ..config import Config, DeviceConfig
from ..mistakes import ConfigText, Location

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Value:
    """source: "FILE:LINE" or "default". about: what it is for."""

    key: str
    value: Any
    source: str
    about: str

    def __str__(self) -> str:
        shown = "none" if self.value is None else json.dumps(self.value, ensure_ascii=False)
        return f"     {self.key} = {shown}  ({self.source})"


def values(config: Config, source: ConfigText) -> Iterator[Value]:
    """In the order of the schema; a device's options with its driver's defaults. Drivers must have been checked."""
    yield from _of_table(config, (), source)


def _of_table(table: BaseModel, at: Location, source: ConfigText) -> Iterator[Value]:
    for name, field in type(table).model_fields.items():
        value, here = getattr(table, name), (*at, name)
        if isinstance(table, DeviceConfig) and name == "options":
            value = registry.driver(table.driver).options.model_validate(value)
        if isinstance(value, BaseModel):
            yield from _of_table(value, here, source)
        elif isinstance(value, Mapping):
            for key, item in value.items():
                yield from _of_table(item, (*here, key), source)
        else:
            line = source.line(here) if name in table.model_fields_set else None
            origin = DEFAULT if line is None else f"{source.path}:{line}"
            plain = table.model_dump(mode="json", include={name})[name]
            yield Value(".".join(map(str, here)), plain, origin, " ".join((field.description or "").split()))
