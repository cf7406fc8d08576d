"""Which fault happens when: drawn from a seed, the same for the same seed and length.

Three tracks run side by side, so that a daemon is killed while the network stalls and a cable is pulled. In each track
every fault comes once before any comes again.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Track(StrEnum):
    BROKER = "broker"
    PROCESS = "process"
    DEVICE = "device"


class Fault(StrEnum):
    """The row's name in the table, with the ids of the promises it tries."""

    CUT = "connection cut (F26, F30)"
    STALL = "network stalls (F26)"
    STALL_ANSWERS = "answers stall (F30)"
    TRICKLE = "network trickles (F26)"
    BLACK_HOLE = "network swallows all (F26)"
    HALF_CLOSE = "half-closed connection (F26)"
    SHUT = "no way to any broker (F25)"
    BROKER_KILL = "kill -9 of the broker (F26, F33)"
    BROKER_FREEZE = "broker frozen (F26)"
    CONNACK = "CONNACK refusals (F27)"
    PUBACK = "PUBACK refusals (F27)"
    PUBACK_HOLD = "PUBACK not authorised, quota (F27)"
    PUBACK_PARK = "PUBACK topic, payload invalid (F27)"
    DISCONNECT = "DISCONNECT by the broker (F27, F32)"
    NO_PUBACK = "no PUBACK (F30)"
    NOBODY = "PUBACK no subscribers (F29)"
    KILL = "kill -9 of the daemon (F35)"
    STOP = "daemon stopped and started"
    SLEEP = "PC sleeps (F24)"
    CLOCK = "PC's clock jumps (F23)"
    CABLE_CUT = "cable pulled mid-frame (F01)"
    GARBAGE = "garbage on the cable (F02)"
    HALF_FRAME = "half a frame (F01)"
    BIT_FLIP = "a bit flipped (F02)"
    SILENCE = "cable silent (F01)"
    RADIO_GONE = "adapter gone and back (F12)"
    OUT_OF_REACH = "out of reach mid-connection (F11)"


@dataclass(frozen=True, slots=True)
class Habit:
    """shortest_s, longest_s: how long it lasts. is_slow: the daemon waits half a minute and more after it."""

    track: Track
    shortest_s: float
    longest_s: float
    is_slow: bool = False


HABITS: dict[Fault, Habit] = {
    Fault.CUT: Habit(Track.BROKER, 0.2, 3),
    Fault.STALL: Habit(Track.BROKER, 1, 10),
    Fault.STALL_ANSWERS: Habit(Track.BROKER, 1, 6),
    Fault.TRICKLE: Habit(Track.BROKER, 2, 6),
    Fault.BLACK_HOLE: Habit(Track.BROKER, 2, 10),
    Fault.HALF_CLOSE: Habit(Track.BROKER, 0.5, 3),
    Fault.SHUT: Habit(Track.BROKER, 1, 10),
    Fault.BROKER_KILL: Habit(Track.BROKER, 0.5, 4),
    Fault.BROKER_FREEZE: Habit(Track.BROKER, 1, 10),
    Fault.CONNACK: Habit(Track.BROKER, 2, 6, is_slow=True),
    Fault.PUBACK: Habit(Track.BROKER, 2, 6),
    Fault.PUBACK_HOLD: Habit(Track.BROKER, 2, 6, is_slow=True),
    Fault.PUBACK_PARK: Habit(Track.BROKER, 0.5, 1),
    Fault.DISCONNECT: Habit(Track.BROKER, 2, 6, is_slow=True),
    Fault.NO_PUBACK: Habit(Track.BROKER, 2, 8),
    Fault.NOBODY: Habit(Track.BROKER, 1, 3),
    Fault.KILL: Habit(Track.PROCESS, 0, 1),
    Fault.STOP: Habit(Track.PROCESS, 0, 1),
    Fault.SLEEP: Habit(Track.PROCESS, 0.5, 8),
    Fault.CLOCK: Habit(Track.PROCESS, 1, 4),
    Fault.CABLE_CUT: Habit(Track.DEVICE, 0.5, 3),
    Fault.GARBAGE: Habit(Track.DEVICE, 1, 3),
    Fault.HALF_FRAME: Habit(Track.DEVICE, 1, 3),
    Fault.BIT_FLIP: Habit(Track.DEVICE, 1, 3),
    Fault.SILENCE: Habit(Track.DEVICE, 1, 5),
    Fault.RADIO_GONE: Habit(Track.DEVICE, 0.5, 4),
    Fault.OUT_OF_REACH: Habit(Track.DEVICE, 0.5, 2),
}
PAUSE_S: dict[Track, tuple[float, float]] = {Track.BROKER: (4, 16), Track.PROCESS: (6, 20), Track.DEVICE: (2, 10)}
"""Between two faults of one track: room for the daemon to come back, and to be hit while it does."""


@dataclass(frozen=True, slots=True)
class Episode:
    at_s: float
    fault: Fault
    lasts_s: float
    choice: int
    """What is left to chance within it: which broker, which code, which device."""


def plan(seed: int, seconds: float, faults: Collection[Fault] = tuple(Fault), *, haste: float = 1.0) -> list[Episode]:
    """By time of begin. Episodes of one track do not overlap, and all have ended after `seconds`.

    haste: by how much the pauses between them are shorter.
    """
    tracks = (_track(random.Random(f"{seed}/{track}"), track, seconds, faults, haste) for track in Track)
    return sorted((episode for track in tracks for episode in track), key=lambda episode: episode.at_s)


def _track(
    rng: random.Random, track: Track, seconds: float, faults: Collection[Fault], haste: float
) -> Iterator[Episode]:
    wanted = [fault for fault in Fault if fault in faults and HABITS[fault].track is track]
    bag: list[Fault] = []
    at_s = rng.uniform(*PAUSE_S[track]) / haste
    while wanted:
        bag = bag or rng.sample(wanted, len(wanted))
        fault = bag.pop()
        lasts_s = rng.uniform(HABITS[fault].shortest_s, HABITS[fault].longest_s)
        if at_s + lasts_s > seconds:
            return
        yield Episode(at_s, fault, lasts_s, rng.getrandbits(32))
        at_s += lasts_s + rng.uniform(*PAUSE_S[track]) / haste
