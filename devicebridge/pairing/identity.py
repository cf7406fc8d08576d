"""What a device is known by. An identity that does not last, or that two devices share, is refused in words."""

from __future__ import annotations

from collections.abc import Sequence

from ..links.advertised import AddressKind
from ..links.gatt import Sighting
from ..links.serial_ports import Attached, AttachedPort, PortError, attached_ports, resolve
from ..sdk.links import LinkLost, Loss

TWINS = (
    "two adapters are plugged in that cannot be told apart, as neither has a serial number; "
    "use another make for one of them, or give both a name of your own under /dev/serial/by-id"
)
CHANGES = (
    "the device changes its address and offers no way to be recognised again; "
    "look in its menu for a fixed address or for pairing"
)


class Unidentifiable(Exception):
    """One sentence with its remedy."""


def of_cable(port: str, attached: Attached = attached_ports) -> str:
    """The address to write into the config for a port as a person names it: COM5 becomes its adapter's USB identity.

    Raises Unidentifiable.
    """
    ports = attached()
    mine = next((p for p in ports if p.usb and p.device.casefold() == port.casefold()), None)
    address = port if mine is None else mine.address
    try:
        resolve(address, attached)
    except PortError as error:
        raise Unidentifiable(str(error)) from None
    except LinkLost as lost:
        if lost.reason is Loss.AMBIGUOUS:
            raise Unidentifiable(TWINS) from None
        raise Unidentifiable(f"{address} is not plugged in; plug it in and try again") from None
    return _whole(address, ports)


def needs_bond(heard: Sighting) -> bool:
    """Whether only a bond makes this device known again. Raises Unidentifiable where not even that does."""
    if heard.address_kind is AddressKind.NON_RESOLVABLE:
        raise Unidentifiable(CHANGES)
    return heard.address_kind is AddressKind.RESOLVABLE


def _whole(address: str, ports: Sequence[AttachedPort]) -> str:
    """A USB address without serial number becomes that of the one adapter which it means now."""
    if not address.lower().startswith("usb:"):
        return address
    return next((p.address for p in ports if p.usb and p.address.lower().startswith(address.lower())), address)
