"""The publisher against a scripted broker: what goes out, and in which order."""

from __future__ import annotations

import asyncio

import pytest

from devicebridge.outbox import State
from devicebridge.publisher import Phase, Reason, client_id
from support.broker import (
    CONTENT_TYPE,
    USER_PROPERTY,
    Accept,
    Ack,
    Broker,
    Withhold,
    maximum_packet_size,
    maximum_qos,
    receive_maximum,
    retain_available,
)
from support.waiting import until

STATUS = "devicebridge/v1/main-street/exam-3/status"


def numbers(published):
    return [int(p.properties[USER_PROPERTY][1][-12:]) for p in published]


def test_a_reading_goes_out_as_promised(rig, entry):
    async def main():
        async with Broker().listening() as broker, rig(broker.port, keepalive_s=30) as r:
            await r.outbox.put([entry(7)])
            await until(lambda: broker.readings)
            [connection] = broker.connections
            assert (connection.level, connection.client_id) == (5, client_id(r.outbox.instance_id))
            assert len(connection.client_id) == 23
            assert connection.flags & 0x02, "clean start"
            assert connection.flags & 0x3C == 0x2C, "will, QoS 1, retained"
            assert (connection.will_topic, connection.will_payload) == (STATUS, b'{"state":"offline"}')
            assert connection.keepalive_s == 15, "half: so that silence is noticed within the one configured"
            [reading] = broker.readings
            assert (reading.topic, reading.payload) == (entry(7).topic, entry(7).payload)
            assert (reading.qos, reading.retain, reading.dup) == (1, False, False)
            assert reading.properties == {
                CONTENT_TYPE: "application/json",
                USER_PROPERTY: ("id", entry(7).id),
            }
            await until(lambda: r.publisher.counters.acknowledged == 1)
            assert await r.states() == {7: State.SENT}

    asyncio.run(main())


def test_order_is_kept_per_lane_with_one_in_flight_each(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Withhold()
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put(
                [entry(n, lane="cuff") for n in range(3)] + [entry(n, lane="scale") for n in range(10, 13)]
            )
            await until(lambda: len(broker.readings) == 2)
            for wanted in (1, 11, 2, 12):
                before = broker.readings[:]
                assert {p.topic.split("/")[4] for p in before[-2:]} == {"cuff", "scale"}
                lane = "cuff" if wanted < 10 else "scale"
                [open_one] = [p for p in before[-2:] if p.topic.split("/")[4] == lane]
                broker.ack(open_one.mid)
                await until(lambda before=before: len(broker.readings) == len(before) + 1)
                assert numbers(broker.readings)[-1] == wanted
            assert r.state.in_flight == 2

    asyncio.run(main())


@pytest.mark.parametrize(("ours", "theirs", "window"), [(3, None, 3), (20, 2, 2), (2, 7, 2)])
def test_the_window_is_the_smaller_of_ours_and_the_brokers(rig, entry, ours, theirs, window):
    async def main():
        broker = Broker()
        broker.on_connect = lambda c: Accept(0, receive_maximum(theirs) if theirs else b"")
        broker.on_publish = lambda p: Withhold()
        async with broker.listening(), rig(broker.port, window=ours) as r:
            await r.outbox.put([entry(n, lane=f"lane-{n}") for n in range(10)])
            await until(lambda: len(broker.readings) == window)
            assert (r.state.window, r.state.in_flight) == (window, window)
            broker.ack(broker.readings[0].mid)
            await until(lambda: len(broker.readings) == window + 1)
            await r.outbox.put([entry(99, lane="another")])
            assert r.state.in_flight == window == len(broker.readings) - 1

    asyncio.run(main())


def test_a_backlog_larger_than_what_is_fetched_ahead_arrives_once_and_in_order(rig, entry):
    async def main():
        async with Broker().listening() as broker, rig(broker.port) as r:
            for lane in ("cuff", "scale"):
                await r.outbox.put([entry(n + 1000 * (lane == "cuff"), lane=lane) for n in range(300)])
            await until(lambda: r.publisher.counters.acknowledged == 600)
            got = numbers(broker.readings)
            assert [n for n in got if n < 1000] == list(range(300))
            assert [n for n in got if n >= 1000] == list(range(1000, 1300))
            assert set((await r.states()).values()) == {State.SENT}

    asyncio.run(main())


def test_f28_what_the_broker_would_not_take_is_parked_before_it_is_sent(rig, entry):
    async def main():
        broker = Broker()
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1, payload=b"x" * 50)])
            await until(lambda: broker.readings)
        limit = broker.readings[0].size
        broker.on_connect = lambda c: Accept(0, maximum_packet_size(limit))
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(2, payload=b"x" * 51), entry(3, payload=b"x" * 50)])
            await until(lambda: r.publisher.counters.acknowledged == 1)
            assert await r.states() == {1: State.SENT, 2: State.PARKED, 3: State.SENT}
            assert await r.reason(2) == Reason.PACKET_TOO_LARGE
            assert r.publisher.counters.refused[Reason.PACKET_TOO_LARGE] == 1
        assert numbers(broker.readings) == [1, 3]

    asyncio.run(main())


