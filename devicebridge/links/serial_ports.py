"""Which serial port a configured address means. Identity is the USB adapter's own, never the name it got today.

An address is "usb:VVVV:PPPP" or "usb:VVVV:PPPP:SERIAL" (vendor and product in hexadecimal), a link that someone made
on purpose (/dev/serial/by-id/...), a built-in port (COM1, /dev/ttyS0), socket://host:port or rfc2217://host:port.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from serial.tools import list_ports

from ..sdk.links import LinkLost, Loss

RFC2217_OPTIONS = frozenset({"ign_set_control", "poll_modem", "timeout"})  # not "logging": it would log readings

_USB = re.compile(r"usb:([0-9a-f]{4}):([0-9a-f]{4})(?::(.+))?", re.IGNORECASE)
_USB_NAME = re.compile(r"/dev/(ttyUSB|ttyACM|(cu|tty)\.usb)", re.IGNORECASE)
_FORMS = "usb:VID:PID:SERIAL, a /dev/serial/by-id path, a built-in port such as COM1, socket://HOST:PORT or rfc2217://HOST:PORT"


class PortError(ValueError):
    """A port that cannot be accepted as it is written; the message is one sentence with its remedy."""


@dataclass(frozen=True, slots=True)
class AttachedPort:
    """A serial port of this computer. usb: (vendor, product), None for a built-in one."""

    device: str
    usb: tuple[int, int] | None = None
    serial_number: str | None = None
    product: str | None = None

    @property
    def address(self) -> str:
        """What to write in the configuration for this port."""
        if self.usb is None:
            return self.device
        serial = f":{self.serial_number}" if self.serial_number else ""
        return f"usb:{self.usb[0]:04x}:{self.usb[1]:04x}{serial}"


Attached = Callable[[], Sequence[AttachedPort]]


def attached_ports() -> tuple[AttachedPort, ...]:
    """The ports this computer has at the moment, in the order of their names. Blocks for some milliseconds."""
    return tuple(
        AttachedPort(
            device=port.device,
            usb=None if port.vid is None or port.pid is None else (port.vid, port.pid),
            serial_number=port.serial_number or None,
            product=port.product,
        )
        for port in sorted(list_ports.comports())
    )


def check_port(port: str, attached: Attached = attached_ports) -> None:
    """Raises PortError where `port` is no address of a serial port, or is the passing name of a USB adapter."""
    if "://" in port:
        _check_url(port)
    elif port.lower().startswith("usb:"):
        if not _USB.fullmatch(port):
            raise PortError(f'"{port}" is not a USB address; write usb:VID:PID or usb:VID:PID:SERIAL in hexadecimal')
    elif not port.strip() or port != port.strip():
        raise PortError(f'"{port}" is no serial port; write {_FORMS}')
    else:
        _check_name(port, attached())


def resolve(port: str, attached: Attached = attached_ports) -> str:
    """The device path or URL to open now.

    Raises PortError as `check_port` does; LinkLost(NOT_FOUND) where a USB adapter is not plugged in, and
    LinkLost(AMBIGUOUS) where two are that cannot be told apart.
    """
    check_port(port, attached)
    match = _USB.fullmatch(port)
    if match:
        return _one_of(_usb_matches(match, attached()))
    if "://" not in port:
        _refuse_twins(port, attached())
    return port


def _check_url(port: str) -> None:
    try:
        parts = urlsplit(port)
        complete = bool(parts.hostname and parts.port) and not (parts.path or parts.username or parts.fragment)
        options = set(parse_qs(parts.query, keep_blank_values=True))
    except ValueError:
        complete, options = False, set()
        parts = urlsplit("")
    if parts.scheme not in ("socket", "rfc2217") or not complete:
        raise PortError(f'"{port}" is no serial port; write socket://HOST:PORT or rfc2217://HOST:PORT')
    unknown = options - (RFC2217_OPTIONS if parts.scheme == "rfc2217" else frozenset())
    if unknown:
        raise PortError(f'"{port}" has an option that is not allowed ({min(unknown)}); leave it out')


def _check_name(port: str, attached: Sequence[AttachedPort]) -> None:
    usb = next((p for p in attached if p.usb and _same_name(p.device, port)), None)
    if usb:
        raise PortError(
            f'"{port}" is a USB adapter whose name changes when it is plugged in again; write "{usb.address}" instead'
        )
    if _USB_NAME.match(port):
        raise PortError(
            f'"{port}" is the name of a USB adapter, which changes when it is plugged in again; '
            "plug it in, run `devicebridge scan` and write the usb: address shown there"
        )


def _same_name(device: str, port: str) -> bool:
    return device.lower() == port.lower().removeprefix("\\\\.\\").replace("/dev/tty.", "/dev/cu.")


def _usb_matches(match: re.Match[str], attached: Sequence[AttachedPort]) -> list[AttachedPort]:
    usb, serial = (int(match[1], 16), int(match[2], 16)), match[3]
    return [p for p in attached if p.usb == usb and serial in (None, p.serial_number)]


def _one_of(matches: Sequence[AttachedPort]) -> str:
    if not matches:
        raise LinkLost(Loss.NOT_FOUND)
    if len(matches) > 1:
        raise LinkLost(Loss.AMBIGUOUS)
    return matches[0].device


def _refuse_twins(port: str, attached: Sequence[AttachedPort]) -> None:
    """A by-id link to an adapter without a serial number points at whichever of its twins came last."""
    if Path(port).parent.name != "by-id":
        return
    target = str(Path(port).resolve())
    mine = next((p for p in attached if p.device == target), None)
    twins = [p for p in attached if mine and not mine.serial_number and p.usb == mine.usb and not p.serial_number]
    if len(twins) > 1:
        raise LinkLost(Loss.AMBIGUOUS)
