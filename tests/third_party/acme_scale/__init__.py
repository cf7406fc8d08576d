"""The Acme scale, a device invented for this example.

It sends a line for each weighing, `#0042;082.50;kg\r\n`, and again every second until the host answers `ACK 0042\r\n`;
only then does it forget the weighing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from devicebridge.sdk import (
    ByteLink,
    DeviceClockKind,
    Driver,
    Evidence,
    Frame,
    Kind,
    Manifest,
    Model,
    Name,
    Noise,
    Observation,
    Options,
    Outlet,
    Rhythm,
    SerialSpec,
    Unit,
    Value,
    Why,
)

LINE_LIMIT_BYTES = 32  # twice the longest line there is
_LINE = re.compile(rb"#(\d{4});(\d{3}\.\d\d);kg\r\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing(Frame):
    record: str


class Codec:
    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes, /) -> list[Frame | Noise]:
        self._buffer += data
        items: list[Frame | Noise] = []
        while (end := self._buffer.find(b"\n", 0, LINE_LIMIT_BYTES) + 1) or len(self._buffer) >= LINE_LIMIT_BYTES:
            line, self._buffer = self._buffer[: end or LINE_LIMIT_BYTES], self._buffer[end or LINE_LIMIT_BYTES :]
            items += _line(line) if end else [Noise(line, Why.TOO_LONG)]
        return items

    def close(self) -> list[Frame | Noise]:
        rest, self._buffer = self._buffer, b""
        return [Noise(rest, Why.INCOMPLETE)] if rest else []


def _line(line: bytes) -> list[Frame | Noise]:
    found = _LINE.search(line)
    if not found:
        return [Noise(line, Why.UNSYNCHRONISED)]
    noise: list[Frame | Noise] = [Noise(line[: found.start()], Why.UNSYNCHRONISED)] if found.start() else []
    raw, record = found[0], found[1].decode()
    weight = Observation(
        kind=Kind.WEIGHT,
        values=(Value(Name.WEIGHT, Unit.KG, Decimal(found[2].decode())),),
        record=record,
        raw=raw,
    )
    return [*noise, Weighing(raw=raw, group=(weight,), record=record)]


async def session(link: ByteLink, outlet: Outlet, _options: Options) -> None:
    codec = Codec()
    while True:
        for item in codec.feed(await link.read()):
            if isinstance(item, Weighing):
                await outlet.emit(*item.group)  # on disk when this returns,
                await link.write(f"ACK {item.record}\r\n".encode())  # and only then may the scale forget it
            elif isinstance(item, Noise):
                outlet.note(item)


DRIVER = Driver(
    manifest=Manifest(
        id="acme-scale",
        title="Acme scale",
        kinds=frozenset({Kind.WEIGHT}),
        models=(Model(name="Acme 1", evidence=Evidence.VENDOR_DOCUMENT, source="this file: the device is invented"),),
        links=(SerialSpec(baud=9600),),
        clock=DeviceClockKind.NONE,
        rhythm=Rhythm(),
        has_memory=True,
    ),
    options=Options,
    session=session,
    codec=lambda _options, _model, _characteristic: Codec(),
)