@pytest.mark.parametrize("payload_bytes", [1, 50, 51, 52, 53, 16_200, 16_300, 16_400])
def test_f28_the_size_is_counted_as_the_broker_counts_it(rig, entry, payload_bytes):
    async def main():
        broker = Broker()
        broker.on_connect = lambda c: Accept(0, maximum_packet_size(1 << 20))
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1, payload=b"x" * payload_bytes)])
            await until(lambda: broker.readings)
        broker.on_connect = lambda c: Accept(0, maximum_packet_size(broker.readings[0].size - 1))
        async with broker.listening(), rig(broker.port) as r:
            assert await r.outbox.resend(seqs=[1]) == 1
            await until(lambda: r.publisher.counters.parked)

    asyncio.run(main())


def test_an_impossible_topic_is_parked_and_nothing_waits(rig, entry):
    async def main():
        async with Broker().listening() as broker, rig(broker.port) as r:
            await r.outbox.put([entry(1, topic="a/+/b"), entry(2, topic="x" * 70_000), entry(3)])
            await until(lambda: r.publisher.counters.acknowledged == 1)
            assert await r.states() == {1: State.PARKED, 2: State.PARKED, 3: State.SENT}
            assert await r.reason(1) == Reason.TOPIC_INVALID

    asyncio.run(main())


def test_a_broker_without_qos_1_is_refused(rig):
    async def main():
        broker = Broker()
        broker.on_connect = lambda c: Accept(0, maximum_qos(0))
        async with broker.listening(), rig(broker.port) as r:
            state = await r.resting()
            assert (state.phase, state.reason) == (Phase.REFUSED, Reason.QOS_NOT_SUPPORTED)

    asyncio.run(main())


def test_announcements_are_retained_first_latest_only_and_again_on_every_connect(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Withhold()
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1)])
            r.publisher.announce(STATUS, b"one")
            await until(lambda: len(broker.published) == 2)
            assert [(p.topic, p.payload, p.qos, p.retain) for p in broker.published[:1]] == [(STATUS, b"one", 1, True)]
            assert broker.published[0].properties == {CONTENT_TYPE: "application/json"}
            for text in (b"two", b"three", b"four"):
                r.publisher.announce(STATUS, text)
            broker.on_publish = lambda p: Ack()
            broker.ack(broker.published[0].mid)
            await until(lambda: len(broker.published) == 3)
            assert broker.published[2].payload == b"four"
            broker.hang_up()
            await r.retry()
            await until(lambda: len(broker.published) == 5)
            assert [p.payload for p in broker.published[3:]] == [b"four", entry(1).payload]

    asyncio.run(main())


def test_an_unchanged_announcement_is_not_repeated(rig, entry):
    async def main():
        async with Broker().listening() as broker, rig(broker.port) as r:
            r.publisher.announce(STATUS, b"one")
            await until(lambda: broker.published)
            r.publisher.announce(STATUS, b"one")
            await r.outbox.put([entry(1)])
            await until(lambda: broker.readings)
            assert len(broker.published) == 2

    asyncio.run(main())


def test_a_broker_that_retains_nothing_gets_nothing_retained(rig):
    async def main():
        broker = Broker()
        broker.on_connect = lambda c: Accept(0, retain_available(0))
        async with broker.listening(), rig(broker.port) as r:
            r.publisher.announce(STATUS, b"one")
            await until(lambda: broker.published)
            assert not broker.published[0].retain

    asyncio.run(main())


