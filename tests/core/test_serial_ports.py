"""Which port an address means. F04: identity is the adapter's own, never the name it got today."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from devicebridge.links.serial_ports import Attached, AttachedPort, PortError, attached_ports, check_port, resolve
from devicebridge.sdk import LinkLost, Loss

FTDI = (0x0403, 0x6001)
CH340 = (0x1A86, 0x7523)
BUILT_IN = AttachedPort("/dev/ttyS0")


def pc(*ports: AttachedPort) -> Attached:
    def attached() -> Sequence[AttachedPort]:
        return ports

    return attached


def ftdi(name: str, serial: str | None = "A50285BI") -> AttachedPort:
    return AttachedPort(name, FTDI, serial, "FT232R USB UART")


def test_f04_an_adapter_is_found_whatever_its_name_is_now() -> None:
    for name in ("/dev/ttyUSB0", "/dev/ttyUSB1", "COM7", "COM9", "/dev/cu.usbserial-A50285BI"):
        assert resolve("usb:0403:6001:A50285BI", pc(BUILT_IN, ftdi(name))) == name
    assert resolve("usb:0403:6001", pc(ftdi("COM9", None), BUILT_IN)) == "COM9"


def test_f04_the_serial_number_tells_two_alike_apart() -> None:
    both = pc(ftdi("/dev/ttyUSB0", "ONE"), ftdi("/dev/ttyUSB1", "TWO"))
    assert resolve("usb:0403:6001:TWO", both) == "/dev/ttyUSB1"


@pytest.mark.parametrize("address", ["usb:1a86:7523", "usb:0403:6001"])
def test_f04_two_alike_without_serials_are_not_guessed_at(address: str) -> None:
    twins = pc(AttachedPort("COM3", CH340), AttachedPort("COM4", CH340), ftdi("COM5", "ONE"), ftdi("COM6", "TWO"))
    with pytest.raises(LinkLost) as lost:
        resolve(address, twins)
    assert lost.value.reason is Loss.AMBIGUOUS


@pytest.mark.skipif(sys.platform == "win32", reason="by-id links are udev's")
def test_f04_a_by_id_link_to_one_of_two_alike_is_not_believed(tmp_path: Path) -> None:
    """udev makes one link for both adapters: it points at whichever came last."""
    device = tmp_path / "ttyCH340"
    device.touch()
    by_id = tmp_path / "by-id" / "usb-1a86_USB_Serial-if00-port0"
    by_id.parent.mkdir()
    by_id.symlink_to(device)
    one, other = AttachedPort(str(device), CH340), AttachedPort("/dev/ttyUSB1", CH340)
    assert resolve(str(by_id), pc(one, ftdi("/dev/ttyUSB2"))) == str(by_id)
    with pytest.raises(LinkLost) as lost:
        resolve(str(by_id), pc(one, other))
    assert lost.value.reason is Loss.AMBIGUOUS


def test_an_adapter_that_is_not_plugged_in_is_not_found() -> None:
    with pytest.raises(LinkLost) as lost:
        resolve("usb:0403:6001:OTHER", pc(ftdi("/dev/ttyUSB0")))
    assert lost.value.reason is Loss.NOT_FOUND


@pytest.mark.parametrize("name", ["/dev/ttyUSB0", "/dev/ttyACM3", "/dev/tty.usbserial-1", "/dev/cu.usbmodem1"])
def test_f04_the_name_of_a_usb_port_is_refused_even_when_it_is_away(name: str) -> None:
    with pytest.raises(PortError, match="devicebridge scan"):
        check_port(name, pc())


@pytest.mark.parametrize(
    ("name", "device"), [("COM5", "COM5"), ("com5", "COM5"), (r"\\.\COM12", "COM12"), ("/dev/tty.x", "/dev/cu.x")]
)
def test_f04_the_name_of_a_usb_port_is_refused_with_what_to_write(name: str, device: str) -> None:
    with pytest.raises(PortError, match='write "usb:0403:6001:A50285BI" instead'):
        check_port(name, pc(ftdi(device)))


@pytest.mark.parametrize(
    "port",
    [
        "COM1",
        "/dev/ttyS0",
        "/dev/pts/3",
        "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0",
        "usb:0403:6001",
        "usb:0403:6001:A 5",
        "USB:1A86:7523",
        "socket://10.0.0.7:4001",
        "socket://[::1]:4001",
        "rfc2217://lantronix.example:3001",
        "rfc2217://lantronix.example:3001?ign_set_control",
    ],
)
def test_accepted(port: str) -> None:
    check_port(port, pc(BUILT_IN))


@pytest.mark.parametrize(
    "port",
    [
        "",
        " COM1",
        "usb:",
        "usb:403:6001",
        "usb:0403",
        "usb:gggg:6001",
        "socket://host",
        "socket://:4001",
        "socket://host:0",
        "socket://host:99999",
        "socket://host:4001/path",
        "socket://me@host:4001",
        "socket://host:4001?logging=debug",
        "rfc2217://host:4001?logging=debug",
        "spy:///dev/ttyS0?file=readings.txt",
        "loop://",
        "hwgrep://0403",
        "socket://[::1",
    ],
)
def test_refused_in_one_sentence(port: str) -> None:
    with pytest.raises(PortError) as refused:
        check_port(port, pc(BUILT_IN))
    assert "\n" not in str(refused.value)
    assert f'"{port}"' in str(refused.value)


def test_the_ports_of_this_computer_can_be_listed() -> None:
    for port in attached_ports():
        assert port.address == port.device or port.address.startswith("usb:")
