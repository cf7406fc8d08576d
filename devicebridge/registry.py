"""Finds drivers, simulators and radios by entry point. Two packages that ship one id are refused, both named."""

from __future__ import annotations

from collections import defaultdict
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .sdk.driver import Driver
from .sdk.simulation import DualSimulator, GattSimulator, SerialSimulator, Simulator

DRIVERS = "devicebridge.drivers"
SIMULATORS = "devicebridge.simulators"
RADIOS = "devicebridge.radios"


class RegistryError(Exception):
    """One sentence: which package is at fault and what to do."""


def names(group: str) -> list[str]:
    return sorted(_found(group))


def driver(driver_id: str) -> Driver[Any]:
    """Raises KeyError if no such driver is installed, RegistryError if it cannot be used."""
    loaded = _load(DRIVERS, driver_id)
    if not isinstance(loaded, Driver):
        raise RegistryError(f'"{driver_id}" is registered as a driver but is none; report it to its author')
    if loaded.manifest.id != driver_id:
        raise RegistryError(f'driver "{driver_id}" calls itself "{loaded.manifest.id}"; report it to its author')
    return loaded


def simulator(simulator_id: str) -> Simulator:
    """Raises as `driver` does."""
    loaded = _load(SIMULATORS, simulator_id)
    if not isinstance(loaded, SerialSimulator | GattSimulator | DualSimulator):
        raise RegistryError(f'"{simulator_id}" is registered as a simulator but is none; report it to its author')
    return loaded


def radio(name: str) -> Any:
    """A simulated radio's factory. Raises as `driver` does."""
    return _load(RADIOS, name)


def origin(group: str, name: str) -> str:
    """The distribution that ships it, with its version."""
    dist = _found(group)[name].dist
    return f"{dist.name} {dist.version}" if dist else "unknown"


def home(driver_id: str) -> Path:
    """Where an installed driver's code lies: a folder, or the file of a module that stands alone."""
    spec = find_spec(_found(DRIVERS)[driver_id].module)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent if spec.parent else Path(spec.origin)


def _load(group: str, name: str) -> Any:
    entry = _found(group)[name]
    try:
        return entry.load()
    except Exception as error:
        raise RegistryError(
            f'"{name}" of {origin(group, name)} cannot be loaded ({type(error).__name__}: {error}); '
            "reinstall it or remove it"
        ) from error


def _found(group: str) -> dict[str, EntryPoint]:
    by_name: dict[str, dict[str, EntryPoint]] = defaultdict(dict)
    for entry in entry_points(group=group):
        by_name[entry.name][entry.value] = entry
    for name, entries in by_name.items():
        if len(entries) > 1:
            shipped = " and ".join(sorted(f"{e.dist.name if e.dist else '?'} ({e.value})" for e in entries.values()))
            raise RegistryError(f'two packages ship "{name}" in {group}: {shipped}; uninstall one of them')
    return {name: next(iter(entries.values())) for name, entries in by_name.items()}
