"""The GATT link and the radio over real bleak, with the simulated radio below."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)
from bleak.exc import BleakBluetoothNotAvailableReason as Unavailable

from devicebridge.clock import SystemClock
from devicebridge.links.gatt import Backend, Limits, Radio
from devicebridge.links.gatt_link import loss_of, within
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.driver import GattSpec
from devicebridge.sdk.links import GattLink, LinkLost, Loss
from devicebridge.sdk.simulation import (
    Access,
    Characteristic,
    GattPort,
    GattScenario,
    GattSimulator,
    Service,
)

pytest.importorskip("bumble", reason="the simulated radio needs bumble")
from devicebridge.testing.radio import Ether, Peripheral, backend, radio
from devicebridge.testing.radio.ether import static_address

SERVICE, OTHER, VALUES, STREAM, TEXT, SECRET, BLACK_HOLE = (uuid16(0xFF00 + n) for n in range(7))
SPEC = GattSpec(services=(SERVICE,))
BONDED = replace(SPEC, bond_required=True)
QUICK = Limits(
    connect_timeout_s=1, call_timeout_s=0.5, disconnect_timeout_s=0.5, tick_s=0.02, retry_min_s=0.02, retry_max_s=0.05
)
Run = Callable[[GattPort], Awaitable[None]]


def table() -> tuple[Service, ...]:
    async def swallow(_: bytes) -> None:
        await asyncio.Event().wait()

    other_text = Characteristic(uuid=TEXT, access=Access.READ, value=b"other")
    return (
        Service(OTHER, (other_text,)),
        Service(
            SERVICE,
            (
                Characteristic(uuid=VALUES, access=Access.INDICATE),
                Characteristic(uuid=STREAM, access=Access.NOTIFY),
                Characteristic(uuid=TEXT, access=Access.READ | Access.WRITE, value=b"text"),
                Characteristic(uuid=SECRET, access=Access.READ, value=b"s", encrypted=True),
                Characteristic(uuid=BLACK_HOLE, access=Access.WRITE, written=swallow),
            ),
        ),
    )


async def stay(port: GattPort) -> None:
    await asyncio.Event().wait()


def thing(run: Run, *, faulty: bool = False, name: str = "Thing") -> GattSimulator:
    scenario = GattScenario(title="t", services=table, run=run, faulty=faulty)
    return GattSimulator(id="thing", name=name, advertised=(SERVICE,), scenarios={"only": scenario})


@asynccontextmanager
async def started(backend: Backend, limits: Limits = QUICK) -> AsyncIterator[Radio]:
    radio = Radio(backend, clock=SystemClock(), limits=limits)
    await radio.start()
    try:
        yield radio
    finally:
        await radio.stop()


@asynccontextmanager
async def room(
    run: Run = stay, *, limits: Limits = QUICK, faulty: bool = False, interval_s: float | None = None
) -> AsyncIterator[tuple[Radio, Peripheral]]:
    async with Ether(pace=0, interval_s=interval_s) as ether, ether.radio() as backend:
        peripheral = await ether.add(thing(run, faulty=faulty), "only")
        async with started(backend, limits) as radio:
            yield radio, peripheral


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


def run(main: Awaitable[None], timeout_s: float = 20) -> None:
    asyncio.run(asyncio.wait_for(main, timeout_s))


async def lost(call: Awaitable[object]) -> Loss:
    with pytest.raises(LinkLost) as raised:
        await call
    return raised.value.reason


async def next_loss(link: GattLink, *characteristics: str) -> Loss:
    """Reads values until the link says why there are no more."""
    values = await link.subscribe(*characteristics)
    while True:
        try:
            await anext(values)
        except LinkLost as gone:
            return gone.reason


async def opened_loss(radio: Radio, address: str, spec: GattSpec = SPEC, *, pair: bool = False) -> Loss:
    async def enter() -> None:
        async with radio.opener(address, spec, pair=pair).open():
            pass

    return await lost(enter())


def test_a_session_with_a_device() -> None:
    async def give(port: GattPort) -> None:
        await port.subscribed(STREAM)
        await port.subscribed(VALUES)
        await port.indicate(VALUES, b"one")
        await port.notify(STREAM, b"two")
        await port.indicate(VALUES, b"three")

    async def main() -> None:
        async with room(give) as (radio, peripheral), radio.opener(peripheral.address, SPEC).open() as link:
            assert link.name == "Thing"
            assert link.has(VALUES)
            assert not link.has(uuid16(0x2A19))
            assert await link.read(TEXT) == b"text"  # the spec's service counts, not the first in the table
            await link.write(TEXT, b"new")
            assert await link.read(TEXT) == b"new"
            assert radio.state.connected == 1
            values = await link.subscribe(VALUES, STREAM)
            assert [await anext(values) for _ in range(3)] == [
                (VALUES, b"one"),
                (STREAM, b"two"),
                (VALUES, b"three"),
            ]
            assert await lost(anext(values)) is Loss.DISCONNECTED
            assert await lost(link.read(TEXT)) is Loss.DISCONNECTED
            assert await lost(link.write(TEXT, b"")) is Loss.DISCONNECTED
            assert await lost(link.subscribe(VALUES)) is Loss.DISCONNECTED

    run(main())


def test_open_waits_for_the_device_and_costs_nothing_meanwhile() -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether, ether.radio() as backend, started(backend) as radio:
            cuffs = [await ether.add(thing(stay), "only", awake=False) for _ in range(20)]
            tasks = len(asyncio.all_tasks())
            opens = [radio.opener(c.address, SPEC).open() for c in cuffs]
            waiting = [asyncio.ensure_future(o.__aenter__()) for o in opens]
            await until(lambda: radio.state.waiting == 20)
            assert len(asyncio.all_tasks()) == tasks + 20  # the callers themselves, no more
            cuffs[7].wake()
            assert await (await waiting[7]).read(TEXT) == b"text"
            assert radio.state.waiting == 19
            await opens[7].__aexit__(None, None, None)
            for waiter in waiting:
                waiter.cancel()
            await asyncio.wait(waiting)
            assert radio.state.waiting == 0

    run(main())


def test_the_address_may_be_written_in_small_letters() -> None:
    async def main() -> None:
        async with room() as (radio, peripheral), radio.opener(peripheral.address.lower(), SPEC).open() as link:
            assert await link.read(TEXT) == b"text"

    run(main())


def test_f11_values_before_a_loss_are_given_out_and_the_pending_wait_ends() -> None:
    async def main() -> None:
        async def give(port: GattPort) -> None:
            await port.subscribed(VALUES)
            await port.indicate(VALUES, b"one")
            given.set()
            await asyncio.Event().wait()

        given = asyncio.Event()
        async with room(give) as (radio, peripheral), radio.opener(peripheral.address, SPEC).open() as link:
            values = await link.subscribe(VALUES)
            await given.wait()
            peripheral.vanish()
            assert await anext(values) == (VALUES, b"one")
            assert await lost(asyncio.wait_for(anext(values), 1)) is Loss.DISCONNECTED

    run(main())


def test_f11_a_loss_ends_a_pending_read_at_once() -> None:
    async def main() -> None:
        async with (
            room(interval_s=0.03, limits=replace(QUICK, connect_timeout_s=10, call_timeout_s=10)) as (
                radio,
                peripheral,
            ),
            radio.opener(peripheral.address, SPEC).open() as link,
        ):
            reads = [asyncio.ensure_future(link.read(TEXT)) for _ in range(3)]
            await asyncio.sleep(0)
            peripheral.lose()
            before_s = time.monotonic()
            assert [await lost(read) for read in reads] == [Loss.DISCONNECTED] * 3
            assert time.monotonic() - before_s < 0.5

    run(main())


def test_a_device_that_does_not_answer_is_a_timeout_and_the_link_is_over() -> None:
    async def main() -> None:
        async with room() as (radio, peripheral), radio.opener(peripheral.address, SPEC).open() as link:
            assert await lost(link.write(BLACK_HOLE, b"x")) is Loss.TIMEOUT
            assert await lost(link.read(TEXT)) is Loss.TIMEOUT

    run(main())


def test_a_refused_request_leaves_the_link_up() -> None:
    async def main() -> None:
        async with room() as (radio, peripheral), radio.opener(peripheral.address, SPEC).open() as link:
            assert await lost(link.read(VALUES)) is Loss.FAILED
            assert await lost(link.write(VALUES, b"")) is Loss.FAILED
            assert await lost(link.read(SECRET)) is Loss.BOND_REQUIRED
            assert await link.read(TEXT) == b"text"
            assert await lost(link.read(uuid16(0x2A19))) is Loss.UNEXPECTED_DEVICE
            assert await link.read(TEXT) == b"text"

    run(main())


def test_a_connection_that_never_comes_up_times_out_and_the_next_works() -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether, ether.radio() as backend, started(backend) as radio:
            peripheral = await ether.add(thing(stay), "only", awake=False)
            opening = asyncio.ensure_future(opened_loss(radio, static_address("crowd", 1)))
            await until(lambda: radio.state.waiting == 1 and radio.state.scanning_s is not None)
            ether.crowd(1)  # heard once and gone
            peripheral.wake()
            async with radio.opener(peripheral.address, SPEC).open() as link:  # its turn comes after the time-out
                assert opening.done()
                assert await link.read(TEXT) == b"text"
            assert await opening is Loss.TIMEOUT

    run(main())


def test_a_cancelled_open_gives_the_adapter_back() -> None:
    async def main() -> None:
        async with room(interval_s=0.03, limits=replace(QUICK, connect_timeout_s=10)) as (radio, peripheral):
            opening = asyncio.ensure_future(opened_loss(radio, peripheral.address))
            await asyncio.sleep(0.3)  # in the middle of its discovery
            opening.cancel()
            await asyncio.wait((opening,))
            peripheral.wake()
            async with radio.opener(peripheral.address, SPEC).open() as link:
                assert await link.read(TEXT) == b"text"

    run(main())


def test_f17_a_device_without_the_service_is_refused_whatever_its_name() -> None:
    async def main() -> None:
        async with room() as (radio, peripheral):
            other = GattSpec(services=(uuid16(0x1810),))
            assert await opened_loss(radio, peripheral.address, other) is Loss.UNEXPECTED_DEVICE

    run(main())


@pytest.mark.parametrize("read", [True, False], ids=["reading", "not reading"])
def test_f18_a_flood_of_values_ends_the_link(read: bool) -> None:
    async def flood(port: GattPort) -> None:
        await port.subscribed(STREAM)
        while True:
            await port.notify(STREAM, bytes(200))

    async def main() -> None:
        async with room(flood) as (radio, peripheral), radio.opener(peripheral.address, SPEC).open() as link:
            if read:
                assert await next_loss(link, STREAM) is Loss.FLOODED
            else:
                values = await link.subscribe(STREAM)
                while await _is_up(link):
                    await asyncio.sleep(0.05)
                assert await lost(anext(values)) is Loss.FLOODED

    run(main())


async def _is_up(link: GattLink) -> bool:
    try:
        await link.read(TEXT)
    except LinkLost as gone:
        assert gone.reason is Loss.FLOODED
        return False
    return True


def test_f18_a_value_longer_than_any_attribute_ends_the_link() -> None:
    async def oversize(port: GattPort) -> None:
        await port.subscribed(STREAM)
        await port.notify(STREAM, bytes(513))
        await asyncio.Event().wait()

    async def main() -> None:
        async with room(oversize) as (radio, peripheral), radio.opener(peripheral.address, SPEC).open() as link:
            assert await next_loss(link, STREAM) is Loss.FLOODED

    run(main())


def test_f18_empty_and_unasked_values_do_no_harm() -> None:
    async def odd(port: GattPort) -> None:
        await port.notify(STREAM, b"unasked")
        await port.subscribed(VALUES)
        await port.notify(STREAM, b"unasked")
        await port.indicate(VALUES, b"")

    async def main() -> None:
        async with (
            room(odd, faulty=True) as (radio, peripheral),
            radio.opener(peripheral.address, SPEC).open() as link,
        ):
            values = await link.subscribe(VALUES)
            assert await anext(values) == (VALUES, b"")
            assert await lost(anext(values)) is Loss.DISCONNECTED

    run(main())


def test_f14_nothing_is_paired_unless_asked_and_a_lost_bond_is_named() -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether, ether.radio() as backend:
            peripheral = await ether.add(thing(stay), "only", period_s=0)
            address = peripheral.address
            async with started(backend) as radio:
                assert await opened_loss(radio, address, BONDED) is Loss.BOND_REQUIRED
                async with radio.opener(address, BONDED, pair=True).open() as link:
                    assert await link.read(SECRET) == b"s"
                async with radio.opener(address, BONDED).open() as link:
                    assert await link.read(SECRET) == b"s"
                peripheral.forget()
                assert await opened_loss(radio, address, BONDED) is Loss.BOND_LOST
                async with radio.opener(address, SPEC).open() as link:
                    assert await lost(link.read(SECRET)) is Loss.BOND_LOST
            async with started(replace(backend, bond=None)) as radio:  # a platform that cannot tell
                assert await opened_loss(radio, address, BONDED) is Loss.BOND_REQUIRED

    run(main())


def test_f12_an_adapter_switched_off_is_named_and_comes_back_without_a_restart() -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether, ether.central() as central:
            peripheral = await ether.add(thing(stay), "only", awake=False)
            await central.power(False)
            async with started(backend(central), replace(QUICK, silent_s=0.2)) as radio:
                await until(lambda: radio.state.reason is Loss.ADAPTER_OFF)
                assert radio.state.scanning_s is None
                assert await opened_loss(radio, peripheral.address) is Loss.ADAPTER_OFF
                await central.power(True)
                await until(lambda: radio.state.reason is None and radio.state.scanning_s is not None)
                peripheral.wake()
                async with radio.opener(peripheral.address, SPEC).open() as link:
                    await central.power(False)
                    assert await lost(link.read(TEXT)) is Loss.DISCONNECTED
                await central.power(True)
                peripheral.wake()
                async with radio.opener(peripheral.address, SPEC).open() as link:
                    assert await link.read(TEXT) == b"text"

    run(main())


def test_f12_a_radio_gone_silent_is_scanned_anew() -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether, ether.central() as central:
            peripheral = await ether.add(thing(stay), "only")
            async with started(backend(central), replace(QUICK, silent_s=0.3)) as radio:
                await until(lambda: radio.state.last_heard_s is not None)
                assert radio.state.restarts == 0
                await (await central.device()).stop_scanning()  # behind bleak's back
                await until(lambda: radio.state.restarts > 0)
                async with radio.opener(peripheral.address, SPEC).open() as link:
                    assert await link.read(TEXT) == b"text"

    run(main())


def test_f12_an_adapter_that_is_unplugged_fails_those_who_wait() -> None:
    async def main() -> None:
        async with Ether(pace=0) as first:
            address = await first.serve_tcp()
            async with radio(address) as tcp, started(tcp, replace(QUICK, silent_s=0.1)) as adapter:
                await until(lambda: adapter.state.scanning_s is not None)
                waiting = asyncio.ensure_future(opened_loss(adapter, "C0:00:00:00:00:01"))
                await until(lambda: adapter.state.waiting == 1)
                await first.__aexit__(None, None, None)
                assert await waiting is Loss.ADAPTER_ABSENT
                assert adapter.state.reason is Loss.ADAPTER_ABSENT
                async with Ether(pace=0) as second:
                    peripheral = await second.add(thing(stay), "only")
                    await second.serve_tcp(port=int(address.rpartition(":")[2]))
                    await until(lambda: adapter.state.reason is None)
                    async with adapter.opener(peripheral.address, SPEC).open() as link:
                        assert await link.read(TEXT) == b"text"

    run(main())


def test_f54_many_connections_leave_nothing_behind() -> None:
    async def give(port: GattPort) -> None:
        await port.subscribed(VALUES)
        await port.indicate(VALUES, b"one")
        await port.disconnect()

    async def main() -> None:
        async with Ether(pace=0) as ether, ether.radio() as backend, started(backend) as radio:
            peripheral = await ether.add(thing(give), "only", period_s=0)
            await until(lambda: radio.state.scanning_s is not None)
            tasks = len(asyncio.all_tasks())
            links = weakref.WeakSet[object]()
            for _ in range(30):
                async with radio.opener(peripheral.address, SPEC).open() as link:
                    links.add(link)
                    assert await next_loss(link, VALUES) is Loss.DISCONNECTED
                del link
            assert (radio.state.connected, radio.state.waiting) == (0, 0)
            assert len(asyncio.all_tasks()) == tasks
            gc.collect()
            assert len(links) == 0

    run(main())


def test_stopping_the_radio_ends_every_wait() -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether, ether.radio() as backend:
            tasks = len(asyncio.all_tasks())
            async with started(backend) as radio:
                waiting = asyncio.ensure_future(opened_loss(radio, "C0:00:00:00:00:01"))
                await until(lambda: radio.state.waiting == 1)
            assert await waiting is Loss.ADAPTER_ABSENT
            assert len(asyncio.all_tasks()) == tasks

    run(main())


def test_f19_a_flood_of_strangers_is_bounded_and_the_known_device_served() -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether, ether.central() as central:
            peripheral = await ether.add(thing(stay), "only", awake=False)
            limits = replace(QUICK, tracked_addresses=500, connect_timeout_s=5)
            async with started(backend(central), limits) as radio:
                opened = radio.opener(peripheral.address, SPEC).open()
                opening = asyncio.ensure_future(opened.__aenter__())
                await until(lambda: radio.state.waiting == 1)
                for _ in range(20):
                    ether.crowd(100)
                    await asyncio.sleep(0.02)
                assert radio.state.restarts > 0
                assert radio.state.waiting == 1
                peripheral.wake()
                ether.crowd(300)
                assert await (await opening).read(TEXT) == b"text"
                await opened.__aexit__(None, None, None)

    run(main())


def test_a_name_is_stripped_and_capped() -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether, ether.radio() as backend, started(backend) as radio:
            seen = []

            async def scan() -> None:
                async for sighting in radio.scan(5):
                    seen.append(sighting)
                    return

            scanning = asyncio.ensure_future(scan())
            await until(lambda: radio.state.scanning_s is not None)
            for _ in range(3):
                await asyncio.sleep(0.05)
                ether.crowd(1, name=b"\x1b[31m Ev\x00il\r\n\xff" + b"x" * 200)
            await scanning
            (sighting,) = seen
            assert sighting.name == ("[31m Evil\ufffd" + "x" * 200)[:40]
            assert sighting.rssi_dbm == -50

    run(main())


def test_scan_lists_who_is_there() -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether, ether.radio() as backend, started(backend) as radio:
            cuffs = [await ether.add(thing(stay, name=f"Thing {n}"), "only") for n in range(3)]
            heard = {s.address: s async for s in radio.scan(0.6)}
            assert sorted(heard) == sorted(c.address for c in cuffs)
            assert {s.name for s in heard.values()} == {"Thing 0", "Thing 1", "Thing 2"}
            assert all(s.services == (SERVICE,) for s in heard.values())

    run(main())


def test_scan_without_a_radio_says_why() -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether, ether.central() as central:
            await central.power(False)
            async with started(backend(central)) as radio:
                await until(lambda: radio.state.reason is not None)
                assert await lost(anext(radio.scan(1))) is Loss.ADAPTER_OFF

    run(main())


@pytest.mark.long
def test_eight_cuffs_that_wake_at_once_are_all_served_before_they_hang_up() -> None:
    """At a 30 ms connection interval; each gives up when nobody has subscribed within 20 s."""

    async def impatient(port: GattPort) -> None:
        async with asyncio.timeout(20):
            await port.subscribed(VALUES)
        await port.indicate(VALUES, b"one")

    async def main() -> None:
        async with Ether(pace=0, interval_s=0.03) as ether, ether.radio() as backend:
            cuffs = [await ether.add(thing(impatient), "only", awake=False) for _ in range(8)]
            async with started(backend, Limits()) as radio:
                served: list[str] = []

                async def serve(address: str) -> None:
                    async with radio.opener(address, SPEC).open() as link:
                        values = await link.subscribe(VALUES)
                        assert await anext(values) == (VALUES, b"one")
                        served.append(address)

                async with asyncio.TaskGroup() as tasks:
                    for cuff in cuffs:
                        tasks.create_task(serve(cuff.address))
                    await until(lambda: radio.state.waiting == 8)
                    for cuff in cuffs:
                        cuff.wake()
                assert sorted(served) == sorted(c.address for c in cuffs)

    run(main(), 60)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs a process that can be frozen")
def test_f06_an_operating_system_that_hangs_does_not_hang_us() -> None:
    program = (
        "import asyncio, sys\n"
        "from devicebridge.testing.radio import Ether\n"
        "from devicebridge_simulators.ble_blood_pressure import SIMULATOR, replay\n"
        "async def main():\n"
        "    async with Ether(pace=1) as ether:\n"
        "        cuff = await ether.add(SIMULATOR, replay([]))\n"
        "        print(cuff.address, await ether.serve_tcp(), flush=True)\n"
        "        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)\n"
        "asyncio.run(main())\n"
    )

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            address, place = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().split()
            async with radio(place) as tcp, started(tcp) as adapter:
                async with adapter.opener(address, GattSpec(services=(uuid16(0x1810),))).open() as link:
                    process.send_signal(signal.SIGSTOP)
                    before_s = time.monotonic()
                    assert await lost(link.read(uuid16(0x2A24))) is Loss.TIMEOUT
                assert time.monotonic() - before_s < 5
                process.send_signal(signal.SIGCONT)
        finally:
            process.kill()
            await process.wait()

    run(main(), 60)


def test_f52_a_call_that_will_not_be_cancelled_is_left_behind() -> None:
    async def main() -> None:
        freed = asyncio.Event()

        async def stubborn() -> None:
            while not freed.is_set():
                try:
                    await freed.wait()
                except asyncio.CancelledError:
                    continue
            raise ZeroDivisionError

        before_s = time.monotonic()
        with pytest.raises(TimeoutError):
            await within(stubborn(), 0.05)
        assert time.monotonic() - before_s < 4
        freed.set()

    run(main())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BleakBluetoothNotAvailableError("", Unavailable.NO_BLUETOOTH), Loss.ADAPTER_ABSENT),
        (BleakBluetoothNotAvailableError("", Unavailable.NO_BLE_CENTRAL_ROLE), Loss.ADAPTER_ABSENT),
        (BleakBluetoothNotAvailableError("", Unavailable.POWERED_OFF), Loss.ADAPTER_OFF),
        (BleakBluetoothNotAvailableError("", Unavailable.DENIED_BY_USER), Loss.DENIED),
        (BleakBluetoothNotAvailableError("", Unavailable.DENIED_BY_SYSTEM), Loss.DENIED),
        (BleakBluetoothNotAvailableError("", Unavailable.UNKNOWN), Loss.ADAPTER_ABSENT),
        (BleakGATTProtocolError(0x05), Loss.BOND_REQUIRED),
        (BleakGATTProtocolError(0x0F), Loss.BOND_REQUIRED),
        (BleakGATTProtocolError(0x0E), Loss.FAILED),
        (BleakDBusError("org.bluez.Error.NotPermitted", ["Not paired"]), Loss.BOND_REQUIRED),
        (BleakDBusError("org.bluez.Error.AuthenticationFailed", []), Loss.BOND_LOST),
        (BleakDBusError("org.bluez.Error.NotReady", []), Loss.ADAPTER_OFF),
        (BleakDBusError("org.freedesktop.DBus.Error.ServiceUnknown", []), Loss.ADAPTER_ABSENT),
        (BleakDBusError("org.freedesktop.DBus.Error.UnknownObject", []), Loss.DISCONNECTED),
        (BleakDeviceNotFoundError("C0:00:00:00:00:01"), Loss.OUT_OF_REACH),
        (BleakError("something else"), Loss.FAILED),
        (TimeoutError(), Loss.TIMEOUT),
        (FileNotFoundError(), Loss.ADAPTER_ABSENT),
        (EOFError(), Loss.DISCONNECTED),
        (LinkLost(Loss.FLOODED), Loss.FLOODED),
    ],
    ids=str,
)
def test_f12_every_error_out_of_bleak_has_a_reason(error: Exception, reason: Loss) -> None:
    assert loss_of(error) is reason
