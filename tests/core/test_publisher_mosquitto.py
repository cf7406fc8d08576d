"""The publisher against real brokers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from devicebridge.config import TlsConfig
from devicebridge.outbox import LANE_BYTES, State
from devicebridge.publisher import Phase, Reason, client_id
from support import mosquitto
from support.authority import DAY, Authority
from support.broker import Broker
from support.clock import QuickClock
from support.listener import Listener
from support.mosquitto import Mosquitto, free_port, wait_until_listening
from support.waiting import until

STATUS = "devicebridge/v1/main-street/exam-3/status"


@pytest.fixture
def broker_in(tmp_path):
    if mosquitto.find() is None:
        pytest.skip("needs mosquitto")
    return lambda name="broker", **settings: Mosquitto(tmp_path / name, **settings)


@pytest.fixture
def quick():
    return QuickClock(20)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def tls_listener(cert_file, key_file, more=""):
    return f"certfile {cert_file}\nkeyfile {key_file}\n{more}"


def test_readings_arrive_with_their_ids(rig, entry, broker_in, quick):
    async def main():
        with broker_in() as broker, Listener(broker.port) as listener:
            async with rig(broker.port, with_clock=quick) as r:
                r.publisher.announce(STATUS, b"online")
                await r.outbox.put([entry(n) for n in range(100)])
                await until(lambda: r.publisher.counters.acknowledged == 100)
                await until(lambda: len(listener.messages) == 101)
                readings = [m for m in listener.messages if m.topic != STATUS]
                assert [m.payload for m in readings] == [entry(n).payload for n in range(100)]
                assert [m.properties.UserProperty for m in readings] == [[("id", entry(n).id)] for n in range(100)]
                assert {m.properties.ContentType for m in readings} == {"application/json"}
                assert not r.state.nobody_listening

    asyncio.run(main())


def test_rows_larger_than_what_is_fetched_at_once_arrive_in_order(rig, entry, broker_in, quick):
    async def main():
        with broker_in() as broker, Listener(broker.port) as listener:
            async with rig(broker.port, with_clock=quick) as r:
                sent = [replace(entry(n), payload=bytes([n]) * (LANE_BYTES * 2 // 3)) for n in range(7)]
                await r.outbox.put(sent)
                await until(lambda: r.publisher.counters.acknowledged == 7)
                await until(lambda: len(listener.messages) == 7)
                assert [m.payload for m in listener.messages] == [e.payload for e in sent]

    asyncio.run(main())


def test_f29_real_nobody_listens(rig, entry, broker_in, quick):
    async def main():
        with broker_in() as broker:
            async with rig(broker.port, with_clock=quick) as r:
                await r.outbox.put([entry(1)])
                await until(lambda: r.state.nobody_listening)
                assert await r.states() == {1: State.SENT}
                with Listener(broker.port) as listener:
                    await r.outbox.put([entry(2)])
                    await until(lambda: not r.state.nobody_listening)
                    await until(lambda: listener.messages)

    asyncio.run(main())


def test_f27_real_acl_denial_holds_the_lane_and_a_mended_one_lets_it_go(rig, entry, broker_in, quick, tmp_path):
    acl = tmp_path / "acl"
    acl.write_text("topic write devicebridge/v1/main-street/exam-3/scale/#\n")

    async def main():
        with broker_in(general=f"acl_file {acl}") as broker:
            async with rig(broker.port, with_clock=quick) as r:
                await r.outbox.put([entry(1), entry(2), entry(3, lane="scale")])
                await until(lambda: r.publisher.counters.acknowledged == 1 and r.state.held)
                assert r.state.held[0].reason is Reason.NOT_AUTHORIZED
                assert await r.states() == {1: State.PENDING, 2: State.PENDING, 3: State.SENT}
                acl.write_text("topic readwrite #\n")
                broker.kill()
                broker.start()
                await until(lambda: r.publisher.counters.acknowledged == 3)
                assert r.state.held == ()

    asyncio.run(main())


def test_under_3_1_1_a_denied_row_counts_as_sent_and_the_state_says_that_it_cannot_know(
    rig, entry, broker_in, quick, tmp_path
):
    acl = tmp_path / "acl"
    acl.write_text("topic write nothing\n")

    async def main():
        with broker_in(general=f"acl_file {acl}") as broker:
            async with rig(broker.port, with_clock=quick, protocol="3.1.1") as r:
                await r.outbox.put([entry(1)])
                await until(lambda: r.publisher.counters.acknowledged == 1)
                assert not r.state.refusals_visible

    asyncio.run(main())


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("message_size_limit 1000", Reason.BREAKS_CONNECTION),  # an illegal PUBACK 0x95, which ends the connection
        ("max_packet_size 1000", Reason.PACKET_TOO_LARGE),
    ],
)
def test_f28_real_size_limits_park_the_one_row(rig, entry, broker_in, quick, limit, reason):
    async def main():
        with broker_in(general=limit) as broker:
            async with rig(broker.port, with_clock=quick) as r:
                r.publisher.announce(STATUS, b"online")
                await r.outbox.put([entry(1, payload=b"x" * 2000), entry(2)])
                await r.outbox.put([entry(n, lane=f"lane-{n}") for n in range(10, 20)])
                await until(lambda: r.publisher.counters.acknowledged == 11)
                states = await r.states()
                assert [n for n, state in states.items() if state is State.PARKED] == [1]
                assert await r.reason(1) == reason

    asyncio.run(main())


def test_f26_real_restarts_while_publishing_lose_nothing(rig, entry, broker_in, quick):
    async def main():
        with broker_in() as broker:
            async with rig(broker.port, with_clock=quick) as r:
                for turn in range(4):
                    for n in range(50):
                        await r.outbox.put([entry(turn * 50 + n, lane=f"lane-{n % 3}")])
                    await until(lambda turn=turn: r.publisher.counters.acknowledged > turn * 50)
                    broker.kill()
                    broker.start()
                await until(lambda: r.publisher.counters.acknowledged == 200)
                assert set((await r.states()).values()) == {State.SENT}
                assert r.state.reconnects >= 3
                assert r.publisher.counters.parked == 0

    asyncio.run(main())


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGSTOP")
def test_f26_real_frozen_broker_is_noticed_and_the_row_sent_again(rig, entry, broker_in, quick):
    async def main():
        with broker_in() as broker:
            async with rig(broker.port, with_clock=quick, ack_timeout_s=10) as r:
                await r.connected()
                broker.freeze()
                await r.outbox.put([entry(1)])
                await until(lambda: r.state.phase is not Phase.CONNECTED)
                assert r.state.reason is Reason.ACK_TIMEOUT
                broker.thaw()
                await until(lambda: r.publisher.counters.acknowledged == 1)

    asyncio.run(main())


def test_f32_real_twin_is_noticed(rig, broker_in, quick, tmp_path):
    async def main():
        with broker_in() as broker:
            async with rig(broker.port, with_clock=quick) as r:
                await r.connected()
                twin = twin_of(r, broker.port)
                try:
                    # 2.0.11 just closes, against MQTT 5.0 section 3.1.4; others say 0x8E at once
                    await until(lambda: r.state.reason in (Reason.SESSION_TAKEN_OVER, Reason.KICKED))
                    await until(lambda: (r.state.phase, r.state.retry_s) == (Phase.REFUSED, 60))
                finally:
                    twin.disconnect()
                    twin.loop_stop()

    asyncio.run(main())


def test_the_will_is_published_after_a_loss_and_not_after_a_stop(rig, broker_in, quick):
    async def main():
        with broker_in() as broker, Listener(broker.port, STATUS) as listener:

            async def heard(text: bytes) -> None:
                await until(lambda: listener.messages and listener.messages[-1].payload == text)

            async with rig(broker.port, with_clock=quick) as r:
                r.publisher.announce(STATUS, b"online")
                await heard(b"online")
                assert await r.publisher.farewell(STATUS, b"stopped")
            async with rig(broker.port, with_clock=quick, ack_timeout_s=10) as r:
                r.publisher.announce(STATUS, b"online again")
                await heard(b"online again")
                assert len(listener.messages) == 3
                broker.freeze()
                r.publisher.announce(STATUS, b"never answered")
                await until(lambda: r.state.phase is not Phase.CONNECTED)
                broker.thaw()
                await until(lambda: b'{"state":"offline"}' in [m.payload for m in listener.messages])
                await heard(b"never answered")

    asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls_with_our_own_authority(rig, entry, broker_in, quick, authority, host):
    listener = tls_listener(*authority.issue(f"good-{host}", host))

    async def main():
        with broker_in(listener=listener) as broker:
            tls = TlsConfig(ca_file=authority.file)
            async with rig(broker.port, with_clock=quick, host=host, tls=tls) as r:
                await r.outbox.put([entry(1)])
                await until(lambda: r.publisher.counters.acknowledged == 1)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("host", "begins", "ends", "trusted", "reason"),
    [
        ("127.0.0.1", -2 * DAY, -DAY, True, Reason.TLS_EXPIRED),
        ("127.0.0.1", timedelta(hours=1), DAY, True, Reason.TLS_NOT_YET_VALID),
        ("127.0.0.2", -DAY, DAY, True, Reason.TLS_WRONG_HOST),
        ("other.example", -DAY, DAY, True, Reason.TLS_WRONG_HOST),
        ("127.0.0.1", -DAY, DAY, False, Reason.TLS_UNKNOWN_CA),
    ],
    ids=["expired", "not-yet", "wrong-address", "wrong-name", "unknown-ca"],
)
def test_f31_a_bad_certificate_is_refused_and_named(
    rig, entry, broker_in, quick, authority, tmp_path, host, begins, ends, trusted, reason
):
    listener = tls_listener(*authority.issue("bad", host, begins=begins, ends=ends))
    trust = authority if trusted else Authority(tmp_path / "other", "another CA")

    async def main():
        with broker_in(listener=listener) as broker:
            async with rig(broker.port, with_clock=quick, tls=TlsConfig(ca_file=trust.file)) as r:
                await r.outbox.put([entry(1)])
                state = await r.resting()
                assert (state.phase, state.reason) == (Phase.REFUSED, reason)
                assert await r.states() == {1: State.PENDING}

    asyncio.run(main())


def test_f31_a_broker_without_tls_is_refused_and_nothing_is_said_in_plain(rig, authority, quick):
    async def main():
        tls = TlsConfig(ca_file=authority.file)
        async with Broker().listening() as broker, rig(broker.port, with_clock=quick, tls=tls) as r:
            state = await r.resting()
            assert state.reason in (Reason.TLS_NOT_SPOKEN, Reason.TLS_FAILED, Reason.UNREACHABLE)
            assert broker.connections == []

    asyncio.run(main())


def test_f31_a_missing_authority_file_is_named(rig, tmp_path, quick):
    async def main():
        async with rig(free_port(), with_clock=quick, tls=TlsConfig(ca_file=tmp_path / "none.pem")) as r:
            state = await r.resting()
            assert (state.phase, state.reason) == (Phase.REFUSED, Reason.TLS_FILES)

    asyncio.run(main())


def test_tls_with_a_certificate_of_our_own(rig, entry, broker_in, quick, authority):
    more = f"cafile {authority.file}\nrequire_certificate true\n"
    listener = tls_listener(*authority.issue("server", "127.0.0.1"), more)
    cert_file, key_file = authority.issue("client", "client.example")

    async def main():
        with broker_in(listener=listener) as broker:
            tls = TlsConfig(ca_file=authority.file, cert_file=cert_file, key_file=key_file)
            async with rig(broker.port, with_clock=quick, tls=tls) as r:
                await r.outbox.put([entry(1)])
                await until(lambda: r.publisher.counters.acknowledged == 1)
            async with rig(broker.port, with_clock=quick, tls=TlsConfig(ca_file=authority.file)) as r:
                assert (await r.resting()).reason in (Reason.HUNG_UP, Reason.TLS_REFUSED_US)

    asyncio.run(main())


def test_a_wrong_password_is_named(rig, broker_in, quick, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("wrong")

    async def main():
        with broker_in(anonymous=False) as broker:
            async with rig(broker.port, with_clock=quick, username="pc", password_file=secret) as r:
                state = await r.resting()
                assert (state.phase, state.reason) == (Phase.REFUSED, Reason.NOT_AUTHORIZED)

    asyncio.run(main())


AMQTT = """
listeners:
  default:
    type: tcp
    bind: 127.0.0.1:{port}
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin:
    allow_anonymous: true
