"""Every way a connection may fail to begin or may end, and what follows from it."""

from __future__ import annotations

import asyncio
import socket

import pytest

from devicebridge.outbox import Fault, OutboxFailed, State
from devicebridge.publisher import Phase, Reason
from devicebridge.publisher.reasons import CONNACK, DISCONNECT, PUBACK, Blame, Pause
from support.broker import USER_PROPERTY, Accept, Ack, Broker, Close, Disconnect, Withhold, in_turn
from support.waiting import until

BACK_OFF = (1, 2, 4, 8, 16, 32, 60, 60)


def numbers(published):
    return [int(p.properties[USER_PROPERTY][1][-12:]) for p in published]


def poison(number: int, reply):
    """One reading that the broker cannot stand; all else it takes."""
    return lambda p: reply if p.payload == b'{"n": %d}' % number else Ack()


async def go_on_until(r, condition) -> None:
    """Lets every pause go by until it is so."""

    def tried() -> bool:
        if not condition() and r.state.phase in (Phase.WAITING, Phase.REFUSED):
            r.clock.advance(r.state.retry_s)
        return condition()

    await until(tried)


# CONNACK


@pytest.mark.parametrize("code", sorted(CONNACK), ids=hex)
def test_each_refused_connect_waits_as_the_table_says(rig, entry, code):
    async def main():
        broker = Broker()
        broker.on_connect = lambda c: Accept(code)
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1)])
            ending = CONNACK[code]
            state = await r.resting()
            assert state.reason is ending.reason
            assert state.phase is (Phase.WAITING if ending.pause is Pause.BACK_OFF else Phase.REFUSED)
            assert state.retry_s == (1 if ending.pause is Pause.BACK_OFF else 60)
            assert r.changes[-1].reason is ending.reason
            broker.on_connect = lambda c: Accept()
            await r.retry()
            await until(lambda: r.publisher.counters.acknowledged == 1)
            assert (r.state.phase, r.state.reason, r.state.reconnects) == (Phase.CONNECTED, None, 0)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("code", "reason"),
    [  # MQTT 3.1.1 section 3.2.2.3
        (1, Reason.PROTOCOL_VERSION),
        (2, Reason.CLIENT_ID_INVALID),
        (3, Reason.UNAVAILABLE),
        (4, Reason.BAD_CREDENTIALS),
        (5, Reason.NOT_AUTHORIZED),
    ],
)
def test_each_refused_connect_of_3_1_1(rig, code, reason):
    async def main():
        broker = Broker()
        broker.on_connect = lambda c: Accept(code)
        async with broker.listening(), rig(broker.port, protocol="3.1.1") as r:
            assert (await r.resting()).reason is reason
            assert len(broker.connections) == 1, "no falling back to 3.1 by itself"

    asyncio.run(main())


def test_a_3_1_1_broker_answering_version_5_is_told_from_others(rig):
    async def main():
        broker = Broker()
        broker.on_connect = lambda c: Accept(1)
        async with broker.listening(), rig(broker.port) as r:
            state = await r.resting()
            assert (state.phase, state.reason) == (Phase.REFUSED, Reason.PROTOCOL_VERSION)

    asyncio.run(main())


def test_no_connack_in_time(rig, clock):
    async def main():
        broker = Broker()
        broker.on_connect = lambda c: Withhold()
        async with broker.listening(), rig(broker.port, connect_timeout_s=10) as r:
            await until(lambda: broker.connections)
            clock.advance(9)
            await asyncio.sleep(0)
            assert r.state.phase is Phase.CONNECTING
            clock.advance(1)
            assert (await r.resting()).reason is Reason.NO_ANSWER

    asyncio.run(main())


def test_a_broker_that_hangs_up_on_connect(rig):
    async def main():
        broker = Broker()
        broker.on_connect = lambda c: Close()
        async with broker.listening(), rig(broker.port) as r:
            assert (await r.resting()).reason is Reason.HUNG_UP

    asyncio.run(main())


