"""What there is to publish, and what becomes of a row: everything that outlives a single connection."""

from __future__ import annotations

from collections.abc import Sequence

from ..clock import Clock
from ..outbox import Outbox, Row
from .announcements import Announcements
from .lanes import HOLD_FIRST_S, LANE_ROWS, RETRY_FIRST_S, Lane, Lanes
from .reasons import NO_SUBSCRIBERS, PUBACK, Answer, Blame, Ending, Reason, Verdict
from .state import Counters, Held
from .suspects import Suspects


class Backlog:
    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox = outbox
        self._clock = clock
        self._news = True
        self._parkings = outbox.parkings
        self.lanes = Lanes()
        self.suspects = Suspects()
        self.announcements = Announcements()
        self.counters = Counters()
        self.unheard: set[str] = set()

    @property
    def held(self) -> tuple[Held, ...]:
        return tuple(
            Held(lane.name, lane.hold.topic, lane.hold.reason, lane.hold.since) for lane in self.lanes if lane.hold
        )

    def note_news(self) -> None:
        self._news = True

    async def refill(self) -> None:
        """Fetches what the lanes lack. Raises OutboxFailed."""
        if self._parkings != self._outbox.parkings:
            self._parkings = self._outbox.parkings
            self.lanes.forget()
        if not self._news and not self.lanes.is_hungry():
            return
        self._news = False
        full = self.lanes.full()
        rows = await self._outbox.pending(limit=LANE_ROWS, after=self.lanes.fetched(), lanes_excluded=full)
        self.lanes.fill(rows, full)

    def ready(self) -> tuple[list[Lane], list[Lane]]:
        """(lanes whose next row is a suspect, the least suspected first; other lanes, the oldest row first)"""
        ready = self.lanes.ready(self._clock.monotonic_s())
        suspects = [lane for lane in ready if lane.queue[0].seq in self.suspects]
        suspects.sort(key=lambda lane: self.suspects.losses(lane.queue[0].seq))
        return suspects, [lane for lane in ready if lane not in suspects]

    def answered(self, lane: Lane, row: Row, code: int, *, alone: bool) -> Answer:
        """The PUBACK's reason code settles the row, and nothing else does."""
        answer = PUBACK.get(code, PUBACK[0x80])
        reason = answer.reason
        lane.flying = None
        if reason is None:
            self._settle(lane, row, code)
            return answer
        self.counters.refused[reason] += 1
        match answer.verdict:
            case Verdict.PARK:
                self.park(lane, row, reason)
            case Verdict.HOLD:
                self._wait(lane, row, reason, HOLD_FIRST_S)
            case _ if alone and row.seq in self.suspects:
                self.park(lane, row, reason)
            case _:
                self.suspects.was_refused(row.seq)
                self._wait(lane, row, reason, RETRY_FIRST_S)
        return answer

    def park(self, lane: Lane, row: Row, reason: Reason) -> None:
        lane.flying = None
        lane.hold = None
        self.suspects.clear(row.seq)
        self._outbox.set_aside(row.seq, reason)
        self.counters.parked += 1

    def ended(self, ending: Ending, rows: Sequence[Row], overtaken: Sequence[Row], *, alone: bool, sound: bool) -> None:
        """A connection ended with these rows in flight. `alone`: one row, and no status beside it."""
        match ending.blame:
            case Blame.NONE | Blame.LARGEST:
                pass
            case Blame.ALL | Blame.OVERTAKEN if alone and sound and rows[0].seq in self.suspects:
                reason = Reason.BREAKS_CONNECTION if ending.blame is Blame.ALL else ending.reason
                self.park(self.lanes[rows[0].lane], rows[0], reason)
            case Blame.ALL:
                self.suspects.was_lost(row.seq for row in rows)
            case Blame.OVERTAKEN:
                self.suspects.was_lost(row.seq for row in overtaken)
            case Blame.PARK if alone:
                self.park(self.lanes[rows[0].lane], rows[0], ending.reason)
            case Blame.HOLD if alone:
                self._wait(self.lanes[rows[0].lane], rows[0], ending.reason, HOLD_FIRST_S)
            case _:
                self.suspects.isolate(row.seq for row in rows)
        self._put_back(ending.reason)

    def _put_back(self, reason: Reason) -> None:
        for lane in self.lanes:
            if lane.flying is not None:
                self._outbox.attempt(lane.flying.seq, reason)
                self.counters.redelivered += 1
                lane.put_back(lane.flying)

    def _settle(self, lane: Lane, row: Row, code: int) -> None:
        lane.hold = None
        self.suspects.clear(row.seq)
        self._outbox.settle(row.seq)
        self.counters.acknowledged += 1
        if code == NO_SUBSCRIBERS:
            self.unheard.add(row.topic)
        else:
            self.unheard.discard(row.topic)

    def _wait(self, lane: Lane, row: Row, reason: Reason, first_s: float) -> None:
        lane.put_back(row)
        lane.wait(reason, row.topic, self._clock.now(), self._clock.monotonic_s(), first_s)
        self._outbox.attempt(row.seq, reason)
