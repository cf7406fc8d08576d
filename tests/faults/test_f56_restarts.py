"""F56: a program that ends by itself again and again. After a few times it leaves the devices alone for a while, and
what is on the disk still goes out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from devicebridge.clock import SystemClock
from devicebridge.health import DeviceHealth, DeviceState
from devicebridge.outbox import Entry
from devicebridge.setbacks import BUDGET, BUDGET_S, KEPT, Restraint, Setbacks, Why
from devicebridge.testing.broker import Broker
from support.box import box, supervisor
from support.clock import ManualClock
from support.daemon import Daemon, Inbox, wait_for
from support.outbox_writer import outbox_at
from support.serial_device import nonin_on_tcp
from support.waiting import until


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def setbacks(tmp_path: Path, clock: ManualClock) -> Setbacks:
    return Setbacks(tmp_path / "outbox.db", clock)


def restraint(setbacks: Setbacks) -> Restraint:
    return setbacks.take_up({})[0]


def test_f56_a_few_restarts_are_free_then_the_devices_rest_until_the_budget_is_there_again(
    setbacks: Setbacks, clock: ManualClock
) -> None:
    for _ in range(BUDGET - 1):
        setbacks.add(Why.STUCK_PORTS)
        clock.advance(60)
        assert restraint(setbacks).until_s <= clock.monotonic_s()
    setbacks.add(Why.FAULT)
    assert restraint(setbacks).until_s == BUDGET_S, "counted from the first of them"
    clock.advance(BUDGET_S)
    assert restraint(setbacks).until_s <= clock.monotonic_s()


def test_f56_an_end_in_order_wipes_the_slate(setbacks: Setbacks, clock: ManualClock) -> None:
    for _ in range(BUDGET):
        setbacks.add(Why.STALLED, ("cuff",))
    assert restraint(setbacks) == Restraint(frozenset({"cuff"}), BUDGET_S)
    setbacks.clear()
    assert restraint(setbacks) == Restraint()


def test_f56_a_clock_that_was_set_back_does_not_make_the_rest_endless(setbacks: Setbacks, clock: ManualClock) -> None:
    clock.advance(1e6)
    for _ in range(BUDGET):
        setbacks.add(Why.FAULT)
    earlier = Setbacks(setbacks.stack.with_name("outbox.db"), ManualClock())
    assert restraint(earlier).until_s == 0


def test_f53_a_stall_of_the_last_run_is_taken_up(setbacks: Setbacks, tmp_path: Path) -> None:
    home = tmp_path / "cuff"
    setbacks.stack.write_text(f'Thread 0x1 (most recent call first):\n  File "{home / "codec.py"}", line 7 in feed\n')
    found, stall = setbacks.take_up({"cuff": home})
    assert found.shut_out == {"cuff"}
    assert stall is not None and (stall.why, stall.place) == (Why.STALLED, "codec.py:7")


def test_the_file_does_not_grow(setbacks: Setbacks, tmp_path: Path) -> None:
    for _ in range(2 * KEPT):
        setbacks.add(Why.FAULT)
    assert len(json.loads((tmp_path / "outbox.db.setbacks.json").read_text())) == KEPT


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff", b"{", b"{}", b"[]", b"5", b"null", b"[5]", b"[[]]", b"[{}]", b"[" * 900,
        b'[{"at": "2026-11-21", "why": "stalled", "drivers": ["cuff"], "place": null}]',
        b'[{"at": "2026-11-21T10:00:00+00:00", "why": "boredom", "drivers": ["cuff"], "place": null}]',
        b'[{"at": 5, "why": "stalled", "drivers": ["cuff"], "place": null}]',
        b'[{"at": "2026-11-21T10:00:00+00:00", "why": "stalled", "drivers": null, "place": null}]',
    ],
)  # fmt: skip
def test_a_spoilt_file_counts_for_nothing(content: bytes, setbacks: Setbacks, tmp_path: Path) -> None:
    (tmp_path / "outbox.db.setbacks.json").write_bytes(content)
    assert restraint(setbacks) == Restraint()
    setbacks.add(Why.FAULT)
    assert len(json.loads((tmp_path / "outbox.db.setbacks.json").read_text())) == 1


def test_f56_while_the_devices_rest_the_outbox_drains(broker: Broker, received: Inbox, tmp_path: Path) -> None:
    waiting = {f"00000000-0000-5000-8000-{n:012d}" for n in range(50)}

    async def fill() -> None:
        outbox = outbox_at(tmp_path / "outbox.db")
        await outbox.open()
        topic = "devicebridge/v1/clinic/exam-1/oximeter/reading/weight"
        await outbox.put([Entry(id_, 1, "oximeter", topic, json.dumps({"id": id_}).encode()) for id_ in waiting])
        await outbox.close()

    asyncio.run(fill())
    ours = Setbacks(tmp_path / "outbox.db", SystemClock())
    for _ in range(BUDGET):
        ours.add(Why.FAULT)
    with nonin_on_tcp("spot") as port:
        device = f'[devices.oximeter]\ndriver = "nonin"\nport = "{port}"\n'
        with Daemon(tmp_path, broker, device) as daemon:
            wait_for(lambda: {r["id"] for r in received.readings} == waiting, "all that waited, and nothing else")
            status = wait_for(lambda: received.latest("/oximeter/status"), "the device's status")
            assert (status["state"], status["counts"]) == ("fault", {})
            assert daemon.events("devices-rest") == 1
            daemon.stop()
        with daemon:
            wait_for(lambda: len(received.readings) > len(waiting), "new readings after a stop in order")


def test_f56_a_device_is_read_when_its_rest_is_over(clock: ManualClock, tmp_path: Path) -> None:
    async def main() -> None:
        outbox = outbox_at(tmp_path / "outbox.db")
        await outbox.open()
        health = DeviceHealth("box", "box", clock)
        async with box() as port:
            resting = supervisor(tmp_path, port, outbox, health, clock, Restraint(until_s=300))
            task = asyncio.create_task(resting.run())
            await until(lambda: clock.slept == [300])
            assert (health.state, health.counts["sessions"]) == (DeviceState.FAULT, 0)
            clock.advance(300)
            await until(lambda: health.counts["readings"])
            task.cancel()
            await asyncio.wait({task})
        await outbox.close()

    asyncio.run(main())


def test_f53_a_driver_that_was_shut_out_is_not_started(clock: ManualClock, tmp_path: Path) -> None:
    async def main() -> None:
        outbox = outbox_at(tmp_path / "outbox.db")
        await outbox.open()
        health = DeviceHealth("box", "box", clock)
        await supervisor(tmp_path, "socket://127.0.0.1:1", outbox, health, clock, Restraint(frozenset({"box"}))).run()
        assert (health.state, health.counts["sessions"]) == (DeviceState.QUARANTINED, 0)
        await outbox.close()

    asyncio.run(main())
