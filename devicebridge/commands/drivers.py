"""devicebridge drivers: what is installed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from .. import registry
from ..sdk.driver import Driver, SerialSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="DRIVER", help="only this one, with its options and evidence")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    names = registry.names(registry.DRIVERS) if args.name is None else [args.name]
    drivers = [load_driver(name) for name in names]
    if args.json:
        for driver in drivers:
            print(json.dumps(described(driver)))
    elif args.name:
        _print_one(drivers[0])
    else:
        for driver in drivers:
            print(f"{driver.manifest.id:22} {_links(driver):10} {driver.manifest.title}")
    return 0


def load_driver(name: str) -> Driver[Any]:
    """The driver, or a CommandError that says what is installed."""
    from .errors import CommandError

    try:
        return registry.driver(name)
    except KeyError:
        installed = ", ".join(registry.names(registry.DRIVERS))
        raise CommandError(f'no driver "{name}"; installed are: {installed}') from None
    except registry.RegistryError as error:
        raise CommandError(str(error)) from None


def described(driver: Driver[Any]) -> Mapping[str, Any]:
    manifest = driver.manifest
    return {
        "id": manifest.id,
        "title": manifest.title,
        "package": registry.origin(registry.DRIVERS, manifest.id),
        "links": _links(driver).split("+"),
        "kinds": sorted(manifest.kinds),
        "models": [{"name": m.name, "evidence": m.evidence, "source": m.source} for m in manifest.models],
        "clock": manifest.clock,
        "memory": manifest.has_memory,
        "options": driver.options.model_json_schema().get("properties", {}),
    }


def _links(driver: Driver[Any]) -> str:
    kinds = ("serial" if isinstance(link, SerialSpec) else "ble" for link in driver.manifest.links)
    return "+".join(dict.fromkeys(kinds))


def _print_one(driver: Driver[Any]) -> None:
    facts = described(driver)
    print(f"{facts['id']}: {facts['title']}\n  from {facts['package']}, over {_links(driver)}")
    print(f"  reads: {', '.join(facts['kinds'])}\n  models:")
    for model in facts["models"]:
        print(f"    {model['name']} ({model['evidence']}: {model['source']})")
    print("  options:")
    for name, option in facts["options"].items():
        print(f"    {name} = {json.dumps(option.get('default'))}  {option.get('description', '')}")
