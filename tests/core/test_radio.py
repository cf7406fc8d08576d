"""The simulated radio through bleak's own API: what it must do for tests of anything above it to mean something."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import BaseBleakScanner
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakError,
    BleakGATTProtocolError,
)

from devicebridge.links.gatt import Backend
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.simulation import (
    Access,
    AttError,
    Characteristic,
    GattPort,
    GattScenario,
    GattSimulator,
    Service,
)

pytest.importorskip("bumble", reason="the simulated radio needs bumble")
from bumble.pairing import PairingDelegate

from devicebridge.testing.radio import Ether, backend, radio
from devicebridge.testing.radio.ether import static_address

SERVICE, VALUES, STREAM, TEXT, NOTE, SECRET, GUARDED = (uuid16(0xFF00 + n) for n in range(7))
CUSTOM = "233bf000-5a34-1b6d-975c-000d5690abe4"
Run = Callable[[GattPort], Awaitable[None]]


def table() -> tuple[Service, ...]:
    async def refuse(_: bytes) -> None:
        raise AttError(0x80)

    return (
        Service(
            SERVICE,
            (
                Characteristic(uuid=VALUES, access=Access.INDICATE),
                Characteristic(uuid=STREAM, access=Access.NOTIFY),
                Characteristic(uuid=TEXT, access=Access.READ | Access.WRITE, value=b"text"),
                Characteristic(uuid=NOTE, access=Access.WRITE, written=refuse),
                Characteristic(uuid=SECRET, access=Access.READ | Access.NOTIFY, value=b"s", encrypted=True),
                Characteristic(uuid=GUARDED, access=Access.READ, value=b"g", authenticated=True),
            ),
        ),
        Service(CUSTOM, ()),
    )


async def stay(port: GattPort) -> None:
    await asyncio.Event().wait()


def simulator(run: Run, *, faulty: bool = False, name: str = "Thing") -> GattSimulator:
    scenario = GattScenario(title="t", services=table, run=run, faulty=faulty)
    return GattSimulator(id="thing", name=name, advertised=(SERVICE, CUSTOM), scenarios={"only": scenario})


async def find(backend: Backend, name: str = "Thing") -> BLEDevice:
    found = await BleakScanner.find_device_by_name(name, 5, backend=backend.scanner, **backend.options)
    assert found is not None
    return found


@asynccontextmanager
async def connected(backend: Backend, **more: Any) -> AsyncIterator[BleakClient]:
    client = BleakClient(await find(backend), backend=backend.client, timeout=5, **more, **backend.options)
    async with client:
        yield client


def test_contract_every_abstract_method_of_bleak_is_there() -> None:
    """bleak does not promise its backend classes: this fails when a release asks for more, or for other things."""
    assert BaseBleakClient.__abstractmethods__ == {
        "mtu_size",
        "connect",
        "disconnect",
        "pair",
        "unpair",
        "is_connected",
        "read_gatt_char",
        "read_gatt_descriptor",
        "write_gatt_char",
        "write_gatt_descriptor",
        "start_notify",
        "stop_notify",
    }
    assert BaseBleakScanner.__abstractmethods__ == {"start", "stop"}


def test_scan_connect_discover_indicate_and_hang_up() -> None:
    async def give(port: GattPort) -> None:
        await port.subscribed(VALUES)
        await port.indicate(VALUES, b"one")
        await port.indicate(VALUES, b"two")

    async def main() -> None:
        async with Ether(pace=0) as ether, ether.radio() as backend:
            thing = await ether.add(simulator(give), "only")
            scanner = BleakScanner(backend=backend.scanner, **backend.options)
            async with scanner:
                async for device, data in scanner.advertisement_data():
                    assert (device.address, data.local_name) == (thing.address, "Thing")
                    assert sorted(data.service_uuids) == sorted((SERVICE, CUSTOM))
                    break
            gone = asyncio.Event()
            async with connected(backend, disconnected_callback=lambda _: gone.set()) as client:
                assert {s.uuid for s in client.services} >= {SERVICE, CUSTOM}
                found = client.services.get_characteristic(TEXT)
                assert found is not None
                assert found.properties == ["read", "write"]
                assert found.service_uuid == SERVICE
                assert client.mtu_size == 517
                values: asyncio.Queue[bytes] = asyncio.Queue()
                await client.start_notify(VALUES, lambda _, data: values.put_nowait(bytes(data)))
                assert [await values.get(), await values.get()] == [b"one", b"two"]
                await gone.wait()
                assert not client.is_connected
            await thing.played(1)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_reads_and_writes_obey_the_properties() -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether, ether.radio() as backend:
            await ether.add(simulator(stay), "only")
            async with connected(backend) as client:
                assert await client.read_gatt_char(TEXT) == b"text"
                await client.write_gatt_char(TEXT, bytes(range(256)) * 2, response=True)
                assert await client.read_gatt_char(TEXT) == bytes(range(256)) * 2
                for call, code in (
                    (client.read_gatt_char(VALUES), 0x02),
                    (client.write_gatt_char(VALUES, b"x", response=True), 0x03),
                    (client.write_gatt_char(NOTE, b"x", response=True), 0x80),
                ):
                    with pytest.raises(BleakGATTProtocolError) as refused:
                        await call
                    assert refused.value.code == code
                with pytest.raises(BleakError):
                    await client.start_notify(TEXT, lambda *_: None)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_each_connection_gets_a_fresh_attribute_table() -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether, ether.radio() as backend:
            await ether.add(simulator(stay), "only", period_s=0)
            for _ in range(2):
                async with connected(backend) as client:
                    assert await client.read_gatt_char(TEXT) == b"text"
                    await client.write_gatt_char(TEXT, b"changed", response=True)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_disconnection_ends_a_pending_read_at_once() -> None:
    async def main() -> None:
        async with Ether(interval_s=0.05, pace=0) as ether, ether.radio() as backend:
            thing = await ether.add(simulator(stay), "only")
            async with connected(backend) as client:
                read = asyncio.ensure_future(client.read_gatt_char(TEXT))
                queued = asyncio.ensure_future(client.read_gatt_char(TEXT))
                await asyncio.sleep(0)
                thing.lose()
                for pending in (read, queued):
                    with pytest.raises(BleakError):
                        await asyncio.wait_for(pending, 1)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_an_absent_device_times_out_and_the_next_connection_works() -> None:
    """Bumble's controller forgets to cancel: every later connection would be refused."""

    async def main() -> None:
        async with Ether(pace=0) as ether, ether.radio() as backend:
            thing = await ether.add(simulator(stay), "only")
            device = await find(backend)
            thing.sleep()
            with pytest.raises(TimeoutError):
                await BleakClient(device, backend=backend.client, timeout=0.2, **backend.options).connect()
            thing.wake()
            async with connected(backend) as client:
                assert await client.read_gatt_char(TEXT) == b"text"

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_device_that_stops_advertising_as_one_connects_makes_no_ghost_connection() -> None:
    async def main() -> None:
        async with Ether(interval_s=0.03, pace=0) as ether, ether.radio() as backend:
            thing = await ether.add(simulator(stay), "only")
            device = await find(backend)
            client = BleakClient(device, backend=backend.client, timeout=1, **backend.options)
            connecting = asyncio.ensure_future(client.connect())
            await asyncio.sleep(0.005)
            thing.vanish()
            with pytest.raises((TimeoutError, BleakError)):
                await connecting
            assert not client.is_connected

    asyncio.run(asyncio.wait_for(main(), 20))


