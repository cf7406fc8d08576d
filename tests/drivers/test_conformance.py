"""Every driver that is installed, ours or not, against the conformance suite; and the suite against bad drivers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from pydantic import ConfigDict

from devicebridge.sdk import ByteLink, Frame, LinkLost, Noise, Options, Outlet
from devicebridge.testing import conformance
from devicebridge.testing.suite import test_conformance
from devicebridge_drivers.nonin import DRIVER
from devicebridge_drivers.nonin.codec import Codec
from devicebridge_simulators.nonin import SIMULATOR

__all__ = ["test_conformance"]


class LosesBytes(Codec):
    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        return [item for item in super().feed(data) if isinstance(item, Frame)]


class KeepsJunk(Codec):
    """Waits for a start byte for ever."""

    def __init__(self) -> None:
        super().__init__("auto")
        self._kept = b""

    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        self._kept += data
        return []


class ByTheChunk(Codec):
    """Takes what arrives in one piece for a whole."""

    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        return [*super().feed(data), *super().close()]


async def every_second(link: ByteLink, outlet: Outlet, _: Options) -> None:
    """Charts a stream sample by sample."""
    codec = Codec("auto")
    while True:
        for item in codec.feed(await link.read()):
            if isinstance(item, Frame):
                await outlet.emit(*item.group)


async def what_is_left(link: ByteLink, outlet: Outlet, _: Options) -> None:
    """When the line is lost, makes a reading of what it happens to have."""
    codec, last = Codec("auto"), None
    try:
        while True:
            for item in codec.feed(await link.read()):
                last = item if isinstance(item, Frame) and item.group else last
    finally:
        if last:
            await outlet.emit(*last.group)


async def deaf_to_cancellation(link: ByteLink, outlet: Outlet, _: Options) -> None:
    while True:
        try:
            await link.read()
        except asyncio.CancelledError:
            await asyncio.sleep(1)
        except LinkLost:
            return


class Thawed(Options):
    model_config = ConfigDict(frozen=False)


class Demanding(Options):
    wanted: int


def _with(codec: type[Codec], *arguments: Any) -> Any:
    return replace(DRIVER, codec=lambda *_: codec(*arguments))


SPOT, TWO = SIMULATOR.scenarios["spot"], SIMULATOR.scenarios["two-fingers"]


@pytest.mark.parametrize(
    ("check", "wrong"),
    [
        (lambda: conformance.check_stream_codec(_with(LosesBytes, "auto"), SPOT), "lost, doubled"),
        (lambda: conformance.check_junk(_with(KeepsJunk)), "keeps"),
        (lambda: conformance.check_stream_codec(_with(ByTheChunk, "auto"), SPOT), "byte by byte"),
        (lambda: conformance.check_over_tcp(replace(DRIVER, session=every_second), SPOT), "over socket://"),
        (lambda: conformance.check_unplugged(replace(DRIVER, session=what_is_left), TWO), "unplugged after"),
        (lambda: conformance.check_silent(replace(DRIVER, session=deaf_to_cancellation), SPOT), "cancelled"),
        (lambda: conformance.check_options(replace(DRIVER, options=Thawed)), "frozen"),
        (lambda: conformance.check_options(replace(DRIVER, options=Demanding)), "no default"),
    ],
)
def test_the_suite_finds_a_bad_driver(check: Callable[[], None], wrong: str) -> None:
    with pytest.raises(AssertionError, match=wrong):
        check()


def test_the_suite_finds_a_vector_whose_id_another_one_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "twice"
    package.mkdir()
    (package / "__init__.py").touch()
    row = {"id": "line", "kind": "spec", "source": "a manual", "hex": "00", "expected": [{"noise": "unsynchronised"}]}
    (package / "vectors.json").write_text(json.dumps({"vectors": [row, row]}))
    monkeypatch.syspath_prepend(tmp_path)

    class Twice(conformance.Installed):
        @property
        def entry(self) -> EntryPoint:
            return EntryPoint("nonin", "twice:DRIVER", "devicebridge.drivers")

    with pytest.raises(AssertionError, match=r"more than once: \['line'\]"):
        conformance.check_vectors(Twice("nonin"))
