"""The lossy path, F47 and F57: a network that stands still costs pieces of the live trace and nothing else."""

from __future__ import annotations

import asyncio

from devicebridge.publisher.session import UNSENT_MAX
from support.broker import Broker
from support.proxy import Proxy, Way
from support.waiting import until

CHUNK = bytes(100_000)
SYSTEM_BYTES = 16 << 20
"""What the operating system's own buffers may hold of it."""


def test_f47_f57_the_live_trace_waits_in_a_bounded_queue_and_what_does_not_fit_is_said_to_be_dropped(rig, entry):
    async def main():
        broker = Broker()
        async with broker.listening(), Proxy(broker.port).listening() as proxy, rig(proxy.port) as r:
            await r.connected()
            assert r.publisher.show("wave", CHUNK)
            await until(lambda: any(p.topic == "wave" for p in broker.published))
            proxy.set(up=Way.STALL)
            taken = 0

            def is_full() -> bool:
                nonlocal taken
                taken += (is_taken := r.publisher.show("wave", CHUNK))
                return not is_taken and taken > UNSENT_MAX

            await until(is_full)
            assert taken * len(CHUNK) < SYSTEM_BYTES + UNSENT_MAX * len(CHUNK)
            await r.outbox.put([entry(1)])
            proxy.set()
            await until(lambda: r.publisher.counters.acknowledged == 1)
            assert [p.payload for p in broker.readings if p.topic != "wave"] == [entry(1).payload]
            await until(lambda: r.publisher.show("wave", CHUNK))

    asyncio.run(asyncio.wait_for(main(), 30))