def test_notifications_nobody_asked_for_do_no_harm() -> None:
    async def shout(port: GattPort) -> None:
        for _ in range(20):
            await port.notify(STREAM, b"unasked")
        await port.subscribed(VALUES)
        await port.indicate(VALUES, b"asked")

    async def quiet(port: GattPort) -> None:
        await port.notify(STREAM, b"never sent")
        await port.subscribed(VALUES)
        await port.indicate(VALUES, b"asked")

    async def main(run: Run, faulty: bool) -> None:
        async with Ether(pace=0) as ether, ether.radio() as backend:
            await ether.add(simulator(run, faulty=faulty), "only")
            async with connected(backend) as client:
                values: asyncio.Queue[bytes] = asyncio.Queue()
                await client.start_notify(VALUES, lambda _, data: values.put_nowait(bytes(data)))
                assert await values.get() == b"asked"
                assert values.empty()

    asyncio.run(asyncio.wait_for(main(shout, True), 20))
    asyncio.run(asyncio.wait_for(main(quiet, False), 20))


def test_security_just_works_encrypts_and_authenticates_nothing() -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether, ether.radio() as backend:
            thing = await ether.add(simulator(stay), "only", period_s=0)
            async with connected(backend) as client:
                await refused(client.read_gatt_char(SECRET), 0x0F)
                await refused(client.start_notify(SECRET, lambda *_: None), 0x0F)
                await refused(client.read_gatt_char(GUARDED), 0x0F)
                await client.pair()
                assert await client.read_gatt_char(SECRET) == b"s"
                await client.start_notify(SECRET, lambda *_: None)
                await refused(client.read_gatt_char(GUARDED), 0x05)
            async with connected(backend) as client:  # bonded
                assert await client.read_gatt_char(SECRET) == b"s"
            thing.forget()
            async with connected(backend) as client:
                await refused(client.read_gatt_char(SECRET), 0x0F)
                await client.unpair()
                assert not client.is_connected
            async with connected(backend, pair=True) as client:
                assert await client.read_gatt_char(SECRET) == b"s"

    asyncio.run(asyncio.wait_for(main(), 20))


