"""The broker's side: two real ones, each behind a proxy and each with a subscriber, and a scripted one in their place.

The first keeps its memory on disk, the second loses it when it is killed. After a broker's death its way stays shut
until its subscriber is back: a broker takes a reading that nobody listens for, says so (F29), and forgets it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support import broker as scripted
from support.mosquitto import Mosquitto
from support.proxy import Proxy, Way

from .consumer import Arrival, Subscriber
from .plan import Episode, Fault

KEEPING = "persistence true\npersistence_location {folder}/\nautosave_interval 1\nautosave_on_changes true\n"
UNBOUNDED = "max_queued_messages 0"
BACK_S = 60.0
"""For a subscriber to be back after its broker is."""

WAYS: dict[Fault, tuple[Way, Way]] = {
    Fault.STALL: (Way.STALL, Way.STALL),
    Fault.STALL_ANSWERS: (Way.PASS, Way.STALL),
    Fault.TRICKLE: (Way.TRICKLE, Way.TRICKLE),
    Fault.BLACK_HOLE: (Way.LOSE, Way.LOSE),
}
"""Up to the broker, and down from it."""

CONNACKS = (0x80, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x97, 0x9C, 0x9D, 0x9F)
DISCONNECTS = (0x80, 0x81, 0x82, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x93, 0x96, 0x97, 0x98, 0x9C, 0xA0)
PUBACKS: dict[Fault, tuple[int, ...]] = {
    Fault.PUBACK: (0x80, 0x83, 0x91),
    Fault.PUBACK_HOLD: (0x87, 0x97),
    Fault.PUBACK_PARK: (0x90, 0x99),
    Fault.NOBODY: (0x10,),
}
TAKEN = (0x00, 0x10)


@dataclass
class Place:
    """One address of the daemon's configuration."""

    broker: Mosquitto
    subscriber: Subscriber
    proxy: Proxy


class Brokers:
    def __init__(self, places: list[Place], script: scripted.Broker, arrivals: deque[Arrival]) -> None:
        self.places = places
        self.arrivals = arrivals
        self._script = script

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator[Brokers]:
        arrivals: deque[Arrival] = deque()
        with ExitStack() as stack:
            places = []
            for name, listener in (("keeping", KEEPING), ("forgetful", "")):
                home = folder / name
                broker = stack.enter_context(Mosquitto(home, listener=listener.format(folder=home), general=UNBOUNDED))
                subscriber = stack.enter_context(Subscriber(broker.port, arrivals))
                places.append(Place(broker, subscriber, Proxy(broker.port)))
            brokers = cls(places, scripted.Broker(), arrivals)
            async with places[0].proxy.listening(), places[1].proxy.listening():
                yield brokers

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.0.1:{place.proxy.port}" for place in self.places]

    async def suffer(self, episode: Episode) -> None:
        """The fault for as long as it lasts, and its mending."""
        match episode.fault:
            case fault if fault in WAYS:
                up, down = WAYS[fault]
                for place in self._chosen(episode):
                    place.proxy.set(up=up, down=down)
                await asyncio.sleep(episode.lasts_s)
                for place in self.places:
                    place.proxy.set()
            case Fault.CUT:
                for place in self._chosen(episode):
                    place.proxy.cut()
            case Fault.HALF_CLOSE:
                for place in self.places:
                    place.proxy.half_close(up=bool(episode.choice & 4))
                await asyncio.sleep(episode.lasts_s)
            case Fault.SHUT:
                await self._shut(episode.lasts_s)
            case Fault.BROKER_KILL:
                await self._killed(self._used(episode), episode.lasts_s)
            case Fault.BROKER_FREEZE:
                place = self._used(episode)
                place.broker.freeze()
                try:
                    await asyncio.sleep(episode.lasts_s)
                finally:
                    place.broker.thaw()
            case _:
                await self._scripted(episode)

    def _used(self, episode: Episode) -> Place:
        """The one that the daemon is connected to; any, if it is to none."""
        used = [place for place in self.places if place.proxy.connections]
        return (used or self.places)[episode.choice % len(used or self.places)]

    def _chosen(self, episode: Episode) -> list[Place]:
        """All, or the one that is used: then there is another to go to."""
        return self.places if episode.choice & 8 else [self._used(episode)]

    async def _shut(self, seconds: float) -> None:
        for place in self.places:
            place.proxy.is_open = False
            place.proxy.cut()
        await asyncio.sleep(seconds)
        for place in self.places:
            place.proxy.is_open = True

    async def _killed(self, place: Place, seconds: float) -> None:
        place.proxy.is_open = False
        place.broker.kill()
        place.proxy.cut()
        await asyncio.sleep(seconds)
        place.subscriber.is_subscribed.clear()
        await asyncio.to_thread(place.broker.start)
        assert await asyncio.to_thread(place.subscriber.is_subscribed.wait, BACK_S), "the subscriber is not back"
        place.proxy.is_open = True

    async def _scripted(self, episode: Episode) -> None:
        """In the place of every broker stands one that answers as it likes."""
        rng = random.Random(episode.choice)
        self._script.on_connect, self._script.on_publish = _answers(episode.fault, rng, self._took)
        async with self._script.listening():
            for place in self.places:
                place.proxy.target = self._script.port
                place.proxy.cut()
            await asyncio.sleep(episode.lasts_s)
            for place in self.places:
                place.proxy.target = place.broker.port
                place.proxy.cut()
        self._script.published.clear()
        self._script.connections.clear()

    def _took(self, published: scripted.Published) -> None:
        if not published.retain:
            self.arrivals.append(Arrival(time.monotonic(), published.topic, published.payload))


def _answers(
    fault: Fault, rng: random.Random, took: Callable[[scripted.Published], None]
) -> tuple[Callable[[scripted.Connected], scripted.Reply], Callable[[scripted.Published], scripted.Reply]]:
    """To CONNECT and to PUBLISH: one that it takes has arrived."""

    def connect(_: scripted.Connected) -> scripted.Reply:
        if fault is not Fault.CONNACK:
            return scripted.Accept()
        return rng.choice((scripted.Accept(rng.choice(CONNACKS)), scripted.Withhold(), scripted.Close()))

    def publish(published: scripted.Published) -> scripted.Reply:
        if published.retain:
            return scripted.Ack()
        if fault is Fault.NO_PUBACK:
            return rng.choice((scripted.Withhold(), scripted.Close()))
        if fault is Fault.DISCONNECT:
            return scripted.Disconnect(rng.choice(DISCONNECTS))
        code = rng.choice((*PUBACKS[fault], *TAKEN[: fault is not Fault.NOBODY]))
        if code in TAKEN:
            took(published)
        return scripted.Ack(code)

    return connect, publish
