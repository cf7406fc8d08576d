"""Which of the answers of a DINAMAP are new, without any input or output.

Blood pressure: a determination is new when the monitor was busy before it, or when the time since the last one went
back. A failed one is new when the monitor was busy before it, or said something else. Temperature: a determination is
new when its counter, which changes when one begins, is not that of the one read before.

What stands there when a session begins is of earlier. If it is not what was read last, nobody listened when it was
measured: within a minute it is still this patient's, and else it is sent as stored, without a time, for a person to
look at. The first time a monitor is met what is older than a minute is passed over.
"""

from __future__ import annotations

from dataclasses import replace

from devicebridge.sdk import InProgress, Observation, Origin

from .messages import BloodPressure, Temperature

RECENT_S = 60


class Determinations:
    """Blood pressure. mark: of the determination read last, in this session or an earlier one."""

    def __init__(self, mark: str | None) -> None:
        self.mark = mark
        self._before: BloodPressure | None = None
        self._was_busy = False

    def next(self, said: BloodPressure) -> Observation | InProgress | None:
        before, self._before = self._before, said
        if said.state == "busy":
            was_busy, self._was_busy = self._was_busy, True
            return None if was_busy else InProgress()
        was_busy, self._was_busy = self._was_busy, False
        if not said.group:
            return None
        if before is None:
            return self._standing(said)
        is_new = was_busy or (before.state != said.state if said.is_failure else _went_back(before.age_s, said.age_s))
        if not is_new:
            return None
        self.mark = self.mark if said.is_failure else _bp_mark(said)
        return said.group[0]

    def _standing(self, said: BloodPressure) -> Observation | None:
        if said.is_failure:
            return None
        read, self.mark = self.mark, _bp_mark(said)
        return _unread(said.group[0], read, self.mark, said.age_s)


class Temperatures:
    """As Determinations."""

    def __init__(self, mark: str | None) -> None:
        self.mark = mark
        self._settled: str | None = None  # the counter of what was read, or passed over
        self._is_busy = False

    def next(self, said: Temperature) -> Observation | InProgress | None:
        if not said.is_predictive or said.state is None:
            return None
        if said.state == "busy":
            was_busy, self._is_busy = self._is_busy, True
            self._settled = self._settled if self._settled is not None and self._settled != said.counter else ""
            return None if was_busy else InProgress()
        self._is_busy = False
        settled, self._settled = self._settled, said.counter
        if settled == said.counter or not said.group:
            return None
        read = self.mark
        if said.state == "done":
            self.mark = f"{said.counter}/{said.tenths}"
        if settled is not None:
            return said.group[0]
        return _unread(said.group[0], read, self.mark, said.age_s) if said.state == "done" else None


def _went_back(before_s: int | None, now_s: int | None) -> bool:
    return now_s is not None and (before_s is None or now_s < before_s)


def _bp_mark(said: BloodPressure) -> str:
    return f"{said.systolic}/{said.diastolic}/{said.mean}"


def _unread(observation: Observation, read: str | None, mark: str | None, age_s: int | None) -> Observation | None:
    if read == mark:
        return None
    if age_s is not None and age_s <= RECENT_S:
        return observation
    return None if read is None else replace(observation, origin=Origin.STORED)
