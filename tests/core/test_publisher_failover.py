"""Several brokers: whatever the one does, the next takes over, and each device's readings keep their order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from devicebridge.publisher import Phase, Reason
from devicebridge.publisher.reasons import ACK_TIMEOUT, CONNACK, DISCONNECT, Blame, Pause
from support.broker import USER_PROPERTY, Accept, Ack, Broker, Disconnect, Published, Withhold, in_turn
from support.waiting import until

LANES = ("cuff", "scale")
ROWS = 8
MALFORMED = b"\x02\x7f\x00"
"""Two bytes of properties, and no property has that number: MQTT 5.0, section 2.2.2.2."""


class Rude(Broker):
    def say(self, data: bytes) -> None:
        self._writers[-1].write(data)


def readings(entry):
    """Alternately of either device."""
    return [entry(number, lane=LANES[number % 2]) for number in range(1, ROWS + 1)]


def in_order(published: Iterable[Published]) -> dict[str, list[int]]:
    """Each device's readings by their numbers, repeats left out."""
    numbers: dict[str, dict[int, None]] = {lane: {} for lane in LANES}
    for each in published:
        numbers[each.topic.split("/")[4]][int(each.properties[USER_PROPERTY][1][-12:])] = None
    return {lane: list(known) for lane, known in numbers.items()}


WANTED = {lane: [n for n in range(1, ROWS + 1) if LANES[n % 2] == lane] for lane in LANES}


@pytest.mark.parametrize("code", sorted(CONNACK), ids=hex)
def test_f27_a_broker_that_refuses_us_leaves_the_next_one_to_be_tried_at_once(rig, entry, code):
    """0x9c and 0x9d, "use another server", too: followed to the next address of the config, and to no other."""

    async def main():
        refusing, other = Broker(), Broker()
        refusing.on_connect = lambda c: Accept(code)
        async with refusing.listening(), other.listening(), rig(refusing.port, other.port) as r:
            await r.outbox.put(readings(entry))
            await until(lambda: r.publisher.counters.acknowledged == ROWS)
            assert r.clock.monotonic_s() == 0
            assert in_order(other.readings) == WANTED
            assert not refusing.readings

    asyncio.run(main())


ENDINGS = [code for code, ending in DISCONNECT.items() if ending.blame in (Blame.NONE, Blame.ALL)]


@pytest.mark.parametrize("code", sorted(ENDINGS), ids=hex)
def test_f26_a_broker_that_disconnects_us_half_way_is_followed_by_the_next_in_order(rig, entry, code):
    async def main():
        first, second = Broker(), Broker()
        first.on_publish = in_turn(Ack(), Ack(), Ack(), then=Disconnect(code))
        async with first.listening(), second.listening(), rig(first.port, second.port) as r:
            await r.outbox.put(readings(entry))
            if DISCONNECT[code].pause is Pause.LONG:
                await r.retry()
            await until(lambda: r.publisher.counters.acknowledged == ROWS)
            assert in_order([*first.readings, *second.readings]) == WANTED
            assert len(first.readings) + len(second.readings) <= ROWS + len(LANES)

    asyncio.run(main())


def test_f26_a_broker_that_falls_silent_half_way_is_followed_by_the_next_in_order(rig, entry, clock):
    async def main():
        silent, other = Broker(), Broker()
        silent.on_publish = in_turn(Ack(), Ack(), Ack(), then=Withhold())
        async with silent.listening(), other.listening(), rig(silent.port, other.port, ack_timeout_s=10) as r:
            await r.outbox.put(readings(entry))
            await until(lambda: r.publisher.counters.acknowledged == 3 and r.state.in_flight == len(LANES))
            clock.advance(10)
            await until(lambda: r.publisher.counters.acknowledged == ROWS)
            assert ACK_TIMEOUT.reason in {state.reason for state in r.changes}
            assert in_order([*silent.readings, *other.readings]) == WANTED

    asyncio.run(main())


def test_f34_a_broker_that_talks_nonsense_is_left_for_the_next(rig, entry):
    async def main():
        rude, other = Rude(), Broker()
        rude.on_publish = lambda p: rude.say(b"\x40\x06" + p.mid.to_bytes(2, "big") + b"\x00" + MALFORMED) or Withhold()
        async with rude.listening(), other.listening(), rig(rude.port, other.port) as r:
            await r.outbox.put(readings(entry))
            await until(lambda: r.publisher.counters.acknowledged == ROWS)
            assert r.state.phase is Phase.CONNECTED
            assert Reason.LOST in {state.reason for state in r.changes}
            assert in_order(other.readings) == WANTED

    asyncio.run(main())
