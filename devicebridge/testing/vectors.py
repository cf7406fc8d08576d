"""A driver's vectors: bytes from public sources with what they say, in `vectors.json` of the driver's folder.

    {"vectors": [{"id", "kind", "source", "hex", "expected", and where needed "characteristic", "model", "options"}]}

`expected` lists what the codec gives for these bytes, or is the one thing where a value is a whole. Each is
{"kind", "values", ...} for a reading, with values as they are published; {"noise": why}; or {"frame": true} with the
fields of a recognised frame that says nothing by itself. What is not named is not compared; "unit" is that of the
first value, "rows" are the samples of an EKG.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources.abc import Traversable
from typing import Any

from .. import readings
from ..sdk.codec import Frame, Noise
from ..sdk.driver import Driver
from ..sdk.values import Observation
from ..sdk.wave import Wave

KINDS = frozenset({"capture", "spec", "standard", "test", "derived", "trap"})
"""Where bytes come from: hardware, an example in a manual or a standard, another project's test, made by hand from the
manual, or a public example of what must not be believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    id: str
    kind: str
    source: str
    data: bytes
    expected: tuple[Mapping[str, Any], ...]
    characteristic: str | None = None
    model: str | None = None
    options: Mapping[str, Any]


def load(folder: Traversable) -> list[Vector]:
    """Raises FileNotFoundError, KeyError, ValueError."""
    table = json.loads(folder.joinpath("vectors.json").read_text(encoding="utf-8"))
    return [_vector(row) for row in table["vectors"]]


def check(driver: Driver[Any], vector: Vector) -> None:
    """Raises AssertionError unless the driver's codec reads the vector as it says."""
    options = driver.options.model_validate(dict(vector.options))
    characteristic = vector.characteristic or driver.default_characteristic
    codec = driver.codec(options, vector.model, characteristic)
    items = [*codec.feed(vector.data), *codec.close()]
    found = [_describe(item, expected) for item, expected in zip(items, vector.expected, strict=False)]
    assert len(items) == len(vector.expected), (
        f"{driver.manifest.id}, vector {vector.id}: {len(vector.expected)} items expected, {len(items)} found: {items}"
    )
    for number, (got, expected) in enumerate(zip(found, vector.expected, strict=True)):
        wanted = {key: _comparable(value) for key, value in expected.items()}
        assert got == wanted, f"{driver.manifest.id}, vector {vector.id}, item {number}: {wanted} expected, got {got}"


def _vector(row: Mapping[str, Any]) -> Vector:
    expected: Sequence[Mapping[str, Any]] = row["expected"] if isinstance(row["expected"], list) else [row["expected"]]
    return Vector(
        id=row["id"],
        kind=row["kind"],
        source=row["source"],
        data=bytes.fromhex(row["hex"]),
        expected=tuple(expected),
        characteristic=row.get("characteristic"),
        model=row.get("model"),
        options=row.get("options", {}),
    )


def _describe(item: Frame | Noise, expected: Mapping[str, Any]) -> dict[str, Any]:
    """The item in the words that `expected` uses, and no others."""
    if isinstance(item, Noise):
        words: dict[str, Any] = {"noise": item.why.value}
    elif item.group:
        words = _reading(item.group[0])
    else:
        words = {"frame": True, **{name: getattr(item, name, None) for name in expected if name != "frame"}}
        words |= _wave(item.wave) if item.wave else {}
    return {key: _comparable(value) for key, value in words.items() if key in expected or key in ("noise", "frame")}


def _reading(observation: Observation) -> dict[str, Any]:
    normals = [readings.normalize(value) for value in observation.values]
    return {
        "kind": observation.kind.value,
        "values": {n.name.value: _value(n) for n in normals},
        "unit": normals[0].unit.value if normals else None,
        "rows": [list(row) for row in observation.strip.rows] if observation.strip else None,
        "status": [status.value for status in observation.status],
        "device_time": observation.device_time,
        "origin": observation.origin.value,
        "comparator": next((str(n.comparator) for n in normals if n.comparator), None),
        "code": next((n.wire.code for n in normals if n.wire.code), None),
        "context": sorted(observation.context),
        "record": observation.record,
        "device_user": observation.device_user,
    }


def _wave(wave: Wave) -> dict[str, Any]:
    return {
        "rows": [list(row) for row in wave.rows],
        "first_index": wave.first_index,
        "after_unknown_gap": wave.after_unknown_gap,
        "leads_off": sorted(wave.leads_off),
        "leads": list(wave.format.leads),
        "rate_hz": str(wave.format.rate_hz),
        "scale": str(wave.format.scale),
        "wave_unit": wave.format.unit.value,
    }


def _value(normal: readings.Normal) -> Any:
    """As vectors write it: a number, a coded text, or the reason of an absence."""
    if normal.absent:
        return {"absent": normal.absent.value}
    if normal.wire.text is not None:
        return normal.wire.text
    return normal.value


def _comparable(value: Any) -> Any:
    """Numbers by value, times as text, lists in order of their elements."""
    if isinstance(value, Mapping):
        return {key: _number(inner) if isinstance(inner, str) else inner for key, inner in value.items()}
    if isinstance(value, list):
        return value if value and isinstance(value[0], list) else sorted(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


def _number(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except ArithmeticError:
        return text
