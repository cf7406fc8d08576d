"""Who is in reach: Bluetooth LE devices as they are heard, and the serial ports of this PC."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ..links.bonding import BondFailed
from ..links.gatt import Radio, Sighting
from ..links.serial_ports import Attached, AttachedPort, PortError, attached_ports, resolve
from ..sdk.driver import Manifest
from ..sdk.links import LinkLost
from .recognise import Recognition, by_advertisement, by_cable

NEIGHBOURS_MAX = 200
"""Addresses kept of one scan: a street of phones has fewer; the weakest of those no driver knows goes first."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A Bluetooth LE device. device: its name in the config. bonded: None where the system does not tell."""

    heard: Sighting
    drivers: tuple[Recognition, ...]
    device: str | None
    bonded: bool | None


@dataclass(frozen=True, slots=True)
class Cable:
    """A serial port. is_twin: another is plugged in that cannot be told from it."""

    port: AttachedPort
    drivers: tuple[Recognition, ...]
    device: str | None
    is_twin: bool


async def bonded(radio: Radio) -> frozenset[str] | None:
    """The addresses that the system is bonded with, upper-case; None where it does not tell."""
    try:
        return None if radio.bonds is None else frozenset(b.address.upper() for b in await radio.bonds.list())
    except BondFailed:
        return None


class Neighbourhood:
    """What a scan has heard so far. configured: device names by address, upper-case; bonded: addresses, upper-case."""

    def __init__(
        self, known: Iterable[Manifest], *, configured: Mapping[str, str], bonded: frozenset[str] | None
    ) -> None:
        self._known = tuple(known)
        self._configured = configured
        self._bonded = bonded
        self._neighbours: dict[str, Neighbour] = {}

    def hear(self, sighting: Sighting) -> None:
        key = sighting.address.upper()
        former = self._neighbours.get(key)
        heard = sighting if former is None else _joined(former.heard, sighting)
        self._neighbours[key] = Neighbour(
            heard=heard,
            drivers=by_advertisement(heard, self._known),
            device=self._configured.get(key),
            bonded=None if self._bonded is None else key in self._bonded,
        )
        if len(self._neighbours) > NEIGHBOURS_MAX:
            del self._neighbours[max(self._neighbours, key=lambda k: _order(self._neighbours[k]))]

    @property
    def neighbours(self) -> tuple[Neighbour, ...]:
        """Those that a driver knows first, then the nearest."""
        return tuple(sorted(self._neighbours.values(), key=_order))

    def find(self, address: str) -> Neighbour | None:
        return self._neighbours.get(address.upper())


def cables(
    known: Iterable[Manifest], configured: Mapping[str, str], attached: Attached = attached_ports
) -> tuple[Cable, ...]:
    """configured: device names by port, as the config writes them. Blocks for some milliseconds."""
    ports = attached()
    same = Counter((port.usb, port.serial_number) for port in ports)
    names = {_resolved(port, attached): name for port, name in configured.items()}
    return tuple(
        Cable(
            port=port,
            drivers=by_cable(port, known),
            device=names.get(port.device),
            is_twin=port.usb is not None and same[port.usb, port.serial_number] > 1,
        )
        for port in ports
    )


def _resolved(port: str, attached: Attached) -> str:
    try:
        return resolve(port, attached)
    except (PortError, LinkLost):
        return ""


def _joined(former: Sighting, latest: Sighting) -> Sighting:
    """Names and services may come in another packet than the rest."""
    return replace(
        latest,
        name=latest.name or former.name,
        services=tuple(dict.fromkeys(former.services + latest.services)),
        pairing_mode=former.pairing_mode if latest.pairing_mode is None else latest.pairing_mode,
    )


def _order(neighbour: Neighbour) -> tuple[bool, bool, int, str]:
    heard = neighbour.heard
    return not neighbour.device, not neighbour.drivers, -heard.rssi_dbm, heard.address