class Passkey(PairingDelegate):
    """The peripheral shows a number, the central types the one it is told."""

    def __init__(self, io: PairingDelegate.IoCapability, typed: int | None = None) -> None:
        keys = PairingDelegate.KeyDistribution.DISTRIBUTE_ENCRYPTION_KEY
        super().__init__(io, keys, keys)
        self.shown: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.typed = typed
        self.other: Passkey | None = None

    async def display_number(self, number: int, digits: int) -> None:
        self.shown.set_result(number)

    async def get_number(self) -> int | None:
        assert self.other is not None
        shown = await self.other.shown
        return shown if self.typed is None else self.typed


def test_security_a_passkey_authenticates_and_a_wrong_one_can_be_tried_again() -> None:
    async def main() -> None:
        display = Passkey(PairingDelegate.DISPLAY_OUTPUT_ONLY)
        typing = Passkey(PairingDelegate.KEYBOARD_INPUT_ONLY, typed=1_000_000)
        typing.other = display
        async with Ether(pace=0) as ether, ether.central(delegate=typing) as central:
            await ether.add(simulator(stay), "only", period_s=0, delegate=display)
            radio = backend(central)
            async with connected(radio) as client:
                with pytest.raises(BleakError):
                    await client.pair()
                display.shown = asyncio.get_running_loop().create_future()
                typing.typed = None
                await client.pair()
                assert await client.read_gatt_char(GUARDED) == b"g"
            async with connected(radio) as client:
                assert await client.read_gatt_char(GUARDED) == b"g"

    asyncio.run(asyncio.wait_for(main(), 20))


def test_the_adapter_can_be_switched_off_and_on() -> None:
    async def main() -> None:
        async with Ether(pace=0) as ether, ether.central() as central:
            await ether.add(simulator(stay), "only", period_s=0)
            radio = backend(central)
            gone = asyncio.Event()
            async with connected(radio, disconnected_callback=lambda _: gone.set()) as client:
                await central.power(False)
                await asyncio.wait_for(gone.wait(), 1)
                assert not client.is_connected
            with pytest.raises(BleakBluetoothNotAvailableError) as unavailable:
                await find(radio)
            assert unavailable.value.reason is BleakBluetoothNotAvailableReason.POWERED_OFF
            await central.power(True)
            async with connected(radio) as client:
                assert await client.read_gatt_char(TEXT) == b"text"

    asyncio.run(asyncio.wait_for(main(), 20))


def test_packets_keep_their_order_at_a_connection_interval() -> None:
    async def count(port: GattPort) -> None:
        await port.subscribed(STREAM)
        for n in range(300):
            await port.notify(STREAM, n.to_bytes(2, "little"))

    async def main() -> None:
        async with Ether(interval_s=0.0075, pace=0) as ether, ether.radio() as backend:
            await ether.add(simulator(count), "only")
            async with connected(backend) as client:
                values: asyncio.Queue[int] = asyncio.Queue()
                await client.start_notify(STREAM, lambda _, d: values.put_nowait(int.from_bytes(d, "little")))
                assert [await values.get() for _ in range(300)] == list(range(300))

    asyncio.run(asyncio.wait_for(main(), 20))


def test_addresses_are_random_static_and_always_the_same() -> None:
    """The two highest bits are set (Bluetooth Core 5.4, vol 6 part B, 1.3.2.1)."""

    async def main() -> list[str]:
        async with Ether(pace=0) as ether:
            return [(await ether.add(simulator(stay), "only", awake=False)).address for _ in range(3)]

    first, second = asyncio.run(main()), asyncio.run(main())
    assert first == second == [static_address("thing", n) for n in range(3)]
    assert len(set(first)) == 3
    assert all(int(a[:2], 16) >= 0xC0 for a in first)


