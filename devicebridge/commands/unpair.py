"""devicebridge unpair: takes a device out of the config and undoes its bond."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from ..clock import SystemClock
from ..config import BluetoothConfig
from ..links.bonding import BondFailed
from ..mistakes import ConfigError
from ..pairing.configfile import ConfigEditor, Unwritable
from ..words import BOND
from .errors import EX_CONFIG, EX_USAGE, CommandError
from .inreach import open_radio
from .reload import taken_up, told
from .watch import printable

UNBOND_S = 10.0
"""For the system to forget a bond."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="as the config calls the device")
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """The table first, and the daemon's word: one that still read the device would miss the bond."""
    try:
        editor = ConfigEditor(args.config)
        device = editor.config.devices[args.name]
        editor.remove(args.name)
    except KeyError:
        known = ", ".join(editor.config.devices) or "none"
        raise CommandError(
            f'no device "{printable(args.name)[:40]}" in {args.config}; it has: {known}', EX_USAGE
        ) from None
    except (ConfigError, Unwritable) as error:
        raise CommandError(str(error), EX_CONFIG) from None
    answer = taken_up(editor.config.outbox.path)
    unbonded = device.address is not None and asyncio.run(_unbond(args, editor.config.bluetooth, device.address))
    if args.json:
        state = answer["state"] if answer else None
        print(json.dumps({"name": args.name, "unbonded": unbonded, "daemon_config": state}))
        return 0
    bond = " and no longer paired with this PC" if unbonded else ""
    print(f"{args.name} is out of {args.config}{bond}; the file as it was is {args.config}.bak.")
    if unbonded:
        print("The device keeps its own half of the bond; its menu clears that.")
    if answer is not None and answer["state"] != "current":
        print(told(answer))
    return 0


async def _unbond(args: argparse.Namespace, bluetooth: BluetoothConfig, address: str) -> bool:
    async with open_radio(bluetooth, SystemClock()) as radio:
        if radio.bonds is None:
            return False
        try:
            async with asyncio.timeout(UNBOND_S):
                return await radio.bonds.unbond(address)
        except (BondFailed, TimeoutError) as error:
            words = BOND[error.reason] if isinstance(error, BondFailed) else "the system does not answer; try again"
            raise CommandError(f"{args.name} is out of {args.config}, but its bond is not undone: {words}") from None
