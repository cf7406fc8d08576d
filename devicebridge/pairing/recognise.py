"""Which driver reads a device, from what the driver's manifest says of itself. A suggestion; a person decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .. import registry
from ..links.gatt import Sighting
from ..links.serial_ports import AttachedPort
from ..sdk.driver import GattSpec, Manifest, SerialSpec


@dataclass(frozen=True, slots=True)
class Recognition:
    """why: for a person to read. rank: the lower the surer."""

    driver: str
    why: str
    rank: int


def manifests() -> tuple[Manifest, ...]:
    """Of all installed drivers. Raises RegistryError where one cannot be used."""
    return tuple(registry.driver(name).manifest for name in registry.names(registry.DRIVERS))


def by_advertisement(sighting: Sighting, known: Iterable[Manifest]) -> tuple[Recognition, ...]:
    """The surest first. A driver that names its devices is not taken for others that only share a service."""
    found = []
    for manifest in known:
        for spec in manifest.links:
            if isinstance(spec, GattSpec) and (why := _why(sighting, spec)):
                found.append(Recognition(manifest.id, *why))
                break
    return tuple(sorted(found, key=lambda r: (r.rank, r.driver)))


def by_cable(port: AttachedPort, known: Iterable[Manifest]) -> tuple[Recognition, ...]:
    """By the adapter's USB ids, which devices of other makers may have too."""
    if port.usb is None:
        return ()
    why = f"its adapter, USB {port.usb[0]:04x}:{port.usb[1]:04x}"
    return tuple(
        Recognition(manifest.id, why, 0)
        for manifest in known
        if any(isinstance(spec, SerialSpec) and port.usb in spec.usb_ids for spec in manifest.links)
    )


def short(uuid: str) -> str:
    """A service as people know it: 1810 for one that the Bluetooth SIG numbered."""
    is_assigned = uuid.startswith("0000") and uuid.endswith("-0000-1000-8000-00805f9b34fb")
    return uuid[4:8] if is_assigned else uuid


def _why(sighting: Sighting, spec: GattSpec) -> tuple[str, int] | None:
    service = next((uuid for uuid in spec.services if uuid in sighting.services), None)
    prefix = next((p for p in spec.name_prefixes if sighting.name.startswith(p)), None)
    if service and prefix:
        return f'service {short(service)} and a name that begins with "{prefix}"', 0
    if service and not spec.name_prefixes:
        return f"service {short(service)}", 1
    return (f'a name that begins with "{prefix}"', 2) if prefix else None