"""


@pytest.fixture
def amqtt_port(tmp_path):
    pytest.importorskip("amqtt", reason="needs amqtt")
    port = free_port()
    config = tmp_path / "amqtt.yaml"
    config.write_text(AMQTT.format(port=port))
    program = (
        "import sys; from amqtt.scripts.broker_script import main; sys.argv = ['amqtt', '-c', sys.argv[1]]; main()"
    )
    broker = subprocess.Popen([sys.executable, "-c", program, str(config)], stderr=subprocess.DEVNULL)
    wait_until_listening(port, broker)
    yield port
    broker.kill()
    broker.wait()


def test_amqtt_needs_3_1_1_and_then_takes_readings(rig, entry, amqtt_port, quick):
    async def main():
        async with rig(amqtt_port, with_clock=quick) as r:
            # 0.12.1 stumbles over the will properties of version 5 before it looks at the version
            assert (await r.resting()).reason in (Reason.NO_ANSWER, Reason.HUNG_UP, Reason.PROTOCOL_VERSION)
        async with rig(amqtt_port, with_clock=quick, protocol="3.1.1") as r:
            r.publisher.announce(STATUS, b"online")
            await r.outbox.put([entry(n) for n in range(20)])
            await until(lambda: r.publisher.counters.acknowledged == 20)
            assert set((await r.states()).values()) == {State.SENT}

    asyncio.run(main())


def twin_of(r, port: int) -> mqtt.Client:
    """A second client with the same id."""
    twin = mqtt.Client(CallbackAPIVersion.VERSION2, client_id(r.outbox.instance_id), protocol=mqtt.MQTTv5)
    twin.reconnect_delay_set(0.05, 0.05)
    twin.connect("127.0.0.1", port)
    twin.loop_start()
    return twin