def test_f54_a_hundred_connections_leave_nothing_behind() -> None:
    async def one(port: GattPort) -> None:
        await port.subscribed(VALUES)
        await port.indicate(VALUES, b"one")
        await port.disconnect()

    async def main() -> None:
        async with Ether(pace=0) as ether, ether.radio() as backend:
            thing = await ether.add(simulator(one), "only", period_s=0)
            device = await find(backend)
            tasks = len(asyncio.all_tasks())
            for n in range(100):
                gone = asyncio.Event()
                client = BleakClient(device, lambda _, gone=gone: gone.set(), backend=backend.client, **backend.options)
                await client.connect()
                await client.start_notify(VALUES, lambda *_: None)
                await gone.wait()
                await thing.played(n + 1)
            assert len(asyncio.all_tasks()) == tasks

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_scenario_that_fails_is_heard_of() -> None:
    async def broken(port: GattPort) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        async with Ether(pace=0) as ether, ether.radio() as backend:
            thing = await ether.add(simulator(broken), "only")
            client = BleakClient(await find(backend), backend=backend.client, **backend.options)
            await asyncio.gather(client.connect(), return_exceptions=True)
            with pytest.raises(ZeroDivisionError):
                await thing.played(1)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(asyncio.wait_for(main(), 20))


def test_tcp_a_radio_that_is_not_there_is_an_absent_adapter_until_it_is() -> None:
    async def main() -> None:
        async with Ether(pace=0) as first:
            address = await first.serve_tcp()
        port = int(address.rpartition(":")[2])
        async with radio(address) as backend:
            with pytest.raises(BleakBluetoothNotAvailableError) as absent:
                await find(backend)
            assert absent.value.reason is BleakBluetoothNotAvailableReason.NO_BLUETOOTH
            for _ in range(2):  # and again after it was lost
                async with Ether(pace=0) as ether:
                    await ether.add(simulator(stay), "only")
                    await ether.serve_tcp(port=port)
                    gone = asyncio.Event()
                    client = BleakClient(
                        await find(backend),
                        lambda _, gone=gone: gone.set(),
                        backend=backend.client,
                        **backend.options,
                    )
                    await client.connect()
                    assert await client.read_gatt_char(TEXT) == b"text"
                await asyncio.wait_for(gone.wait(), 2)
                assert not client.is_connected

    asyncio.run(asyncio.wait_for(main(), 30))


@pytest.mark.parametrize("address", ["", "tcp:", "tcp:host", "tcp:host:port", "unix:/x:1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    async def main() -> None:
        async with radio(address):
            raise AssertionError

    with pytest.raises(ValueError, match="tcp:HOST:PORT"):
        asyncio.run(main())


def test_tcp_the_ether_in_another_process() -> None:
    """The simulated cuff, its controller and the air in one process; host, bleak and this test in another."""
    program = (
        "import asyncio, sys\n"
        "from devicebridge.testing.radio import Ether\n"
        "from devicebridge_simulators.ble_blood_pressure import SIMULATOR\n"
        "async def main():\n"
        "    async with Ether(pace=0) as ether:\n"
        "        cuff = await ether.add(SIMULATOR, 'normal', period_s=0)\n"
        "        print(await ether.serve_tcp(), flush=True)\n"
        "        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)\n"
        "asyncio.run(main())\n"
    )

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            address = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
            async with radio(address) as backend:
                for _ in range(3):
                    device = await find(backend, "Simulated BP")
                    client = BleakClient(device, backend=backend.client, **backend.options)
                    async with client:
                        values: asyncio.Queue[bytes] = asyncio.Queue()
                        await client.start_notify(uuid16(0x2A35), lambda _, d, v=values: v.put_nowait(bytes(d)))
                        assert (await asyncio.wait_for(values.get(), 5))[1:3] == b"\x7c\x00"
        finally:
            process.stdin.close()
            assert await asyncio.wait_for(process.wait(), 10) == 0

    asyncio.run(asyncio.wait_for(main(), 60))


async def refused(call: Awaitable[object], code: int) -> None:
    with pytest.raises(BleakGATTProtocolError) as refusal:
        await call
    assert refusal.value.code == code
