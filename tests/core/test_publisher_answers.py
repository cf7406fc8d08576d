"""F27, F29: what becomes of a row for each reason code a PUBACK may carry (MQTT 5.0 section 3.4.2.1)."""

from __future__ import annotations

import asyncio

import pytest

from devicebridge.outbox import State
from devicebridge.publisher import Phase, Reason
from support.broker import USER_PROPERTY, Ack, Broker, Withhold, in_turn
from support.waiting import until


def numbers(published):
    return [int(p.properties[USER_PROPERTY][1][-12:]) for p in published]


def refuse_only(number: int, code: int):
    return lambda p: Ack(code if p.payload == b'{"n": %d}' % number else 0)


async def advance_until(r, condition, step_s: float = 0.5) -> None:
    """Lets time go by until it is so."""

    def tried() -> bool:
        if not condition():
            r.clock.advance(step_s)
        return condition()

    await until(tried)


def test_f27_success_settles(rig, entry):
    async def main():
        async with Broker().listening() as broker, rig(broker.port) as r:
            await r.outbox.put([entry(1)])
            await until(lambda: r.publisher.counters.acknowledged == 1)
            assert await r.states() == {1: State.SENT}
            assert not r.state.nobody_listening

    asyncio.run(main())


def test_f29_no_subscriber_settles_and_is_visible_until_somebody_listens(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Ack(0x10)
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1), entry(2, lane="scale")])
            await until(lambda: len(r.state.unheard) == 2)
            assert r.state.nobody_listening and r.changes[-1].nobody_listening
            assert await r.states() == {1: State.SENT, 2: State.SENT}
            broker.on_publish = lambda p: Ack()
            await r.outbox.put([entry(3)])
            await until(lambda: r.state.unheard == {entry(2, lane="scale").topic})
            await r.outbox.put([entry(4, lane="scale")])
            await until(lambda: not r.state.nobody_listening)
            assert not r.changes[-1].nobody_listening

    asyncio.run(main())


@pytest.mark.parametrize(("code", "reason"), [(0x87, Reason.NOT_AUTHORIZED), (0x97, Reason.QUOTA_EXCEEDED)])
def test_f27_a_refused_topic_holds_its_lane_for_as_long_as_it_takes(rig, entry, code, reason):
    async def main():
        broker = Broker()
        broker.on_publish = refuse_only(1, code)
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1), entry(2), entry(10, lane="scale")])
            await until(lambda: r.publisher.counters.acknowledged == 1 and r.state.held)
            [held] = r.state.held
            assert (held.lane, held.topic, held.reason) == ("cuff", entry(1).topic, reason)
            assert r.changes[-1].held == (held,)
            for tries, pause_s in enumerate((5, 10, 20, 40, 80, 160, 300, 300), start=1):
                await until(lambda tries=tries: r.publisher.counters.refused[reason] == tries)
                r.clock.advance(pause_s - 0.6)
                await asyncio.sleep(0.01)
                assert numbers(broker.readings).count(1) == tries
                r.clock.advance(0.6)
            await r.outbox.put([entry(11, lane="scale")])
            await until(lambda: r.publisher.counters.acknowledged == 2)
            assert await r.states() == {1: State.PENDING, 2: State.PENDING, 10: State.SENT, 11: State.SENT}
            assert 2 not in numbers(broker.readings), "order is kept behind a refused row"
            broker.on_publish = lambda p: Ack()
            await advance_until(r, lambda: r.publisher.counters.acknowledged == 4, step_s=10)
            assert numbers(broker.readings)[-2:] == [1, 2]
            assert not r.state.held and not r.changes[-1].held
            assert r.publisher.counters.parked == 0

    asyncio.run(main())


@pytest.mark.parametrize(("code", "reason"), [(0x90, Reason.TOPIC_INVALID), (0x99, Reason.PAYLOAD_INVALID)])
def test_f27_a_row_that_is_invalid_is_parked_at_once(rig, entry, code, reason):
    async def main():
        broker = Broker()
        broker.on_publish = refuse_only(1, code)
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1), entry(2)])
            await until(lambda: r.publisher.counters.acknowledged == 1)
            assert await r.states() == {1: State.PARKED, 2: State.SENT}
            assert await r.reason(1) == reason
            assert (r.publisher.counters.refused[reason], r.publisher.counters.parked) == (1, 1)
            broker.on_publish = lambda p: Ack()
            await r.outbox.resend(ids=[entry(1).id])
            await until(lambda: r.publisher.counters.acknowledged == 2)

    asyncio.run(main())


@pytest.mark.parametrize(("code", "reason"), [(0x80, Reason.UNSPECIFIED), (0x83, Reason.IMPLEMENTATION)])
def test_f27_a_vague_refusal_is_tried_five_times_then_alone_then_parked(rig, entry, code, reason):
    async def main():
        broker = Broker()
        broker.on_publish = refuse_only(1, code)
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1), entry(2), entry(10, lane="scale")])
            await advance_until(r, lambda: r.publisher.counters.parked == 1)
            await until(lambda: r.publisher.counters.acknowledged == 2)
            assert numbers(broker.readings).count(1) == 6
            assert await r.states() == {1: State.PARKED, 2: State.SENT, 10: State.SENT}
            assert await r.reason(1) == reason
            assert r.state.held == ()

    asyncio.run(main())


def test_f27_a_vague_refusal_that_passes_is_forgotten(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = in_turn(*[Ack(0x80)] * 4)
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1)])
            await advance_until(r, lambda: r.publisher.counters.acknowledged == 1)
            [row] = await r.outbox.rows(limit=1)
            assert (row.state, row.attempts, row.reason) == (State.SENT, 5, None)

    asyncio.run(main())


def test_f27_packet_identifier_in_use_takes_a_new_connection(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = in_turn(Ack(0x91))
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1)])
            await until(lambda: r.state.phase is Phase.WAITING)
            assert r.state.reason is Reason.ID_IN_USE
            await advance_until(r, lambda: r.publisher.counters.acknowledged == 1)
            assert len(broker.connections) == 2

    asyncio.run(main())


def test_while_a_suspect_is_in_flight_nothing_else_is(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = refuse_only(1, 0x80)
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1)])
            await advance_until(r, lambda: r.publisher.counters.refused[Reason.UNSPECIFIED] == 5)
            broker.on_publish = lambda p: Withhold()
            await advance_until(r, lambda: numbers(broker.readings).count(1) == 6)
            r.publisher.announce("status", b"new")
            await r.outbox.put([entry(10, lane="scale")])
            assert r.state.in_flight == 1
            broker.on_publish = lambda p: Ack()
            broker.ack(broker.readings[-1].mid)
            await until(lambda: r.publisher.counters.acknowledged == 2)
            assert [p.payload for p in broker.published[-2:]] == [b"new", entry(10).payload]

    asyncio.run(main())
