"""The conformance suite: what every driver and its simulator must hold to, ours and anybody's.

    @pytest.mark.parametrize("case", cases(), ids=str)
    def test_conformance(case): case.run()

Each check is a function that raises AssertionError with a sentence that says what is wrong.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from typing import Any

from .. import registry
from ..sdk.codec import Codec, Frame, Noise
from ..sdk.driver import Driver, Options
from ..sdk.simulation import GattScenario, GattSimulator, SerialScenario, SerialSimulator, Simulator, links
from ..sdk.values import Status
from ..sdk.wave import Row
from . import injectors, vectors
from .trials import (
    Outcome,
    expectation,
    play_in_memory,
    play_over_pty,
    play_over_radio,
    play_over_tcp,
    record,
)

HELD_MAX_BYTES = 16_384  # what a codec may keep back: more than any device's longest record
JUNK_BYTES = 1 << 20
GARBAGE = (b"\x00" * 40, b"\xff" * 40, b"+++\r\nOK\r\n", random.Random(7).randbytes(97))
EVERY_OFFSET_BELOW = 300  # a longer scenario is cut at this many places, spread over it
FLIPS = 60
SILENCES = 8
REAL_CUTS = 5


@dataclass(frozen=True, slots=True)
class Installed:
    """A driver by its name. The properties raise RegistryError where what is installed cannot be used."""

    id: str

    @property
    def driver(self) -> Driver[Any]:
        return registry.driver(self.id)

    @property
    def entry(self) -> EntryPoint:
        return next(e for e in entry_points(group=registry.DRIVERS) if e.name == self.id)

    @property
    def simulator(self) -> Simulator:
        try:
            return registry.simulator(self.id)
        except KeyError:
            raise AssertionError(f"{self.id}: there is no simulator of this name") from None


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    run: Callable[[], None]

    def __str__(self) -> str:
        return self.name


def cases() -> list[Case]:
    """A case for each thing to be tried of each driver installed."""
    return [case for driver_id in registry.names(registry.DRIVERS) for case in _cases(Installed(driver_id))]


def _cases(installed: Installed) -> Iterator[Case]:
    name = installed.id
    yield Case(f"{name}-identity", partial(check_identity, installed))
    try:
        driver, simulator = installed.driver, installed.simulator
    except (registry.RegistryError, AssertionError):
        return  # which the first case reports
    yield Case(f"{name}-options", partial(check_options, driver))
    yield Case(f"{name}-vectors", partial(check_vectors, installed))
    for link in links(simulator):
        yield from _gatt_cases(installed, link) if isinstance(link, GattSimulator) else _serial_cases(driver, link)


def _gatt_cases(installed: Installed, simulator: GattSimulator) -> Iterator[Case]:
    name, driver = installed.id, installed.driver
    yield Case(f"{name}-codec", partial(check_value_codec, driver))
    for number, characteristic in enumerate(driver.streams):
        yield Case(f"{name}-codec-junk-{number}", partial(check_junk, driver, characteristic))
        yield Case(f"{name}-codec-cut-{number}", partial(check_cut_values, installed, characteristic))
    for title, scenario in simulator.scenarios.items():
        yield Case(f"{name}-radio-{title}", partial(check_over_radio, driver, simulator, scenario))


def _serial_cases(driver: Driver[Any], simulator: SerialSimulator) -> Iterator[Case]:
    name = driver.manifest.id
    yield Case(f"{name}-codec-junk", partial(check_junk, driver))
    for title, scenario in simulator.scenarios.items():
        for check in SERIAL_CHECKS:
            label = check.__name__.removeprefix("check_").replace("_", "-")
            yield Case(f"{name}-{label}-{title}", partial(check, driver, scenario))
        if sys.platform != "win32":
            yield Case(f"{name}-over-pty-{title}", partial(check_over_pty, driver, scenario))


def check_identity(installed: Installed) -> None:
    """One id for entry point, manifest, folder and simulator; a manifest that says what it must."""
    name, driver, simulator = installed.id, installed.driver, installed.simulator
    manifest = driver.manifest
    assert manifest.id == name, f"{name}: its manifest calls itself {manifest.id}"
    folder = installed.entry.module.rpartition(".")[2]
    assert folder == name.replace("-", "_"), f"{name}: its folder is {folder}; ids and folders agree"
    assert simulator.id == name, f"{name}: its simulator calls itself {simulator.id}"
    assert simulator.scenarios, f"{name}: its simulator has no scenario"
    assert manifest.title, f"{name}: the manifest needs a title"
    assert manifest.models, f"{name}: the manifest names no model"
    unsourced = [model.name for model in manifest.models if not model.source]
    assert not unsourced, f"{name}: no public source for {unsourced}"
    for link in links(simulator):
        spec = manifest.serial if isinstance(link, SerialSimulator) else manifest.gatt
        assert spec is not None, f"{name}: its simulator's link is not among the manifest's"
        assert link.id == name, f"{name}: one of its simulators calls itself {link.id}"
    shared = sum(len(link.scenarios) for link in links(simulator)) - len(simulator.scenarios)
    assert not shared, f"{name}: its simulators share {shared} names of scenarios"
    assert not manifest.gatt or driver.characteristics, f"{name}: a Bluetooth LE driver names its characteristics"


def check_options(driver: Driver[Any]) -> None:
    """Options are frozen, refuse what they do not know, and need nothing said."""
    name, options = driver.manifest.id, driver.options
    assert issubclass(options, Options), f"{name}: its options are not sdk Options"
    config = options.model_config
    assert config.get("frozen") and config.get("extra") == "forbid", f"{name}: options are frozen and forbid extras"
    required = [field for field, info in options.model_fields.items() if info.is_required()]
    assert not required, f"{name}: these options have no default: {required}"
    options()
    bare = [field for field, info in options.model_fields.items() if not info.description]
    assert not bare, f"{name}: these options are not described: {bare}"


def check_vectors(installed: Installed) -> None:
    """The driver has vectors from public sources, and reads each as it says."""
    try:
        found = vectors.load(files(installed.entry.module))
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise AssertionError(f"{installed.id}: vectors.json cannot be read ({error!r})") from None
    assert found, f"{installed.id}: vectors.json holds no vector"
    ids = Counter(vector.id for vector in found)
    twice = sorted(name for name, times in ids.items() if times > 1)
    assert not twice, f"{installed.id}: vectors.json has these ids more than once: {twice}"
    for vector in found:
        assert vector.kind in vectors.KINDS, f"{installed.id}, vector {vector.id}: unknown kind {vector.kind}"
        assert vector.source, f"{installed.id}, vector {vector.id}: no source"
        vectors.check(installed.driver, vector)


def check_value_codec(driver: Driver[Any]) -> None:
    """Bluetooth LE: any bytes at all give exactly one item, which holds them, but where they are pieces of a stream."""
    rng = random.Random(driver.manifest.id)
    values = [c for c in driver.characteristics if c not in driver.streams]
    for characteristic in (*values, "0000ffff-0000-1000-8000-00805f9b34fb"):
        codec = driver.codec(driver.options(), None, characteristic)
        for size in (*range(65), 244, 512):
            data = rng.randbytes(size)
            items = codec.feed(data)
            assert len(items) == 1, f"{driver.manifest.id}: {len(items)} items for one value of {characteristic}"
            assert items[0].raw == data, f"{driver.manifest.id}: the item does not hold the bytes of its value"
        assert not codec.close(), f"{driver.manifest.id}: a value was kept back"


def check_junk(driver: Driver[Any], characteristic: str | None = None) -> None:
    """A stream: over a megabyte of junk no exception, no byte lost or doubled, and next to nothing kept back."""
    rng, codec = random.Random(driver.manifest.id), _codec(driver, characteristic)
    held = 0
    for _ in range(0, JUNK_BYTES, 512):
        data = rng.randbytes(512)
        held += len(data) - sum(len(item.raw) for item in codec.feed(data))
        assert 0 <= held <= HELD_MAX_BYTES, f"{driver.manifest.id}: the codec keeps {held} bytes of junk"
    left = sum(len(item.raw) for item in codec.close())
    assert left == held, f"{driver.manifest.id}: of {held} bytes kept back {left} came out at the end"


def check_cut_values(installed: Installed, characteristic: str) -> None:
    """A stream in Bluetooth LE values: all vectors one after the other, with junk between, however they are cut."""
    name, driver = installed.id, installed.driver
    rng = random.Random(name)
    found = vectors.load(files(installed.entry.module))
    data = b"".join(vector.data + rng.randbytes(rng.randrange(7)) for vector in found)
    whole = _decode(driver, [data], characteristic)
    assert b"".join(item.raw for item in whole) == data, f"{name}: bytes are lost, doubled or out of order"
    bytewise = [data[i : i + 1] for i in range(len(data))]
    for pieces in (bytewise, _cut(data, rng)):
        assert _decode(driver, pieces, characteristic) == whole, f"{name}: cut otherwise the codec sees something else"


def check_stream_codec(driver: Driver[Any], scenario: SerialScenario) -> None:
    """Serial: however the bytes are cut, the same; every byte in one item; found again within one frame after junk."""
    name, sent = driver.manifest.id, record(scenario, driver)
    rng, decode = random.Random(len(sent)), partial(_decode, driver, options=scenario.options)
    junk = rng.randbytes(61)
    middle = len(sent) // 2
    for data in (sent, junk + sent, sent[:middle] + junk + sent[middle:]):
        whole = decode([data])
        assert b"".join(item.raw for item in whole) == data, f"{name}: bytes are lost, doubled or out of order"
        bytewise = decode([data[i : i + 1] for i in range(len(data))])
        assert bytewise == whole, f"{name}: byte by byte the codec sees something else"
        assert decode(_cut(data, rng)) == whole, f"{name}: cut otherwise the codec sees something else"
    if not scenario.faulty:
        clean, after = _frames(decode([sent])), _frames(decode([junk + sent]))
        assert clean or not (scenario.expected or scenario.rows), f"{name}: the codec finds no frame in what was sent"
        assert _ends_with(after, clean[1:]), f"{name}: after junk the codec does not find its place within a frame"


def check_over_tcp(driver: Driver[Any], scenario: SerialScenario) -> None:
    """Over a real line everywhere: exactly what is expected."""
    _check_exact(driver, scenario, play_over_tcp(driver, scenario), "over socket://")


def check_over_pty(driver: Driver[Any], scenario: SerialScenario) -> None:
    """Over a pseudo-terminal: exactly what is expected."""
    _check_exact(driver, scenario, play_over_pty(driver, scenario), "over a pseudo-terminal")


def check_over_radio(driver: Driver[Any], simulator: GattSimulator, scenario: GattScenario) -> None:
    """Over the simulated radio: exactly what is expected."""
    _check_exact(driver, scenario, play_over_radio(driver, simulator, scenario), "over the simulated radio")


def check_bytewise(driver: Driver[Any], scenario: SerialScenario) -> None:
    """One byte at a time: exactly what is expected."""
    _check_exact(driver, scenario, play_in_memory(driver, scenario, [injectors.bytewise()]), "byte by byte")


def check_unplugged(driver: Driver[Any], scenario: SerialScenario) -> None:
    """Unplugged anywhere: what was read before, and nothing else."""
    size = len(record(scenario, driver))
    for offset in _spread(size, EVERY_OFFSET_BELOW):
        outcome = play_in_memory(driver, scenario, [injectors.cut_at(offset)])
        _check_prefix(driver, scenario, outcome, f"unplugged after {offset} bytes")
    for offset in _spread(size, REAL_CUTS):
        outcome = play_over_tcp(driver, scenario, [injectors.cut_at(offset)])
        _check_prefix(driver, scenario, outcome, f"over socket://, unplugged after {offset} bytes")


def check_silent(driver: Driver[Any], scenario: SerialScenario) -> None:
    """Silent from anywhere on: what was read before, and a session that can be ended."""
    for offset in _spread(len(record(scenario, driver)), SILENCES):
        outcome = play_in_memory(driver, scenario, [injectors.silent_at(offset)])
        _check_prefix(driver, scenario, outcome, f"silent after {offset} bytes")


def check_flipped(driver: Driver[Any], scenario: SerialScenario) -> None:
    """A bit turned over: nothing invented or altered, unless the device's format cannot tell."""
    sent, expected = record(scenario, driver), list(map(expectation, scenario.expected))
    rng, decode = random.Random(len(sent)), partial(_decode, driver, options=scenario.options)
    sound = decode([sent])
    for bit in sorted(rng.sample(range(len(sent) * 8), min(FLIPS, len(sent) * 8))):
        outcome = play_in_memory(driver, scenario, [injectors.flipped(bit)])
        damaged = bytearray(sent)
        damaged[bit // 8] ^= 0x80 >> bit % 8
        seen = decode([bytes(damaged)])
        is_noticed = len(_frames(seen)) != len(_frames(sound)) or len(seen) != len(sound)
        assert not is_noticed or _is_within(outcome.readings, expected), (
            f"{driver.manifest.id}: with bit {bit} of {scenario.title!r} turned over it reads {outcome.readings}"
        )
        assert not is_noticed or _is_within(_sampled(outcome.rows), scenario.rows), (
            f"{driver.manifest.id}: with bit {bit} of {scenario.title!r} turned over it gives other samples"
        )


def check_doubled(driver: Driver[Any], scenario: SerialScenario) -> None:
    """Everything sent twice: each reading once, by its id; twice where an unset clock leaves nothing to know it by.

    Only where readings are expected: to a driver, frames are the seconds of a stream, and these are doubled too.
    """
    outcome = play_in_memory(driver, scenario, [injectors.doubled()])
    expected = list(map(expectation, scenario.expected))
    allowed = [e for e in expected for _ in range(1 + (Status.CLOCK_UNSET in e.status))]
    assert not expected or _is_within(outcome.readings, allowed), (
        f"{driver.manifest.id}: sent twice, {scenario.title!r} gives {outcome.readings}"
    )


def check_garbage_first(driver: Driver[Any], scenario: SerialScenario) -> None:
    """Garbage in front: at most the first reading may go down with it."""
    expected = list(map(expectation, scenario.expected))
    for garbage in GARBAGE:
        outcome = play_in_memory(driver, scenario, [injectors.garbage_first(garbage)])
        assert list(outcome.readings) in (expected, expected[1:]), (
            f"{driver.manifest.id}: after {garbage[:8].hex()}... {scenario.title!r} gives {outcome.readings}"
        )
        assert _is_within(_sampled(outcome.rows), scenario.rows), (
            f"{driver.manifest.id}: after {garbage[:8].hex()}... {scenario.title!r} gives samples that were not sent"
        )


SERIAL_CHECKS: tuple[Callable[[Driver[Any], SerialScenario], None], ...] = (
    check_stream_codec,
    check_over_tcp,
    check_bytewise,
    check_unplugged,
    check_silent,
    check_flipped,
    check_doubled,
    check_garbage_first,
)


def _codec(
    driver: Driver[Any], characteristic: str | None = None, options: Mapping[str, object] | None = None
) -> Codec:
    return driver.codec(driver.options.model_validate(dict(options or {})), None, characteristic)


def _decode(
    driver: Driver[Any],
    pieces: Sequence[bytes],
    characteristic: str | None = None,
    *,
    options: Mapping[str, object] | None = None,
) -> list[Frame | Noise]:
    codec = _codec(driver, characteristic, options)
    return [*(item for piece in pieces for item in codec.feed(piece)), *codec.close()]


def _frames(items: Sequence[Frame | Noise]) -> list[Frame]:
    return [item for item in items if isinstance(item, Frame)]


def _cut(data: bytes, rng: random.Random) -> list[bytes]:
    at = sorted(rng.sample(range(len(data) + 1), min(20, len(data))))
    return [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)]