def test_f25_no_broker_then_one(rig, entry, free_port):
    async def main():
        broker = Broker()
        broker.port = free_port
        async with rig(free_port) as r:
            await r.outbox.put([entry(n) for n in range(5)])
            pauses = []
            for _ in BACK_OFF:
                state = await r.resting()
                assert (state.phase, state.reason) == (Phase.WAITING, Reason.UNREACHABLE)
                pauses.append(state.retry_s)
                await r.retry()
            assert tuple(pauses) == BACK_OFF
            async with broker.listening():
                await go_on_until(r, lambda: r.publisher.counters.acknowledged == 5)
                assert numbers(broker.readings) == [0, 1, 2, 3, 4]

    asyncio.run(main())


def test_an_unknown_name(rig, free_port):
    async def main():
        async with rig(free_port, host="no-such-host.invalid") as r:
            assert (await r.resting()).reason is Reason.NAME_UNKNOWN

    asyncio.run(main())


def test_fail_over_tries_every_address_before_it_waits(rig, entry, free_port):
    async def main():
        first, second = Broker(), Broker()
        async with first.listening(), second.listening(), rig(free_port, first.port, second.port) as r:
            await until(lambda: r.state.phase is Phase.CONNECTED)
            assert r.state.address == f"127.0.0.1:{first.port}"
            assert Phase.WAITING not in {s.phase for s in r.changes}
            first.hang_up()
            await until(lambda: r.state.address == f"127.0.0.1:{second.port}" and r.state.phase is Phase.CONNECTED)
            await r.outbox.put([entry(1)])
            await until(lambda: second.readings)
            first.on_connect = second.on_connect = lambda c: Accept(0x88)
            second.hang_up()
            assert (await r.resting()).retry_s == 1
            attempts = first.attempts + second.attempts
            await r.retry()
            assert (await r.resting()).retry_s == 2
            assert first.attempts + second.attempts == attempts + 2

    asyncio.run(main())


# The end of a connection that stood


@pytest.mark.parametrize("code", sorted(DISCONNECT), ids=hex)
def test_each_disconnect_waits_as_the_table_says_and_loses_nothing(rig, entry, code):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Withhold()
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1)])
            await until(lambda: broker.readings)
            broker.on_publish = lambda p: Ack()
            broker.disconnect(code)
            ending = DISCONNECT[code]
            state = await r.resting()
            assert state.reason is ending.reason
            assert state.phase is (Phase.WAITING if ending.pause is Pause.BACK_OFF else Phase.REFUSED)
            assert state.retry_s == (1 if ending.pause is Pause.BACK_OFF else 60)
            assert state.reconnects == 1
            row_is_refused = ending.blame in (Blame.PARK, Blame.LARGEST)
            assert await r.states() == {1: State.PARKED if row_is_refused else State.PENDING}
            assert await r.reason(1) == ending.reason
            if not row_is_refused:
                await r.retry()
                await r.connected()
                await go_on_until(r, lambda: r.publisher.counters.acknowledged or r.state.held)
                assert bool(r.state.held) == (ending.blame is Blame.HOLD)

    asyncio.run(main())


