"""How fast the Bluetooth LE codecs decode, beside the PyPI library bluetooth-sig on the same frames in the same run.

    pip install '.[bench]'; python tests/bench/bench_decode.py [--seconds 1]

The frames are the drivers' own vectors of each characteristic, as far as both take them for a measurement. "By UUID"
is how both are used on what a radio brings: a UUID and bytes go in (BluetoothSIGTranslator.parse_characteristic; here
a codec is kept for each UUID, as a session does). "By class" is the quickest that bluetooth-sig has: the class of the
one characteristic, made once. Only its speed is compared, not its answers: its SFLOAT is not IEEE 11073's.
The same frames come round and round, as the same few hundred numbers do in a clinic: what the codecs keep of numbers
they have seen (sdk.medfloat, `KEPT_VALUES`) is part of what is measured.
Exit code 1 where the ratio by UUID is below the target.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Any

from bluetooth_sig import BluetoothSIGTranslator
from bluetooth_sig.gatt import characteristics as sig

from devicebridge import registry
from devicebridge.sdk import Codec, Frame
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.testing import vectors

TARGET_RATIO = 10
ROUNDS = 10
ROW = "{:6}{:20}{:>7}{:>14}{:>10}{:>8}{:>10}{:>8}"

Way = tuple[Callable[[Any], object], Sequence[bytes | bytearray]]
"""A decoder and its frames."""


@dataclass(frozen=True)
class Contest:
    number: int
    driver: str
    other: Callable[[], sig.BaseCharacteristic[Any]]


CONTESTS = (
    Contest(0x2A35, "ble-blood-pressure", sig.BloodPressureMeasurementCharacteristic),
    Contest(0x2A18, "ble-glucose", sig.GlucoseMeasurementCharacteristic),
    Contest(0x2A5E, "ble-pulse-oximeter", sig.PLXSpotCheckMeasurementCharacteristic),
    Contest(0x2A1C, "ble-thermometer", sig.TemperatureMeasurementCharacteristic),
)


@dataclass(frozen=True)
class Result:
    """frames: how many different ones. The rates are in frames a second."""

    contest: Contest
    frames: int
    ours_per_s: float
    by_uuid_per_s: float
    by_class_per_s: float

    @property
    def ratio(self) -> float:
        return self.ours_per_s / self.by_uuid_per_s


def results(seconds: float) -> Iterator[Result]:
    translator = BluetoothSIGTranslator()
    for contest in CONTESTS:
        uuid, driver, other = uuid16(contest.number), registry.driver(contest.driver), contest.other()
        frames = [data for data in _frames(contest) if _takes(other, data)]
        copies = [bytearray(data) for data in frames]  # as bleak hands them out
        ways: tuple[Way, ...] = (
            (partial(_feed, {uuid: driver.codec(driver.options(), None, uuid)}, uuid), frames),
            (partial(translator.parse_characteristic, uuid), copies),
            (other.parse_value, copies),
        )
        yield Result(contest, len(frames), *_rates(ways, seconds))


def _feed(codecs: Mapping[str, Codec], uuid: str, data: bytes) -> object:
    return codecs[uuid].feed(data)


def _frames(contest: Contest) -> Iterator[bytes]:
    """The driver's vectors of the characteristic that are measurements."""
    driver = registry.driver(contest.driver)
    for vector in vectors.load(files(f"devicebridge_drivers.{contest.driver.replace('-', '_')}")):
        if vector.characteristic == uuid16(contest.number) and vector.model is None:
            (item,) = driver.codec(driver.options(), None, vector.characteristic).feed(vector.data)
            if isinstance(item, Frame):
                yield vector.data


def _takes(other: sig.BaseCharacteristic[Any], data: bytes) -> bool:
    try:
        other.parse_value(bytearray(data))
    except Exception:  # noqa: BLE001 - it has errors of its own for what it finds odd
        return False
    return True


def _rates(ways: Sequence[Way], seconds: float) -> list[float]:
    """In turns, so that what else the PC does falls on all of them; the best round counts."""
    rounds = [[_round(*way, seconds / ROUNDS) for way in ways] for _ in range(ROUNDS)]
    return [max(rates) for rates in zip(*rounds, strict=True)]


def _round(decode: Callable[[Any], object], frames: Sequence[bytes | bytearray], seconds: float) -> float:
    count, began_s = 0, time.perf_counter()
    while (elapsed_s := time.perf_counter() - began_s) < seconds:
        for frame in frames:
            decode(frame)
        count += len(frames)
    return count / elapsed_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="for each characteristic and each way")
    asked = parser.parse_args()
    found = list(results(asked.seconds))
    print("frames decoded in a second, and how many times as many as bluetooth-sig")
    print(ROW.format("", "driver", "frames", "devicebridge", "by UUID", "ratio", "by class", "ratio"))
    for r in found:
        rates = [f"{rate:,.0f}" for rate in (r.ours_per_s, r.by_uuid_per_s, r.by_class_per_s)]
        ratios = [f"{r.ours_per_s / rate:.1f} x" for rate in (r.by_uuid_per_s, r.by_class_per_s)]
        number = f"{r.contest.number:04X}"
        print(ROW.format(number, r.contest.driver, r.frames, rates[0], rates[1], ratios[0], rates[2], ratios[1]))
    slow = [r for r in found if r.ratio < TARGET_RATIO]
    print(f"target by UUID: {TARGET_RATIO} times, {'NOT met' if slow else 'met'}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
