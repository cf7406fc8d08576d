"""devicebridge decode: bytes in, one JSON object a line out."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from .. import readings
from ..ekg.strip import strip_message
from ..sdk.codec import Codec, Frame, Noise
from ..sdk.driver import Driver
from ..sdk.values import Observation
from .drivers import load_driver
from .errors import EX_DATAERR, EX_USAGE, CommandError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("driver", metavar="DRIVER")
    parser.add_argument("--characteristic", metavar="UUID", help="Bluetooth LE: whose value it is, 2A35 or in full")
    parser.add_argument("--model", help="the device's model or name, where its quirks depend on it")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="a driver option")
    parser.add_argument("--text", action="store_true", help="the arguments are text, not hexadecimal")
    parser.add_argument("--json", action="store_true", help="always on; here for likeness with other commands")
    parser.add_argument("bytes", nargs="+", metavar="HEX", help='or "-" to read them from standard input')


def run(args: argparse.Namespace) -> int:
    driver = load_driver(args.driver)
    options = _options(driver, args.option)
    characteristic = _characteristic(driver, args.characteristic)
    for piece in _pieces(args, per_value=characteristic is not None and characteristic not in driver.streams):
        codec = driver.codec(options, args.model, characteristic)
        for line in decoded(codec, piece):
            print(readings.to_json(line))
    return 0


def decoded(codec: Codec, data: bytes) -> Iterator[Mapping[str, Any]]:
    """What the codec makes of the bytes, to the last of them."""
    for item in [*codec.feed(data), *codec.close()]:
        if isinstance(item, Noise):
            yield {"noise": item.raw.hex(), "why": item.why}
        elif item.group:
            yield from map(_group, item.group)
        else:
            yield {"frame": {"raw": item.raw.hex(), **_fields(item)}}


def _group(observation: Observation) -> Mapping[str, Any]:
    normals = [readings.normalize(value) for value in observation.values]
    line: dict[str, Any] = {
        "group": [_value(normal) for normal in normals],
        "kind": observation.kind,
        "status": sorted(observation.status),
        "quality": readings.quality(observation, normals),
        "device_time": observation.device_time,
        "origin": observation.origin,
    }
    if observation.context:
        line["context"] = sorted(observation.context)
    if observation.record is not None:
        line["record"] = observation.record
    if observation.device_user is not None:
        line["device_user"] = observation.device_user
    if observation.strip is not None:
        line["strip"] = strip_message(observation.strip).model_dump()
    return line


def _value(normal: readings.Normal) -> Mapping[str, Any]:
    named = {"name": normal.name, **({"code": normal.wire.code} if normal.wire.code else {})}
    if normal.wire.text is not None:
        return {**named, "text": normal.wire.text, "unit": normal.unit}
    if normal.value is None:
        return {**named, "absent": normal.absent, "unit": normal.unit}
    assert normal.wire.value is not None
    raw = {"value": readings.digits(normal.wire.value), "unit": normal.wire.unit}
    bound = {"comparator": normal.comparator} if normal.comparator else {}
    return {**named, "value": normal.value, **bound, "unit": normal.unit, "raw": raw}


def _fields(frame: Frame) -> Mapping[str, Any]:
    names = [f.name for f in dataclasses.fields(frame) if f.name not in ("raw", "group", "wave")]
    fields = {"type": type(frame).__name__, **{name: _plain(getattr(frame, name)) for name in names}}
    return fields | {"wave": _plain(frame.wave)} if frame.wave else fields


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return value.value if isinstance(value.value, str | int) else value.name
        case bytes():
            return value.hex()
        case Mapping():
            return {str(_plain(key)): _plain(item) for key, item in value.items()}
        case frozenset() | set():
            return sorted(map(str, map(_plain, value)))
        case tuple() | list():
            return [_plain(item) for item in value]
        case None | bool() | int() | float() | str() | Decimal() | datetime():
            return value
        case _ if dataclasses.is_dataclass(value):
            return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        case _:
            return str(value)


def _options(driver: Driver[Any], pairs: Iterable[str]) -> Any:
    from pydantic import ValidationError

    table = dict(pair.partition("=")[::2] for pair in pairs)
    try:
        return driver.options.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        known = ", ".join(driver.options.model_fields)
        raise CommandError(f"--option {where}: {first['msg']}; options are: {known}", EX_USAGE) from None


def _characteristic(driver: Driver[Any], given: str | None) -> str | None:
    if not driver.characteristics:
        return None
    if given is None:
        return driver.default_characteristic
    word = given.strip().lower().removeprefix("0x")
    return f"0000{word}-0000-1000-8000-00805f9b34fb" if len(word) == 4 else word


def _pieces(args: argparse.Namespace, *, per_value: bool) -> Iterator[bytes]:
    """A stream is one piece however it is written; from standard input GATT values come one a line."""
    from_stdin = args.bytes == ["-"]
    if from_stdin and sys.stdin is None:
        raise CommandError("standard input is closed; give the bytes as arguments", EX_USAGE)
    if args.text:
        yield sys.stdin.buffer.read() if from_stdin else _text(" ".join(args.bytes))
    elif from_stdin and per_value:
        yield from (_hex(line) for line in sys.stdin if line.strip())
    else:
        yield _hex(sys.stdin.read() if from_stdin else " ".join(args.bytes))


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex("".join(word.removeprefix("0x") for word in text.replace(":", " ").split()))
    except ValueError:
        raise CommandError("the bytes are not hexadecimal; write them as 0a1b2c, or use --text", EX_DATAERR) from None


def _text(text: str) -> bytes:
    r"""Text with the escapes \r, \n and \x02 for what a keyboard lacks."""
    try:
        return text.encode("latin-1").decode("unicode_escape").encode("latin-1")
    except UnicodeError:
        sentence = r"the text has a character or an escape that is no byte; write such bytes as \x02"
        raise CommandError(sentence, EX_DATAERR) from None