def _spread(size: int, places: int) -> list[int]:
    """Offsets from 0 to `size`, all of them where there are few enough."""
    return sorted({round(size * n / places) for n in range(places + 1)})


def _ends_with(items: Sequence[Frame], tail: Sequence[Frame]) -> bool:
    return not tail or [frame.raw for frame in items[-len(tail) :]] == [frame.raw for frame in tail]


def _sampled(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if any(sample is not None for sample in row)]


def _is_within(some: Sequence[object], all_of: Sequence[object]) -> bool:
    """`some` is `all_of` with none or several left out."""
    rest = iter(all_of)
    return all(item in rest for item in some)


def _check_exact(driver: Driver[Any], scenario: SerialScenario | GattScenario, outcome: Outcome, how: str) -> None:
    expected = tuple(map(expectation, scenario.expected))
    assert outcome.readings == expected, (
        f"{driver.manifest.id}, {how}: {scenario.title!r} must give {expected}, gave {outcome.readings}"
    )
    pairs = zip(outcome.rows, scenario.rows, strict=False)
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    assert outcome.rows == scenario.rows, (
        f"{driver.manifest.id}, {how}: of {len(scenario.rows)} samples in {scenario.title!r} {len(outcome.rows)} came, "
        f"{same} of them right"
    )
    _check_published(driver, scenario)


def _check_published(driver: Driver[Any], scenario: SerialScenario | GattScenario) -> None:
    kinds = {expected.kind for expected in scenario.expected}
    strange = kinds - driver.manifest.kinds
    assert not strange, f"{driver.manifest.id}: {scenario.title!r} gives {strange}, which the manifest does not name"


def _check_prefix(driver: Driver[Any], scenario: SerialScenario, outcome: Outcome, how: str) -> None:
    expected = tuple(map(expectation, scenario.expected))
    assert outcome.readings == expected[: len(outcome.readings)], (
        f"{driver.manifest.id}, {how}: {scenario.title!r} gave {outcome.readings}, which is no beginning of {expected}"
    )
    assert outcome.rows == scenario.rows[: len(outcome.rows)], (
        f"{driver.manifest.id}, {how}: the samples of {scenario.title!r} are no beginning of what was sent"
    )
