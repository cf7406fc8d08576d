"""The receiver's side of the data link of LIS1-A (ASTM E1381): establishment, transfer, termination.

It knows no bytes and no clock: it is told what was recognised and says what to do. How long to wait is in its
constants, for the session to obey.
"""

from __future__ import annotations

from enum import Enum, auto

FRAME_WITHIN_S = 30.0
"""LIS1-A, time-outs: a receiver that hears nothing for so long drops the message and is neutral again."""

REPLY_WITHIN_S = 15.0
"""LIS1-A, time-outs: a sender that gets no reply for so long ends the transfer. A later reply would be taken for the
answer to something else."""

REFUSALS_MAX = 6
"""LIS1-A, defective frames: a sender repeats a frame until it was refused six times, then ends the transfer."""


class State(Enum):
    NEUTRAL = auto()
    RECEIVING = auto()


class Verdict(Enum):
    """TAKE: the next frame. REPEAT: the last one again. REFUSE: out of order. IGNORE: no transfer is under way."""

    TAKE = auto()
    REPEAT = auto()
    REFUSE = auto()
    IGNORE = auto()


class Receiver:
    """One data link. A frame is judged, then acknowledged or refused by the caller."""

    def __init__(self) -> None:
        self._state = State.NEUTRAL
        self._number = 0  # of the last frame taken
        self._refusals = 0

    @property
    def is_receiving(self) -> bool:
        return self._state is State.RECEIVING

    def begin(self) -> None:
        """ENQ: a transfer begins, or begins anew; its first frame is number 1."""
        self._state, self._number, self._refusals = State.RECEIVING, 0, 0

    def end(self) -> None:
        """EOT, or nothing for FRAME_WITHIN_S."""
        self._state = State.NEUTRAL

    def judge(self, number: int, *, is_repeat: bool) -> Verdict:
        """is_repeat: the frame is the one before it, byte for byte."""
        if not self.is_receiving:
            return Verdict.IGNORE
        if number == self._number and is_repeat:
            return Verdict.REPEAT
        if number != (self._number + 1) % 8:
            return Verdict.REFUSE
        self._number = number
        self._refusals = 0
        return Verdict.TAKE

    def may_refuse(self) -> bool:
        """Counts a refusal; False after the last that the sender still answers."""
        self._refusals += 1
        return self.is_receiving and self._refusals <= REFUSALS_MAX
