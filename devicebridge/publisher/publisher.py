"""The publisher: one connection, or on the way to one. Which broker, after which pause, and what to tell of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from ..clock import Clock
from ..config import BrokerConfig
from ..outbox import Outbox
from .backlog import Backlog
from .link import Link, Unready, Will
from .reasons import KICKED, REOPENED, Ending, Pause, Reason
from .session import Session
from .state import BrokerState, Counters, Phase

BACK_OFF_FIRST_S = 1.0
BACK_OFF_LONGEST_S = 60.0
SLOWEST_S = 60.0
STABLE_S = 60.0
"""A connection that lasted so long, or that took a row, ends the counting of failures."""

KICKS = 3
"""So many short connections in a row, closed by the broker for no reason, mean a twin: mosquitto 2.0 closes without
the "session taken over" of the standard, and two PCs with one id would throw each other out for ever."""

FAREWELL_S = 2.0


def client_id(instance_id: str) -> str:
    """23 characters of [0-9a-z-], which every broker must accept: MQTT 5.0 section 3.1.3.1."""
    return "db-" + instance_id.replace("-", "")[:20]


class Publisher:
    def __init__(
        self,
        config: BrokerConfig,
        outbox: Outbox,
        *,
        client_id: str,
        will_topic: str,
        will_payload: bytes,
        clock: Clock,
        rng: random.Random,
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called on the event loop when `state` has something new to tell, but for `in_flight`."""
        self._config = config
        self._client_id = client_id
        self._will = Will(will_topic, will_payload)
        self._clock = clock
        self._rng = rng
        self._on_change = on_change
        self._backlog = Backlog(outbox, clock)
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._session: Session | None = None
        self._turn = 0
        self._failures = 0
        self._kicks = 0
        self._phase = Phase.CONNECTING
        self._reason: Reason | None = None
        self._since, self._since_s = clock.now(), clock.monotonic_s()
        self._retry_s: float | None = None
        outbox.watch(self._heard_of_rows)

    @property
    def counters(self) -> Counters:
        return self._backlog.counters

    @property
    def state(self) -> BrokerState:
        host, port = self._endpoint
        session = self._session
        return BrokerState(
            phase=self._phase,
            address=f"{host}:{port}",
            reason=self._reason,
            since=self._since,
            retry_s=self._retry_s,
            protocol=self._config.protocol,
            refusals_visible=self._config.protocol == "5",
            window=session.window if session else self._config.window,
            in_flight=session.in_flight if session else 0,
            reconnects=self.counters.reconnects,
            unheard=frozenset(self._backlog.unheard),
            held=self._backlog.held,
            status_refused=self._backlog.announcements.refused,
        )

    async def run(self) -> None:
        """Until cancelled; then it waits a moment for answers under way and disconnects. Raises OutboxFailed."""
        try:
            while True:
                ending = await self._connection()
                await self._pause(ending)
        finally:
            self._enter(Phase.STOPPED, None)

    def use(self, config: BrokerConfig, client_id: str) -> None:
        """Other brokers or settings, for the connections to come. Not while `run` runs."""
        self._config, self._client_id = config, client_id
        self._turn = self._failures = self._kicks = 0

    def announce(self, topic: str, payload: bytes) -> None:
        """A retained status at QoS 1. The latest of each topic is kept, and published again on every connect."""
        self._backlog.announcements.set(topic, payload)
        self._wake.set()

    def show(self, topic: str, payload: bytes) -> bool:
        """The lossy path, at QoS 0: now or never. False where it was dropped."""
        return self._session is not None and self._session.show(topic, payload)

    async def farewell(self, topic: str, payload: bytes) -> bool:
        """Announces a last status before `run` is cancelled. False if the broker did not take it within FAREWELL_S."""
        self.announce(topic, payload)
        announcements = self._backlog.announcements
        over = asyncio.ensure_future(self._clock.sleep(FAREWELL_S))
        try:
            while self._phase is Phase.CONNECTED and not announcements.is_told(topic) and not over.done():
                await _either(announcements.progress.wait(), over)
        finally:
            over.cancel()
        return announcements.is_told(topic) and announcements.refused is None

    def reconnect(self) -> None:
        """A new connection now, whatever the present one looks like: the PC has slept, or the network has changed."""
        self._hurry.set()
        if self._session is not None:
            self._session.end(REOPENED)

    @property
    def _endpoint(self) -> tuple[str, int]:
        endpoints = self._config.endpoints
        return endpoints[self._turn % len(endpoints)]

    async def _connection(self) -> Ending:
        self._enter(Phase.CONNECTING, self._reason)
        self._hurry.clear()
        link = Link(self._config, self._endpoint, self._client_id, self._will, self._wake.set)
        session = Session(self._config, link, self._backlog, self._clock, self._wake, self._accepted_or_changed)
        self._session = session
        try:
            return self._judge(session, await session.run())
        except Unready as unready:
            return unready.ending
        finally:
            self.counters.reconnects += session.was_accepted
            self._session = None

    def _judge(self, session: Session, ending: Ending) -> Ending:
        """How the connection went decides how soon the next one is tried."""
        lasted = session.was_accepted and self._clock.monotonic_s() - self._since_s >= STABLE_S
        if session.was_fruitful or lasted:
            self._failures = 0
        kicked = session.was_accepted and not lasted and ending.reason is Reason.LOST and not session.had_in_flight
        self._kicks = self._kicks + 1 if kicked else 0
        return KICKED if self._kicks >= KICKS else ending

    def _accepted_or_changed(self) -> None:
        if self._phase is Phase.CONNECTED:
            self._on_change()
        else:
            self._enter(Phase.CONNECTED, None)

    async def _pause(self, ending: Ending) -> None:
        """The next address at once, until every one has been tried; then a wait before the next round."""
        self._failures += 1
        self._turn += 1
        round_, left = divmod(self._failures, len(self._config.addresses))
        self._reason = ending.reason
        if left and ending.pause is not Pause.LONG:
            return
        pause_s = self._pause_s(ending.pause, round_)
        phase = Phase.WAITING if ending.pause is Pause.BACK_OFF else Phase.REFUSED
        over = asyncio.ensure_future(self._clock.sleep(pause_s))
        try:
            await asyncio.sleep(0)  # once the state tells of the pause, it has begun
            self._enter(phase, ending.reason, pause_s)
            await _either(self._hurry.wait(), over)
        finally:
            over.cancel()

    def _pause_s(self, pause: Pause, round_: int) -> float:
        match pause:
            case Pause.BACK_OFF:
                longest_s = BACK_OFF_FIRST_S * 2 ** min(round_ - 1, 10)
                return self._rng.uniform(0, min(BACK_OFF_LONGEST_S, longest_s))
            case Pause.SLOW:
                return self._rng.uniform(SLOWEST_S / 2, SLOWEST_S)
            case Pause.LONG:
                return SLOWEST_S

    def _enter(self, phase: Phase, reason: Reason | None, retry_s: float | None = None) -> None:
        self._phase, self._reason, self._retry_s = phase, reason, retry_s
        self._since, self._since_s = self._clock.now(), self._clock.monotonic_s()
        self._on_change()

    def _heard_of_rows(self) -> None:
        self._backlog.note_news()
        self._wake.set()


async def _either(first: Coroutine[Any, Any, object], second: asyncio.Future[None]) -> None:
    waiting: asyncio.Future[Any] = asyncio.ensure_future(first)
    try:
        await asyncio.wait({waiting, second}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
