"""devicebridge bonds: what this PC is bonded with against what the config says."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import registry
from ..clock import SystemClock
from ..config import Config
from ..links.bonding import BondedDevice, BondFailed, BondFailure
from ..words import BOND
from .errors import CommandError, load_config
from .inreach import open_radio
from .watch import printable

LIST_S = 10.0
_STATES = {
    (True, True, True): "paired and in the config",
    (True, True, False): "paired and in the config",
    (True, False, False): "paired, but not in the config; another program's, or left from a device that was removed",
    (False, True, True): "in the config, but NOT paired: it cannot be read; run: devicebridge unpair, then pair",
    (False, True, False): "in the config; its driver asks for no pairing",
}
"""By: bonded, configured, the driver demands it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="one object a device")


def run(args: argparse.Namespace) -> int:
    config = load_config(args.config)
    try:
        rows = _rows(config, asyncio.run(_bonds(config)))
    except BondFailed as error:
        raise CommandError(BOND[error.reason]) from None
    for row in rows:
        print(json.dumps(row) if args.json else _line(row))
    if not rows and not args.json:
        print("no Bluetooth LE devices, neither paired nor in the config")
    return 0


async def _bonds(config: Config) -> tuple[BondedDevice, ...]:
    async with open_radio(config.bluetooth, SystemClock()) as radio:
        if radio.bonds is None:
            raise BondFailed(BondFailure.UNSUPPORTED)
        try:
            async with asyncio.timeout(LIST_S):
                return await radio.bonds.list()
        except TimeoutError:
            raise BondFailed(BondFailure.ADAPTER) from None


def _rows(config: Config, bonded: tuple[BondedDevice, ...]) -> list[Mapping[str, Any]]:
    held = {bond.address.upper(): bond for bond in bonded}
    configured = {device.address.upper(): name for name, device in config.devices.items() if device.address}
    rows: list[Mapping[str, Any]] = []
    for address in sorted({*held, *configured}, key=lambda a: (a not in configured, a)):
        name = configured.get(address)
        rows.append(
            {
                "address": address,
                "name": held[address].name if address in held else "",
                "device": name,
                "bonded": address in held,
                "bond_required": name is not None and _demands_bond(config.devices[name].driver),
            }
        )
    return rows


def _demands_bond(driver: str) -> bool:
    try:
        spec = registry.driver(driver).manifest.gatt
    except KeyError:
        return False
    return spec is not None and spec.bond_required


def _line(row: Mapping[str, Any]) -> str:
    state = _STATES[row["bonded"], row["device"] is not None, row["bond_required"]]
    return printable(f"{row['address']:36} {row['device'] or '-':16} {state}  {row['name']}".rstrip())
