"""Which of the answers of a DINAMAP are new, without any input or output.

Blood pressure: a determination is new when the time since the last one is less than it was, or, where it was not
known, no more than has passed since the answer before. That the monitor was busy proves nothing: one that is cancelled
or fails may show the last result again. A failed one is new when the monitor was busy before it, or said something
else. Temperature: a determination is new when its counter, which changes when one begins, is not that of the one read
before.

What else stands there, as when a session begins, is of earlier. If its numbers are not those read last, nobody listened
when it was measured: within a minute it is still this patient's, and else it is sent as stored, without a time, for a
person to look at. The first time a monitor is met what is older than a minute is passed over. If its numbers are those
read last, it is new only when a session begins within a minute of it, and it was measured later than what was read.
"""

from __future__ import annotations

from dataclasses import replace

from devicebridge.sdk import InProgress, Observation, Origin

from .messages import BloodPressure, Temperature

RECENT_S = 60
SLACK_S = 5  # the monitor counts whole seconds, and takes its time to answer


class Determinations:
    """Blood pressure. mark: of the determination read last, in this session or an earlier one."""

    def __init__(self, mark: str | None) -> None:
        self.mark = mark  # the numbers, and when in our seconds
        self._before: BloodPressure | None = None
        self._heard_s = 0.0
        self._was_busy = False
        self._age_s: int | None = None  # the last known

    def next(self, said: BloodPressure, now_s: float) -> Observation | InProgress | None:
        """now_s: seconds that never go back, since the PC was started."""
        before, self._before = self._before, said
        silent_s, self._heard_s = now_s - self._heard_s, now_s
        was_busy, self._was_busy = self._was_busy, said.state == "busy"
        if said.group and not said.is_failure:
            return self._done(said, now_s, None if before is None else silent_s)
        if said.age_s is not None:
            self._age_s = max(self._age_s or 0, said.age_s)
        if said.is_failure:
            is_new = before is not None and (was_busy or before.state != said.state)
            return said.group[0] if is_new else None
        return InProgress() if self._was_busy and not was_busy else None

    def _done(self, said: BloodPressure, now_s: float, silent_s: float | None) -> Observation | None:
        """silent_s: since the answer before; None where there was none."""
        age_s = said.age_s or 0
        before_s, self._age_s = self._age_s, age_s
        numbers = f"{said.systolic}/{said.diastolic}/{said.mean}"
        if before_s is not None:
            is_new = age_s < before_s
        elif silent_s is not None:
            is_new = age_s <= silent_s + SLACK_S
        else:
            is_new = age_s <= RECENT_S and self._is_later(now_s - age_s, now_s)
        read = "" if is_new else self.mark and self.mark.partition("@")[0]
        if read != numbers:
            self.mark = f"{numbers}@{now_s - age_s:.0f}"
        return _unread(said.group[0], read, numbers, age_s)

    def _is_later(self, then_s: float, now_s: float) -> bool:
        """Than what was read last: one PC's seconds go on from session to session, and begin anew with the PC."""
        _, _, read_s = (self.mark or "").partition("@")
        return read_s != "" and then_s > SLACK_S + (float(read_s) if float(read_s) <= now_s else 0)


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


def _unread(observation: Observation, read: str | None, mark: str | None, age_s: int | None) -> Observation | None:
    if read == mark:
        return None
    if age_s is not None and age_s <= RECENT_S:
        return observation
    return None if read is None else replace(observation, origin=Origin.STORED)
