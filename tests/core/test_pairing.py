"""Who is in reach, which driver reads them, and what a device may be known by."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from bleak.backends.scanner import AdvertisementData

pytest.importorskip("bumble", reason="the simulated radio needs bumble")

from devicebridge import registry
from devicebridge.clock import SystemClock
from devicebridge.commands.inreach import ble_line, ble_row, serial_line, serial_row
from devicebridge.links.advertised import AddressKind, address_kind, pairing_mode
from devicebridge.links.bonding import BondFailure
from devicebridge.links.gatt import Radio, Sighting
from devicebridge.links.serial_ports import AttachedPort
from devicebridge.pairing import discover
from devicebridge.pairing.discover import Neighbourhood, cables
from devicebridge.pairing.identity import Unidentifiable, of_cable
from devicebridge.pairing.probe import Heard, probe
from devicebridge.pairing.recognise import by_advertisement, by_cable, manifests
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.links import Loss
from devicebridge.testing.radio import Ether
from devicebridge.words import BOND
from devicebridge_simulators.ble_blood_pressure import SIMULATOR
from support.serial_device import nonin_on_tcp

CUFF = uuid16(0x1810)
MICROLIFE = uuid16(0xFFF0)
ADDRESS = "C0:26:DA:01:02:03"


def sighting(
    name: str = "", services: tuple[str, ...] = (), address: str = ADDRESS, *, rssi_dbm: int = -50
) -> Sighting:
    return Sighting(address=address, name=name, services=services, rssi_dbm=rssi_dbm)


def recognised(name: str, *services: str) -> list[str]:
    return [found.driver for found in by_advertisement(sighting(name, services), manifests())]


def neighbourhood() -> Neighbourhood:
    return Neighbourhood(manifests(), configured={ADDRESS: "cuff"}, bonded=frozenset({ADDRESS}))


# --- Recognition ---------------------------------------------------------------------------------------------------


def test_every_driver_recognises_its_own_simulator() -> None:
    from devicebridge.sdk.simulation import GattSimulator

    for name in registry.names(registry.SIMULATORS):
        simulator = registry.simulator(name)
        if isinstance(simulator, GattSimulator):
            assert name in recognised(simulator.name, *simulator.advertised), name


def test_a_service_that_many_devices_share_does_not_make_a_cuff() -> None:
    """FFF0 is in half of all cheap gadgets; the driver names its devices, and takes no others."""
    assert recognised("LED-Strip", MICROLIFE) == []
    assert "microlife" in recognised("BP3GY1-2N", MICROLIFE)
    assert "microlife" in recognised("BP3GY1-2N")


def test_the_reason_is_said() -> None:
    (found,) = by_advertisement(sighting("x", (CUFF,)), manifests())
    assert (found.driver, found.why) == ("ble-blood-pressure", "service 1810")


def test_a_cable_is_recognised_by_its_usb_ids() -> None:
    port = AttachedPort("COM7", usb=(0x1A61, 0x3420), serial_number="X1")  # Abbott's cable
    assert [found.driver for found in by_cable(port, manifests())] == ["freestyle"]
    assert by_cable(AttachedPort("COM1"), manifests()) == ()


# --- Who is in reach -----------------------------------------------------------------------------------------------


def test_name_and_services_of_several_packets_are_put_together() -> None:
    around = neighbourhood()
    around.hear(sighting("", (CUFF,)))
    around.hear(sighting("BP", ()))
    (found,) = around.neighbours
    assert (found.heard.name, found.heard.services, found.device, found.bonded) == ("BP", (CUFF,), "cuff", True)
    assert [recognition.driver for recognition in found.drivers] == ["ble-blood-pressure"]


def test_f19_a_flood_of_addresses_does_not_push_out_what_a_driver_knows() -> None:
    around = neighbourhood()
    around.hear(sighting("far", (CUFF,), "C0:00:00:00:00:01", rssi_dbm=-99))
    for number in range(3 * discover.NEIGHBOURS_MAX):
        around.hear(sighting("near", (), f"C0:11:00:00:{number >> 8:02X}:{number & 255:02X}", rssi_dbm=-20))
    assert len(around.neighbours) == discover.NEIGHBOURS_MAX
    assert around.neighbours[0].heard.name == "far"


@pytest.mark.parametrize(
    "name",
    [
        b"\x1b[2J\x1b]0;owned\x07Cuff",
        b"Cuff\r\nOK  paired",
        "Cuff\u202e\u2066evil\u2069".encode(),
        b"\xff\xfe\x80Cuff",
        b"\x00" * 20,
        b"A" * 26,
    ],
)
def test_f49_a_hostile_name_cannot_steer_a_terminal(name: bytes) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), Ether(pace=0) as ether, ether.radio() as backend:
            radio = Radio(backend, clock=SystemClock())
            await radio.start()
            await radio.scanning()
            ether.crowd(1, name=name)
            around = neighbourhood()
            async for heard in radio.scan(10):
                around.hear(heard)
                break
            await radio.stop()
        (found,) = around.neighbours
        assert found.heard.name.isprintable()
        assert ble_line(found).isprintable()
        assert len(found.heard.name) <= 40
        assert json.loads(json.dumps(ble_row(found)))["name"] == found.heard.name

    asyncio.run(main())


def test_a_hostile_product_name_of_a_usb_device_neither() -> None:
    port = AttachedPort("COM7", usb=(0x0403, 0x6001), product="\x1b[31mAdapter\u202e\n")
    (found,) = cables(manifests(), {}, lambda: [port])
    assert serial_line(found, Heard(failed=Loss.BUSY)).isprintable()


def advertisement(*platform_data: object) -> AdvertisementData:
    return AdvertisementData(None, {}, {}, [], None, -50, platform_data)


def windows(kind: int, flags: int | None) -> object:
    """The shape of bleak's `_RawAdvData`; what it holds on Windows itself is tried on no Windows here."""
    return SimpleNamespace(adv=SimpleNamespace(bluetooth_address_type=kind, advertisement=SimpleNamespace(flags=flags)))


@pytest.mark.parametrize(
    ("address", "data", "kind", "mode"),
    [
        ("C0:26:DA:01:02:03", ("", {"AddressType": "random", "AdvertisingFlags": b"\x05"}), AddressKind.FIXED, True),
        ("54:26:DA:01:02:03", ("", {"AddressType": "public", "AdvertisingFlags": b"\x06"}), AddressKind.FIXED, False),
        ("54:26:DA:01:02:03", ("", {"AddressType": "random"}), AddressKind.RESOLVABLE, None),
        ("14:26:DA:01:02:03", (None, windows(1, 5)), AddressKind.NON_RESOLVABLE, True),
        ("54:26:DA:01:02:03", (None, windows(0, None)), AddressKind.FIXED, None),
        ("8D1E6B2C-0000-4000-8000-00805F9B34FB", (None, None, -50), AddressKind.UNKNOWN, None),
        ("C0:26:DA:01:02:03", (), AddressKind.UNKNOWN, None),
    ],
)
def test_what_a_platform_says_of_an_address(
    address: str, data: tuple[object, ...], kind: AddressKind, mode: bool | None
) -> None:
    """Bluetooth Core 5.4, vol 6 part B, 1.3; Core Specification Supplement 11, A 1.3."""
    said = advertisement(*data)
    assert (address_kind(address, said), pairing_mode(said)) == (kind, mode)


# --- Serial ports --------------------------------------------------------------------------------------------------

LONE = AttachedPort("COM5", usb=(0x0403, 0x6001), serial_number="A9031XYZ", product="FT232R")
NAMELESS = AttachedPort("COM6", usb=(0x10C4, 0xEA60))
TWIN = AttachedPort("COM7", usb=(0x10C4, 0xEA60))
BUILT_IN = AttachedPort("COM1")


@pytest.mark.parametrize(
    ("ports", "asked", "written"),
    [
        ([LONE, BUILT_IN], "COM5", "usb:0403:6001:A9031XYZ"),
        ([LONE, BUILT_IN], "com5", "usb:0403:6001:A9031XYZ"),
        ([LONE, BUILT_IN], "usb:0403:6001", "usb:0403:6001:A9031XYZ"),
        ([LONE, BUILT_IN], "COM1", "COM1"),
        ([NAMELESS], "COM6", "usb:10c4:ea60"),
        ([], "socket://127.0.0.1:4001", "socket://127.0.0.1:4001"),
    ],
)
def test_f04_what_is_written_is_never_a_name_that_changes(
    ports: Sequence[AttachedPort], asked: str, written: str
) -> None:
    assert of_cable(asked, lambda: ports) == written


@pytest.mark.parametrize(
    ("ports", "asked", "words"),
    [
        ([NAMELESS, TWIN], "COM6", "cannot be told apart"),
        ([NAMELESS, TWIN], "usb:10c4:ea60", "cannot be told apart"),
        ([LONE, LONE], "COM5", "cannot be told apart"),
        ([], "usb:0403:6001:A9031XYZ", "is not plugged in"),
        ([], "/dev/ttyUSB0", "devicebridge scan"),
        ([], "", "is no serial port"),
    ],
)
def test_f04_what_cannot_be_told_from_another_is_refused_in_words(
    ports: Sequence[AttachedPort], asked: str, words: str
) -> None:
    with pytest.raises(Unidentifiable, match=words):
        of_cable(asked, lambda: ports)


def test_ports_say_what_they_are() -> None:
    ports = [LONE, NAMELESS, TWIN, BUILT_IN]
    found = cables(manifests(), {"usb:0403:6001:A9031XYZ": "oximeter"}, lambda: ports)
    rows = [serial_row(cable) for cable in found]
    assert [row["device"] for row in rows] == ["oximeter", None, None, None]
    assert [row["is_twin"] for row in rows] == [False, True, True, False]
    assert "cms50" in [driver["driver"] for driver in rows[1]["drivers"]]
    assert "is oximeter here, FT232R" in serial_line(found[0])
    assert "cannot be told from its twin" in serial_line(found[1])


# --- Listening -----------------------------------------------------------------------------------------------------


def listened(port: str) -> Heard:
    drivers = [registry.driver(name) for name in registry.names(registry.DRIVERS)]
    return asyncio.run(probe(port, drivers, SystemClock(), lambda _: None))


def test_a_port_that_speaks_is_understood() -> None:
    with nonin_on_tcp("spot") as port:
        heard = listened(port)
    assert heard.drivers[0].driver == "nonin"
    assert heard.drivers[0].why == "what it sends"


def test_a_silent_port_is_silent_and_is_sent_nothing() -> None:
    async def main() -> tuple[Heard, bytes]:
        received = bytearray()
        gone = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.extend(await reader.read(-1))
            writer.close()
            gone.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            place = server.sockets[0].getsockname()[1]
            drivers = [registry.driver("nonin"), registry.driver("suntech")]
            heard = await probe(f"socket://127.0.0.1:{place}", drivers, SystemClock(), lambda _: None)
            await asyncio.wait_for(gone.wait(), 5)
        return heard, bytes(received)

    heard, received = asyncio.run(main())
    assert (heard, received) == (Heard(), b"")


def test_a_port_that_is_not_there_says_so() -> None:
    assert listened("socket://127.0.0.1:1").failed is Loss.NOT_FOUND


# --- Words ---------------------------------------------------------------------------------------------------------


def test_every_failure_has_words_and_a_remedy() -> None:
    assert set(BOND) == set(BondFailure)
    for words in BOND.values():
        assert "; " in words


def test_the_simulated_cuff_is_known_by_its_service() -> None:
    assert recognised(SIMULATOR.name, *SIMULATOR.advertised) == ["ble-blood-pressure"]
