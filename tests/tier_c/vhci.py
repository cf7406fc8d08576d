"""Tier C: bluetoothd and the kernel, whose adapter is a controller of the simulated radio, by /dev/vhci."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from bumble import hci, ll
from bumble.transport.common import PacketParser

from devicebridge.links.system import system_backend
from devicebridge.testing.radio import Ether
from devicebridge.testing.radio.controllers import Air, SimController

from .bluetooth import SYSTEM, Bluetooth, adapter_is_on

BLUETOOTHD = "/usr/libexec/bluetooth/bluetoothd"
DEVICE = "/dev/vhci"
VENDOR_PACKET, PRIMARY = 0xFF, 0x00
"""The first packet of all asks for a controller; the kernel answers with its index (drivers/bluetooth/hci_vhci.c)."""
PACKET_MAX_BYTES = 4096
ADVERTISED_MAX_BYTES = 31
RSSI_DBM = -50
REPORT_AGAIN_S = 0.2
"""Controllers leave out what they have reported, until its strength has changed, which it soon does."""
FEATURES_S = 0.3
"""Asking the other side takes some connection events, and only then may data flow. BlueZ 5.66 counts on it: where it
sees the data channel before the connection it never tells of the connection ("already connected", src/device.c)."""
READY_S = 20.0
STOP_S = 5.0
_Kind = hci.HCI_LE_Advertising_Report_Event.EventType


class VhciController(SimController):
    """What the kernel expects of a controller and Bumble's does not do.

    It goes by its public address only: the kernel connects from that one and sets another random address for each of
    its scans, but Air sends from the random one. It reports advertisements as real ones do.
    """

    def __init__(self, address: str, air: Air) -> None:
        super().__init__("vhci", link=air, public_address=address)
        self.random_address = self.public_address
        self._reported_s: dict[hci.Address, float] = {}

    def on_hci_le_set_random_address_command(
        self, _: hci.HCI_LE_Set_Random_Address_Command
    ) -> hci.HCI_StatusReturnParameters:
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_advertising_pdu(self, pdu: ll.AdvInd | ll.AdvExtInd) -> None:
        scanning, self.le_scan_enable = self.le_scan_enable, False
        super().on_advertising_pdu(pdu)  # connects, if that is wanted
        self.le_scan_enable = scanning
        now_s = asyncio.get_running_loop().time()
        if scanning and now_s - self._reported_s.get(pdu.advertiser_address, -REPORT_AGAIN_S) >= REPORT_AGAIN_S:
            self._reported_s[pdu.advertiser_address] = now_s
            for kind, data in zip((_Kind.ADV_IND, _Kind.SCAN_RSP), _split(pdu.data), strict=True):
                self._report(pdu.advertiser_address, kind, data)

    def on_hci_le_read_remote_features_command(self, command: hci.HCI_LE_Read_Remote_Features_Command) -> None:
        asyncio.get_running_loop().call_later(FEATURES_S, super().on_hci_le_read_remote_features_command, command)

    def _report(self, address: hci.Address, kind: int, data: bytes) -> None:
        report = hci.HCI_LE_Advertising_Report_Event.Report(
            event_type=kind, address_type=address.address_type, address=address, data=data, rssi=RSSI_DBM
        )
        self.send_hci_packet(hci.HCI_LE_Advertising_Report_Event([report]))


def _split(structures: bytes) -> tuple[bytes, bytes]:
    """What fits into an advertisement, and the rest, for the scan response; the kernel drops longer ones."""
    end = 0
    while end < len(structures) and end + 1 + structures[end] <= ADVERTISED_MAX_BYTES:
        end += 1 + structures[end]
    return structures[:end], structures[end:]


class Vhci:
    """The kernel's end of a controller: a packet a read, a packet a write."""

    def __init__(self, controller: SimController) -> None:
        self._parser = PacketParser(controller)
        self._file = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK)
        controller.host = self
        self.on_packet(bytes((VENDOR_PACKET, PRIMARY)))
        asyncio.get_running_loop().add_reader(self._file, self._read)

    def on_packet(self, packet: bytes) -> None:
        os.write(self._file, packet)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._file)
        os.close(self._file)

    def _read(self) -> None:
        packet = os.read(self._file, PACKET_MAX_BYTES)
        if packet[0] != VENDOR_PACKET:
            self._parser.feed_data(packet)


class Bluetoothd:
    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._addresses = itertools.count(1)

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([BLUETOOTHD, "--nodetach", "--debug"], stdout=log, stderr=log)

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(STOP_S)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @asynccontextmanager
    async def tier(self, ether: Ether) -> AsyncIterator[Bluetooth]:
        """Each time another adapter, with an address of its own: BlueZ remembers devices and bonds by adapter."""
        controller = VhciController(f"00:1B:DC:00:00:{next(self._addresses):02X}", ether.air)
        vhci = Vhci(controller)
        try:
            async with system_backend() as backend:
                async with asyncio.timeout(READY_S):
                    await adapter_is_on(backend)
                yield Bluetooth(backend, SYSTEM, self.kill, self.start)
        finally:
            vhci.close()
            controller.host = None
            controller.silence(hci.HCI_ErrorCode.REMOTE_USER_TERMINATED_CONNECTION_ERROR)
            ether.air.remove_controller(controller)


@contextmanager
def system_bus(log: Path) -> Iterator[None]:
    """Debian's own, with the rules that Debian's packages give it."""
    Path("/run/dbus").mkdir(parents=True, exist_ok=True)
    command = ["dbus-daemon", "--system", "--nofork", "--nopidfile", "--print-address"]
    with log.open("ab") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()  # it listens by then
            yield
        finally:
            process.terminate()
            process.wait(STOP_S)