def test_a_refused_status_is_visible_and_not_repeated(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Ack(0x87 if p.retain else 0)
        async with broker.listening(), rig(broker.port) as r:
            r.publisher.announce(STATUS, b"one")
            await until(lambda: r.state.status_refused is Reason.NOT_AUTHORIZED)
            await r.outbox.put([entry(1)])
            await until(lambda: r.publisher.counters.acknowledged == 1)
            assert len(broker.published) == 2

    asyncio.run(main())


def test_a_stop_waits_for_answers_under_way_and_leaves_cleanly(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Withhold()
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1), entry(2)])
            await until(lambda: broker.readings)
            r.task.cancel()
            await asyncio.sleep(0)
            broker.ack(broker.readings[0].mid)
            await asyncio.wait({r.task})
            await until(lambda: broker.connections[0].clean_end)
            assert await r.states() == {1: State.SENT, 2: State.PENDING}
            assert len(broker.published) == 1
            assert r.state.phase is Phase.STOPPED

    asyncio.run(main())


def test_a_stop_is_bounded_when_answers_do_not_come(rig, entry, clock):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Withhold()
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1)])
            await until(lambda: broker.readings)
            stopping_s = clock.monotonic_s()
            await r.stop()
            assert 2 <= clock.monotonic_s() - stopping_s <= 4
            assert await r.states() == {1: State.PENDING}

    asyncio.run(main())


def test_farewell_is_told_before_the_end(rig):
    async def main():
        async with Broker().listening() as broker, rig(broker.port) as r:
            await r.connected()
            r.publisher.announce(STATUS, b"online")
            assert await r.publisher.farewell(STATUS, b"stopped") is True
            assert broker.published[-1].payload == b"stopped"

    asyncio.run(main())


def test_farewell_is_bounded(rig, clock):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Withhold()
        async with broker.listening(), rig(broker.port) as r:
            await r.connected()
            leaving = asyncio.create_task(r.publisher.farewell(STATUS, b"stopped"))
            await until(lambda: broker.published)
            clock.advance(2)
            assert await leaving is False
        async with rig(broker.port) as r:
            await r.resting()
            assert await r.publisher.farewell(STATUS, b"stopped") is False

    asyncio.run(main())


def test_what_an_operator_parks_is_not_sent(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Withhold()
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(n) for n in range(1, 5)])
            await until(lambda: broker.readings)
            assert await r.outbox.park([2, 3], "operator") == 2
            broker.on_publish = lambda p: Ack()
            broker.ack(broker.readings[0].mid)
            await until(lambda: r.publisher.counters.acknowledged == 2)
            assert numbers(broker.readings) == [1, 4]

    asyncio.run(main())


def test_f33_rows_sent_again_carry_the_same_id(rig, entry):
    async def main():
        async with Broker().listening() as broker, rig(broker.port) as r:
            await r.outbox.put([entry(1), entry(2)])
            await until(lambda: r.publisher.counters.acknowledged == 2)
            assert await r.outbox.resend(ids=[entry(1).id]) == 1
            await until(lambda: r.publisher.counters.acknowledged == 3)
            assert numbers(broker.readings) == [1, 2, 1]

    asyncio.run(main())


def test_3_1_1_works_and_says_what_it_cannot_see(rig, entry):
    async def main():
        async with Broker().listening() as broker, rig(broker.port, protocol="3.1.1") as r:
            await r.outbox.put([entry(1)])
            await until(lambda: r.publisher.counters.acknowledged == 1)
            assert broker.connections[0].level == 4
            assert (r.state.protocol, r.state.refusals_visible) == ("3.1.1", False)

    asyncio.run(main())


def test_credentials_are_read_at_connect(rig, tmp_path):
    secret = tmp_path / "password"

    async def main():
        async with Broker().listening() as broker, rig(broker.port, username="pc", password_file=secret) as r:
            state = await r.resting()
            assert (state.phase, state.reason, broker.attempts) == (Phase.REFUSED, Reason.PASSWORD_FILE, 0)
            secret.write_text("hunter2\n")
            await r.retry()
            await r.connected()
            assert (broker.connections[0].username, broker.connections[0].password) == ("pc", "hunter2")

    asyncio.run(main())
