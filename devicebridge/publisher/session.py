"""One connection from the first SYN to its end: what goes out, within which window, and which answers come back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ..clock import Clock
from ..config import BrokerConfig
from ..outbox import Row
from .backlog import Backlog
from .lanes import Lane
from .link import Accepted, Ack, Link, packet_bytes, properties_of
from .reasons import ACK_TIMEOUT, CONNECT_TIMEOUT, ID_IN_USE, NO_ANSWER, PUBACK, STOPPED, Blame, Ending, Reason, Verdict

TICK_S = 0.5
"""How exactly time-outs are kept."""

WIND_UP_S = 2.0
"""At a stop, answers still under way are waited for so long; after that they cost a duplicate each."""

GOODBYE_S = 1.0

UNSENT_MAX = 32
"""Messages at QoS 0 that have not left this PC: eight devices' EKG for a second. What comes on top is dropped."""


@dataclass(frozen=True, slots=True)
class _Flight:
    number: int
    topic: str
    row: Row | None
    """None for a status of our own."""
    size_bytes: int
    """Of topic and payload: enough to tell the largest."""
    sent_s: float


class Session:
    def __init__(
        self,
        config: BrokerConfig,
        link: Link,
        backlog: Backlog,
        clock: Clock,
        wake: asyncio.Event,
        changed: Callable[[], None],
    ) -> None:
        self._config = config
        self._link = link
        self._backlog = backlog
        self._clock = clock
        self._wake = wake
        self._changed = changed
        self._flights: dict[int, _Flight] = {}
        self._shown: set[int] = set()
        self._numbers = 0
        self._latest_answered = 0
        self._accepted = Accepted()
        self._wants_to_end: Ending | None = None
        self.window = config.window
        self.was_accepted = False
        self.was_fruitful = False
        """A row was taken."""
        self.had_in_flight = False
        """When it ended."""

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    async def run(self) -> Ending:
        """Returns how it ended. On cancellation waits for the answers under way, then disconnects cleanly."""
        ticker = asyncio.create_task(self._tick(), name="broker-ticker")
        ending = STOPPED
        try:
            ending = await self._connect() or await self._pump()
        except asyncio.CancelledError:
            await self._wind_up()
            raise
        finally:
            ticker.cancel()
            self._link.drop(ending)
            self._land(ending)
        return ending

    def show(self, topic: str, payload: bytes) -> bool:
        """At QoS 0, if it can go out at once; False where it was dropped."""
        limit = self._accepted.packet_bytes_max
        is_too_large = limit is not None and packet_bytes(topic, payload, None) > limit
        if not self.was_accepted or self._link.ended or is_too_large or len(self._shown) >= UNSENT_MAX:
            return False
        mid = self._link.publish(topic, payload, qos=0)
        if mid is not None:
            self._shown.add(mid)
        return mid is not None

    def end(self, ending: Ending) -> None:
        """Ends a connection that stands; one that is just being made goes on."""
        self._wants_to_end = ending if self.was_accepted else None
        self._wake.set()

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(min(TICK_S, self._config.ack_timeout_s / 4))
            self._wake.set()

    async def _woken(self) -> None:
        await self._wake.wait()
        self._wake.clear()

    async def _connect(self) -> Ending | None:
        deadline_s = self._clock.monotonic_s() + self._config.connect_timeout_s
        await self._link.start()
        while self._link.accepted is None:
            if self._link.ended is not None:
                return self._link.ended
            if self._clock.monotonic_s() >= deadline_s:
                return NO_ANSWER if self._link.is_open else CONNECT_TIMEOUT
            await self._woken()
        self._accepted = self._link.accepted
        self.window = min(self._config.window, self._accepted.receive_maximum)
        self.was_accepted = True
        self._backlog.announcements.start_over()
        self._backlog.note_news()
        self._changed()
        return None

    async def _pump(self) -> Ending:
        while True:
            ended = self._link.ended  # looked at first: what it said before is in the acks
            self._take_answers()
            if ending := ended or self._wants_to_end or self._overdue():
                return ending
            await self._backlog.refill()
            self._send()
            await self._woken()

    async def _wind_up(self) -> None:
        deadline_s = self._clock.monotonic_s() + WIND_UP_S
        while self._flights and self._link.ended is None and self._clock.monotonic_s() < deadline_s:
            await self._woken()
            self._take_answers()
        deadline_s += GOODBYE_S
        if self.was_accepted:
            self._link.say_goodbye()
        while self.was_accepted and self._link.ended is None and self._clock.monotonic_s() < deadline_s:
            await self._woken()

    def _overdue(self) -> Ending | None:
        """The oldest in flight has waited too long: this connection is dead, whatever TCP says."""
        oldest = next(iter(self._flights.values()), None)
        if oldest is None or self._clock.monotonic_s() - oldest.sent_s < self._config.ack_timeout_s:
            return None
        return ACK_TIMEOUT

    def _take_answers(self) -> None:
        before = self._noteworthy()
        for ack in self._link.acks():
            self._answered(ack)
        if self._noteworthy() != before:
            self._changed()

    def _noteworthy(self) -> object:
        backlog = self._backlog
        return backlog.held, len(backlog.unheard), backlog.announcements.refused

    def _answered(self, ack: Ack) -> None:
        flight = self._flights.pop(ack.mid, None)
        if flight is None:
            self._shown.discard(ack.mid)
            return
        self._latest_answered = max(self._latest_answered, flight.number)
        if flight.row is None:
            self._backlog.announcements.answered(flight.topic, PUBACK.get(ack.code, PUBACK[0x80]).reason)
            return
        lane = self._backlog.lanes[flight.row.lane]
        answer = self._backlog.answered(lane, flight.row, ack.code, alone=not self._flights)
        self.was_fruitful = self.was_fruitful or answer.verdict is Verdict.SETTLE
        if answer.verdict is Verdict.RECONNECT:
            self._wants_to_end = ID_IN_USE

    def _send(self) -> None:
        """Our own status first, then rows; last of all a status that connections keep ending with."""
        if self._is_isolating():
            return
        announcements = self._backlog.announcements
        for topic in announcements.due(suspects=False)[: self._room]:
            self._announce(topic)
        while self._room and (lanes := self._next_lanes()):
            if not all(self._publish(lane) for lane in lanes[: self._room]):
                return
        if not self._flights:
            for topic in announcements.due(suspects=True)[:1]:
                self._announce(topic)

    def _next_lanes(self) -> list[Lane]:
        """A suspect goes alone, and only when nothing else is left that could prove the connection sound before."""
        suspects, others = self._backlog.ready()
        if self._is_isolating():
            return []
        if suspects and (self._is_sound or not others):
            return suspects[:1] if not self._flights else []
        return others

    def _is_isolating(self) -> bool:
        suspects = self._backlog.suspects
        return any(flight.row is not None and flight.row.seq in suspects for flight in self._flights.values())

    @property
    def _is_sound(self) -> bool:
        """Something published over this connection was answered."""
        return self._latest_answered > 0

    @property
    def _room(self) -> int:
        return max(0, self.window - len(self._flights))

    def _announce(self, topic: str) -> None:
        announcements = self._backlog.announcements
        payload = announcements.take(topic)
        try:
            self._launch(topic, payload, None)
        except _Unsendable as unsendable:
            announcements.give_up(topic, unsendable.reason)
            self._changed()

    def _publish(self, lane: Lane) -> bool:
        """False when the connection has gone."""
        row = lane.take()
        try:
            went = self._launch(row.topic, row.payload, row)
        except _Unsendable as unsendable:
            self._backlog.counters.refused[unsendable.reason] += 1
            self._backlog.park(lane, row, unsendable.reason)
            return True
        self._backlog.counters.published += went
        if not went:
            lane.put_back(row)
        return went

    def _launch(self, topic: str, payload: bytes, row: Row | None) -> bool:
        properties = properties_of(row.id if row else None) if self._link.is_v5 else None
        limit = self._accepted.packet_bytes_max
        if limit is not None and packet_bytes(topic, payload, properties) > limit:
            raise _Unsendable(Reason.PACKET_TOO_LARGE)
        retain = row is None and self._accepted.retain
        try:
            mid = self._link.publish(topic, payload, retain=retain, properties=properties)
        except ValueError:
            raise _Unsendable(Reason.TOPIC_INVALID) from None
        if mid is None:
            return False
        self._numbers += 1
        size_bytes = len(topic) + len(payload)
        self._flights[mid] = _Flight(self._numbers, topic, row, size_bytes, self._clock.monotonic_s())
        return True

    def _land(self, ending: Ending) -> None:
        flights = list(self._flights.values())
        self._flights.clear()
        self.had_in_flight = bool(flights)
        if ending.blame is Blame.LARGEST and flights:
            self._give_up(max(flights, key=lambda flight: flight.size_bytes), ending.reason)
        rows = [flight.row for flight in flights if flight.row is not None]
        overtaken = [f.row for f in flights if f.row is not None and f.number < self._latest_answered]
        self._backlog.ended(ending, rows, overtaken, alone=len(flights) == len(rows) == 1, sound=self._is_sound)
        if ending.blame is Blame.ALL and not rows:
            alone = len(flights) == 1
            for flight in flights:
                self._backlog.announcements.was_lost(flight.topic, convict=alone and self._is_sound)

    def _give_up(self, flight: _Flight, reason: Reason) -> None:
        if flight.row is None:
            self._backlog.announcements.give_up(flight.topic, reason)
        else:
            self._backlog.park(self._backlog.lanes[flight.row.lane], flight.row, reason)


class _Unsendable(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason
