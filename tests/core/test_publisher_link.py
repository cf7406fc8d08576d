"""The one connection: its network thread, and what is left of it afterwards."""

from __future__ import annotations

import asyncio
import gc
import threading

import psutil

from devicebridge.config import BrokerConfig
from devicebridge.publisher import Phase
from devicebridge.publisher.link import Link, Will
from devicebridge.publisher.reasons import ACK_TIMEOUT, CLIENT_FAILED
from support.broker import Broker, Withhold
from support.waiting import until


def network_threads():
    return [t for t in threading.enumerate() if t.name.startswith("paho")]


def make(kind: type[Link], port: int) -> Link:
    config = BrokerConfig(addresses=(f"127.0.0.1:{port}",))
    return kind(config, config.endpoints[0], "db-0", Will("status", b"offline"), lambda: None)


class Broken(Link):
    """Stands for any bug in a callback: the thread dies, while paho's is_connected() stays True."""

    def _on_publish(self, *_: object) -> None:
        raise RuntimeError("a bug")


def test_a_network_thread_that_dies_is_the_end_of_the_connection():
    async def main():
        async with Broker().listening() as broker:
            link = make(Broken, broker.port)
            await link.start()
            await until(lambda: link.accepted)
            assert len(network_threads()) == 1
            link.publish("topic", b"{}", retain=False, properties=None)
            await until(lambda: link.ended)
            assert link.ended is CLIENT_FAILED
            await until(lambda: not network_threads())

    asyncio.run(main())


def test_a_connection_dropped_while_it_is_being_made_comes_to_nothing():
    async def main():
        async with Broker().listening() as broker:
            link = make(Link, broker.port)
            await link.start()
            link.drop(ACK_TIMEOUT)
            await until(lambda: link.ended)
            assert link.ended is ACK_TIMEOUT
            await until(lambda: not network_threads())

    asyncio.run(main())


def test_a_hundred_reconnections_leave_no_thread_and_no_socket(rig):
    async def main():
        broker = Broker()
        broker.on_publish = lambda p: Withhold()
        async with broker.listening(), rig(broker.port) as r:
            counts = []
            for turn in range(100):
                await r.connected()
                assert len(network_threads()) <= 2
                broker.hang_up()
                await r.retry()
                if turn in (10, 99):
                    await r.connected()
                    gc.collect()
                    counts.append(psutil.Process().num_fds() if hasattr(psutil.Process, "num_fds") else 0)
            assert counts[1] <= counts[0] + 3
            assert r.state.phase is Phase.CONNECTED
        await until(lambda: not network_threads())

    asyncio.run(main())