def test_the_tables_cover_every_code_the_standard_allows():
    """MQTT 5.0 table 2-6, for what paho lets through; subscriptions, aliases and AUTH do not concern a publisher."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.reasoncodes import ReasonCode

    def allowed(packet: int) -> set[int]:
        return {code for code, names in ReasonCode.names.items() if any(packet in kinds for kinds in names.values())}

    unrelated = {0x04, 0x8F, 0x94, 0x9E, 0xA1, 0xA2}
    assert allowed(PacketTypes.PUBACK) == PUBACK.keys()
    assert allowed(PacketTypes.CONNACK) - {0} == CONNACK.keys()
    assert allowed(PacketTypes.DISCONNECT) - unrelated == DISCONNECT.keys()


def test_f32_taken_over_by_a_twin_waits_a_minute_on_every_address(rig, free_port):
    async def main():
        broker = Broker()
        async with broker.listening(), rig(broker.port, free_port) as r:
            await r.connected()
            broker.disconnect(0x8E)
            state = await r.resting()
            assert (state.phase, state.reason, state.retry_s) == (Phase.REFUSED, Reason.SESSION_TAKEN_OVER, 60)
            assert broker.attempts == 1

    asyncio.run(main())


def test_f32_a_twin_is_noticed_though_the_broker_does_not_tell(rig, entry, clock):
    async def main():
        broker = Broker()
        async with broker.listening(), rig(broker.port) as r:
            for phase, reason in [
                (Phase.WAITING, Reason.LOST),
                (Phase.WAITING, Reason.LOST),
                (Phase.REFUSED, Reason.KICKED),
                (Phase.REFUSED, Reason.KICKED),
            ]:
                await r.connected()
                await r.outbox.put([entry(len(broker.connections))])
                await until(lambda: r.publisher.counters.acknowledged == len(broker.connections))
                broker.hang_up()
                state = await r.resting()
                assert (state.phase, state.reason) == (phase, reason)
                await r.retry()
            assert state.retry_s == 60
            await r.connected()
            clock.advance(60)
            broker.hang_up()
            assert (await r.resting()).reason is Reason.LOST, "one that lasted"

    asyncio.run(main())


def test_f26_rows_in_flight_at_a_loss_go_again_first_and_in_order(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Withhold()
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(n) for n in range(3)])
            await until(lambda: broker.readings)
            broker.hang_up()
            assert (await r.resting()).reason is Reason.LOST
            assert r.publisher.counters.redelivered == 1
            broker.on_publish = lambda p: Ack()
            await r.retry()
            await until(lambda: r.publisher.counters.acknowledged == 3)
            assert numbers(broker.readings) == [0, 0, 1, 2]
            assert {p.connection for p in broker.readings[1:]} == {2}
            assert not any(p.dup for p in broker.readings), "a new client and a new session: nothing was sent before"

    asyncio.run(main())


def test_f30_an_answer_lost_with_the_connection_sends_the_same_id_again(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = in_turn(Close())
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1)])
            await go_on_until(r, lambda: r.publisher.counters.acknowledged == 1)
            assert numbers(broker.readings) == [1, 1]

    asyncio.run(main())


def test_f26_a_connection_without_answers_is_given_up(rig, entry, clock):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Withhold()
        async with broker.listening(), rig(broker.port, ack_timeout_s=30) as r:
            await r.outbox.put([entry(1)])
            await until(lambda: r.state.in_flight)
            clock.advance(29)
            await asyncio.sleep(0.01)
            assert r.state.phase is Phase.CONNECTED
            clock.advance(1)
            assert (await r.resting()).reason is Reason.ACK_TIMEOUT
            broker.on_publish = lambda p: Ack()
            await r.retry()
            await until(lambda: r.publisher.counters.acknowledged == 1)

    asyncio.run(main())


def test_a_broker_that_answers_nothing_never_gets_a_row_parked(rig, entry, clock):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Withhold()
        async with broker.listening(), rig(broker.port, ack_timeout_s=30) as r:
            r.publisher.announce("status", b"x")
            await r.outbox.put([entry(1)])
            for turn in range(1, 8):
                await until(lambda turn=turn: r.state.in_flight and len(broker.connections) == turn)
                clock.advance(30)
                await r.retry()
            assert r.publisher.counters.parked == 0

    asyncio.run(main())


def test_a_row_never_answered_while_others_are_is_found_out_and_parked(rig, entry, clock):
    async def main():
        broker = Broker()
        broker.on_publish = poison(1, Withhold())
        async with broker.listening(), rig(broker.port, ack_timeout_s=30) as r:
            r.publisher.announce("status", b"x")
            await r.outbox.put([entry(1), entry(2)])
            for turn in range(3):
                await r.outbox.put([entry(10 + turn, lane="scale")])
                await until(lambda turn=turn: r.publisher.counters.acknowledged == turn + 1 and r.state.in_flight == 1)
                clock.advance(30)
                await r.retry()
            await until(lambda: numbers(broker.readings).count(1) == 4)
            clock.advance(30)
            await r.retry()
            await until(lambda: r.publisher.counters.acknowledged == 4)
            assert await r.reason(1) == Reason.ACK_TIMEOUT
            assert (await r.states())[2] is State.SENT

    asyncio.run(main())


@pytest.mark.parametrize("reply", [Close(), Disconnect(0x80), Disconnect(0x82), Ack(0x95)], ids=str)
def test_a_poison_row_is_found_parked_and_nothing_behind_it_waits(rig, entry, reply):
    """0x95 is not legal in a PUBACK (mosquitto 2.0 sends it all the same), so paho ends the connection."""

    async def main():
        broker = Broker()
        broker.on_publish = poison(1, reply)
        async with broker.listening(), rig(broker.port) as r:
            r.publisher.announce("status", b"x")
            innocent = [entry(10 * lane + n, lane=f"lane-{lane}") for lane in range(1, 5) for n in range(3)]
            await r.outbox.put([entry(1), entry(2), *innocent])
            await go_on_until(r, lambda: r.publisher.counters.acknowledged == 13)
            states = await r.states()
            assert [n for n, state in states.items() if state is State.PARKED] == [1]
            assert await r.reason(1) == Reason.BREAKS_CONNECTION
            assert numbers(broker.readings).count(1) == 4
            last = [p for p in broker.published if p.connection == 4][:2]
            assert (last[0].retain, last[1].payload) == (True, b'{"n": 1}'), (
                "alone, over a connection known to be sound"
            )

    asyncio.run(main())


def test_a_bad_network_never_gets_a_row_parked(rig, entry):
    """The connection breaks again and again before anything was answered: that proves nothing against the row."""

    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Close()
        async with broker.listening(), rig(broker.port) as r:
            r.publisher.announce("status", b"x")
            await r.outbox.put([entry(1), entry(2, lane="scale")])
            await go_on_until(r, lambda: len(broker.connections) == 20)
            broker.on_publish = lambda p: Ack()
            await go_on_until(r, lambda: r.publisher.counters.acknowledged == 2)
            await until(lambda: any(p.retain and p.connection > 19 for p in broker.published))
            assert r.publisher.counters.parked == 0

    asyncio.run(main())


def test_f28_disconnected_for_size_parks_the_largest_and_does_not_send_it_again(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Disconnect(0x95) if len(p.payload) > 100 else Withhold()
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1), entry(2, lane="scale"), entry(3, lane="ecg", payload=b"x" * 101)])
            await r.resting()
            broker.on_publish = lambda p: Ack()
            await go_on_until(r, lambda: r.publisher.counters.acknowledged == 2)
            assert await r.states() == {1: State.SENT, 2: State.SENT, 3: State.PARKED}
            assert await r.reason(3) == Reason.PACKET_TOO_LARGE
            assert numbers(broker.readings).count(3) == 1

    asyncio.run(main())


def test_a_status_too_large_does_not_stop_the_readings(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Disconnect(0x95) if len(p.payload) > 100 else Ack()
        async with broker.listening(), rig(broker.port) as r:
            r.publisher.announce("status", b"x" * 101)
            await r.outbox.put([entry(1)])
            await go_on_until(r, lambda: r.publisher.counters.acknowledged == 1)
            assert r.publisher.counters.parked == 0
            r.publisher.announce("status", b"shorter")
            await until(lambda: broker.published[-1].payload == b"shorter")

    asyncio.run(main())


def test_a_status_that_ends_the_connection_does_not_stop_the_readings(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Close() if p.payload == b"poison" else Ack()
        async with broker.listening(), rig(broker.port) as r:
            r.publisher.announce("status", b"poison")
            await r.outbox.put([entry(1), entry(2), entry(3, lane="scale")])
            await go_on_until(r, lambda: r.publisher.counters.acknowledged == 3)
            await go_on_until(r, lambda: r.state.phase is Phase.WAITING)
            await r.outbox.put([entry(4)])  # which proves the next connection sound
            await go_on_until(r, lambda: r.state.status_refused is Reason.BREAKS_CONNECTION)
            assert r.publisher.counters.parked == 0
            await go_on_until(r, lambda: r.state.phase is Phase.CONNECTED)
            assert r.state.status_refused is Reason.BREAKS_CONNECTION
            r.publisher.announce("status", b"better")
            await until(lambda: broker.published[-1].payload == b"better")

    asyncio.run(main())


def test_a_poison_row_and_a_poison_status_together_do_not_stop_the_others(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Close() if p.payload in (b"poison", entry(1).payload) else Ack()
        async with broker.listening(), rig(broker.port) as r:
            r.publisher.announce("status", b"poison")
            await r.outbox.put([entry(1), entry(2), entry(3, lane="scale"), entry(4, lane="scale")])
            await go_on_until(r, lambda: r.publisher.counters.acknowledged == 3)
            assert await r.states() == {1: State.PARKED, 2: State.SENT, 3: State.SENT, 4: State.SENT}

    asyncio.run(main())


@pytest.mark.parametrize(("code", "reason"), [(0x90, Reason.TOPIC_INVALID), (0x99, Reason.PAYLOAD_INVALID)])
def test_disconnected_for_one_of_several_each_goes_alone_and_the_one_is_parked(rig, entry, code, reason):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Withhold()
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(n, lane=f"lane-{n}") for n in range(1, 6)])
            await until(lambda: len(broker.readings) == 5)
            broker.on_publish = poison(3, Disconnect(code))
            broker.disconnect(code)
            await go_on_until(r, lambda: r.publisher.counters.acknowledged == 4)
            states = await r.states()
            assert [n for n, state in states.items() if state is State.PARKED] == [3]
            assert await r.reason(3) == reason
            assert numbers(broker.readings).count(3) == 2

    asyncio.run(main())


def test_disconnected_as_not_authorized_holds_the_one_lane(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = poison(1, Disconnect(0x87))
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1), entry(2, lane="scale"), entry(3, lane="scale")])
            await go_on_until(r, lambda: r.publisher.counters.acknowledged == 2)
            assert r.publisher.counters.parked == 0
            assert (await r.states())[1] is State.PENDING

    asyncio.run(main())


def test_a_flapping_connection_backs_off_until_a_row_is_taken(rig, entry):
    async def main():
        broker = Broker()
        async with broker.listening(), rig(broker.port) as r:
            pauses = []
            for _ in range(4):
                await r.connected()
                broker.disconnect(0x8B)
                pauses.append((await r.resting()).retry_s)
                await r.retry()
            await r.connected()
            await r.outbox.put([entry(1)])
            await until(lambda: r.publisher.counters.acknowledged == 1)
            broker.hang_up()
            pauses.append((await r.resting()).retry_s)
            assert pauses == [1, 2, 4, 8, 1]

    asyncio.run(main())


def test_f24_a_reconnect_asked_for_comes_at_once(rig, entry):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Withhold()
        async with broker.listening(), rig(broker.port) as r:
            await r.outbox.put([entry(1)])
            await until(lambda: broker.readings)
            broker.on_publish = lambda p: Ack()
            r.publisher.reconnect()
            await until(lambda: r.publisher.counters.acknowledged == 1)
            assert [s.reason for s in r.changes if s.phase is Phase.WAITING] == [Reason.REOPENED]
            broker.disconnect(0x8E)
            assert (await r.resting()).retry_s == 60
            r.publisher.reconnect()
            await r.connected()
            assert len(broker.connections) == 3

    asyncio.run(main())


def test_a_failing_outbox_ends_the_publisher_and_says_so(rig, entry):
    async def main():
        async with Broker().listening() as broker, rig(broker.port) as r:
            await r.connected()
            await r.outbox.close()
            broker.hang_up()
            await r.retry()
            await asyncio.wait({r.task})
            with pytest.raises(OutboxFailed) as failed:
                r.task.result()
            assert failed.value.fault is Fault.CLOSED
            assert r.state.phase is Phase.STOPPED
            r.task = asyncio.create_task(asyncio.sleep(0))

    asyncio.run(main())


def test_f26_silence_is_noticed_within_the_keep_alive(rig, entry):
    """The one thing here that takes real time: paho's own keep-alive, five seconds being the shortest we allow."""

    async def main():
        async with asyncio.timeout(8):
            silent, closed = await _accepts_and_falls_silent()
            async with rig(silent, keepalive_s=5) as r:
                await r.connected()
                begun = asyncio.get_running_loop().time()
                state = await r.resting()
                assert state.reason is Reason.SILENT
                assert asyncio.get_running_loop().time() - begun < 6
            closed.close()

    asyncio.run(main())


async def _accepts_and_falls_silent() -> tuple[int, asyncio.Server]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"\x20\x03\x00\x00\x00")  # CONNACK, success, no properties
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server.sockets[0].getsockname()[1], server


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
