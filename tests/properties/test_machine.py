"""The seven promises that cut across all faults, tried by a state machine: no invention, no alteration, no silent loss,
bounded duplicates, order per device, liveness, honesty.

Devices that forget what is acknowledged, a broker that answers whatever it likes over a real socket, a disk that fills,
a clock that jumps, and kills in between. Everything from the device's bytes to the broker is the daemon's own.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from devicebridge.health import DeviceState
from devicebridge.outbox import State
from devicebridge.publisher import Phase
from support.broker import Accept, Ack, Broker, Close, Disconnect, Published, Reply, Withhold
from support.incarnation import FIRST, Incarnation, JumpingClock, SimScale
from support.waiting import until

T = TypeVar("T")

NAMES = ("left", "right")
BURST = 50
"""Readings at once: more than the disk holds."""
SETTLES_IN = 100
"""Turns of twenty seconds, once all is well: the longest hold is 300 s, and a row parked once more starts at 5 s."""
TAKEN = (0x00, 0x10)
CONNACKS = (0x00, 0x80, 0x86, 0x88, 0x89, 0x97)
REPLIES: tuple[Reply, ...] = (
    *(Ack(code) for code in (0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)),
    *(Disconnect(code) for code in (0x80, 0x89, 0x8B, 0x8E, 0x97)),
    Withhold(),
    Close(),
)


class Bridge(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._folder = Path(self._temporary.name)
        self.clock = JumpingClock()
        self.scales = [SimScale(name) for name in NAMES]
        self.broker = Broker()
        self.connack = 0x00
        self.replies: list[Reply] = []
        self.accepted: list[dict[str, Any]] = []
        self.moved: set[str] = set()
        """Ids of what an operator sent again: their place in the order is gone."""
        self.incarnations = 0
        self._run(self._begin())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(asyncio.wait_for(work, 60))

    async def _begin(self) -> None:
        self.broker.on_connect, self.broker.on_publish = self._connect, self._publish
        await self._listen()
        await self._incarnate(self._folder / "0")

    async def _listen(self) -> None:
        self._listening = AsyncExitStack()
        await self._listening.enter_async_context(self.broker.listening())

    async def _incarnate(self, folder: Path) -> None:
        self.incarnations += 1
        self.daemon = Incarnation(folder, self.scales, self.broker.port, self.clock)
        await self.daemon.start()

    def _connect(self, _: object) -> Reply:
        return Accept(self.connack)

    def _publish(self, published: Published) -> Reply:
        reply = self.replies.pop() if self.replies else Ack()
        if isinstance(reply, Ack) and reply.code in TAKEN:
            self.accepted.append(json.loads(published.payload, parse_float=Decimal))
        return reply

    # --- what happens ---------------------------------------------------------------------------------------------

    @rule(scale=st.sampled_from(range(len(NAMES))), tenths=st.integers(100, 3000))
    def measure(self, scale: int, tenths: int) -> None:
        self._run(self._measure(self.scales[scale], tenths))

    async def _measure(self, scale: SimScale, tenths: int) -> None:
        scale.measure(Decimal(tenths).scaleb(-1))
        await until(lambda: not scale.owed or self._is_excused(scale))

    def _is_excused(self, scale: SimScale) -> bool:
        """It is not there, or nothing can be stored, and the daemon does not call it well."""
        state = self.daemon.healths[scale.name].state
        return state is DeviceState.CANNOT_SAVE or (scale.wire is None and state is not DeviceState.OK)

    @rule()
    def the_disk_fills(self) -> None:
        async def fill() -> None:
            scale = self.scales[0]
            for number in range(BURST):
                await self._measure(scale, 500 + number)

        self._run(fill())

    @rule(scale=st.sampled_from(range(len(NAMES))), after=st.integers(0, 12))
    def a_cable_is_pulled(self, scale: int, after: int) -> None:
        """In the midst of a line, where one is being said."""
        pulled = self.scales[scale]
        pulled.speak(cut_after=after)
        pulled.unplug()
        pulled.is_there = False

    @rule(scale=st.sampled_from(range(len(NAMES))))
    def a_cable_is_plugged_in(self, scale: int) -> None:
        self.scales[scale].is_there = True
        self._run(self._pass(2))

    @rule(scale=st.sampled_from(range(len(NAMES))), garbage=st.binary(min_size=1, max_size=80))
    def garbage_comes(self, scale: int, garbage: bytes) -> None:
        if (wire := self.scales[scale].wire) is not None:
            wire.send(garbage + b"\n")
            self._run(self._pass(0))

    @rule(replies=st.lists(st.sampled_from(REPLIES), min_size=3, max_size=8))
    def the_broker_answers_otherwise(self, replies: list[Reply]) -> None:
        """And has something to answer to."""
        self.connack, self.replies = 0x00, replies
        self._run(self._pass(60))
        for scale in self.scales:
            self._run(self._measure(scale, 700))
        self._run(self._pass(60))

    @rule(code=st.sampled_from(CONNACKS))
    def the_broker_admits_or_not(self, code: int) -> None:
        self.connack = code

    @rule()
    def the_connection_breaks(self) -> None:
        async def break_() -> None:
            self.broker.hang_up()
            await self._settle_a_little()

        self._run(break_())

    @rule()
    def the_broker_is_away_for_a_while(self) -> None:
        async def away() -> None:
            await self._listening.aclose()
            await until(lambda: self.daemon.publisher.state.phase is not Phase.CONNECTED)  # honesty
            await self._pass(5)
            await self._listen()

        self._run(away())

    @rule(seconds=st.sampled_from((1, 5, 40, 400, 4000)))
    def time_passes(self, seconds: int) -> None:
        self._run(self._pass(seconds))

    @rule(ahead_s=st.sampled_from((-86_400.0, -60.0, 0.0, 7200.0)))
    def the_clock_is_set(self, ahead_s: float) -> None:
        self.clock.ahead_s = ahead_s

    @rule()
    def the_daemon_is_killed(self) -> None:
        async def kill() -> None:
            connack, self.connack = self.connack, 0x88
            self.broker.hang_up()
            folder = self._folder / str(self.incarnations)
            await self.daemon.kill(folder)
            self.connack = connack
            await self._incarnate(folder)

        self._run(kill())

    @rule()
    def the_daemon_is_restarted(self) -> None:
        async def restart() -> None:
            await self.daemon.stop()
            await self._incarnate(self.daemon.folder)

        self._run(restart())

    async def _pass(self, seconds: int) -> None:
        """In steps: what wakes may have something to do before the next."""
        step_s = max(1, seconds // 10)
        for _ in range(0, seconds, step_s):
            self.clock.advance(step_s)
            await self._settle_a_little()
        await self._settle_a_little()

    async def _settle_a_little(self) -> None:
        await asyncio.sleep(0.003)

    # --- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_invented_or_altered(self) -> None:
        for reading in self.accepted:
            [value] = reading["values"]
            said = self._scale(reading).measured[_number(reading)]
            assert value["value"] == (said if reading["kind"] == "weight" else 170)

    @invariant()
    def a_measurement_has_one_id(self) -> None:
        ids: dict[tuple[str, str, int], str] = {}
        for reading in self.accepted:
            assert ids.setdefault(_what(reading), reading["id"]) == reading["id"]
        assert len(set(ids.values())) == len(ids)

    @invariant()
    def the_order_of_each_device_is_kept(self) -> None:
        seen: set[str] = set()
        latest: dict[str, tuple[int, bool]] = {}
        for reading in self.accepted:
            if reading["id"] in seen or reading["id"] in self.moved:
                continue
            seen.add(reading["id"])
            device, place = reading["device"]["name"], (_number(reading), reading["kind"] == "height")
            assert place > latest.get(device, (0, False))
            latest[device] = place

    @invariant()
    def what_was_acknowledged_is_on_disk_whole_and_no_count_hides_it(self) -> None:
        self._run(self._check_outbox())

    async def _check_outbox(self) -> None:
        acknowledged = {(s.name, kind, n) for s in self.scales for n in s.acknowledged for kind in ("weight", "height")}
        stats = await self.daemon.outbox.stats()
        rows = await self.daemon.outbox.rows(limit=1_000_000)
        arrived = {_what(reading) for reading in self.accepted}
        assert acknowledged <= {_what(json.loads(row.payload)) for row in rows} | arrived
        if stats.pending == 0:
            assert acknowledged <= {_what(json.loads(r.payload)) for r in rows if r.state is State.PARKED} | arrived

    @invariant()
    def a_device_that_is_there_is_read_or_its_status_says_why_not(self) -> None:
        self._run(until(lambda: all(not scale.owed or self._is_excused(scale) for scale in self.scales)))

    def teardown(self) -> None:
        """Liveness: once all is well, everything arrives."""
        try:
            self._run(self._end())
        finally:
            self._runner.close()
            self._temporary.cleanup()

    async def _end(self) -> None:
        self.connack, self.replies = 0x00, []
        for scale in self.scales:
            scale.is_there = True
        await self._until_idle()
        await self._until_idle()
        arrived = {_what(reading) for reading in self.accepted}
        for scale in self.scales:
            for number in scale.measured:
                assert {(scale.name, kind, number) for kind in ("weight", "height")} <= arrived, "lost"
        connections = len(self.broker.connections)
        copies = len(self.accepted) - len(arrived)
        assert copies <= len(NAMES) * (connections + self.incarnations)
        await self.daemon.stop()
        await self._listening.aclose()

    async def _until_idle(self) -> None:
        """The operator sends again what was parked, and that too must go."""
        for _ in range(SETTLES_IN):
            parked = await self.daemon.outbox.rows(limit=1_000_000, state=State.PARKED)
            self.moved |= {row.id for row in parked}
            if parked:
                await self.daemon.outbox.resend(seqs=[row.seq for row in parked])
            stats = await self.daemon.outbox.stats()
            if not stats.pending and not any(scale.owed for scale in self.scales):
                return
            await self._pass(20)
        raise AssertionError(f"not idle: {stats}, {self.daemon.publisher.state}")

    def _scale(self, reading: dict[str, Any]) -> SimScale:
        return self.scales[NAMES.index(reading["device"]["name"])]


def _number(reading: dict[str, Any]) -> int:
    return (datetime.fromisoformat(reading["device_time"]) - FIRST) // timedelta(minutes=1)


def _what(reading: dict[str, Any]) -> tuple[str, str, int]:
    return reading["device"]["name"], reading["kind"], _number(reading)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_seven_promises_hold_whatever_happens() -> None:
    run_state_machine_as_test(Bridge, settings=settings(max_examples=30, stateful_step_count=25))
