"""What `scan` and `pair` share: the radio and ports they look at, and a line for each device found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..assemble import start_radio
from ..clock import Clock
from ..config import BluetoothConfig, Config
from ..links.gatt import Radio
from ..mistakes import ConfigError
from ..pairing.discover import Cable, Neighbour, Neighbourhood, bonded
from ..pairing.probe import Heard
from ..pairing.recognise import Recognition, short
from ..sdk.driver import Manifest
from .errors import EX_CONFIG, CommandError
from .watch import printable

BLE_COLUMNS = "{name:20} {address:17} {signal:>8}  {drivers:34} {services:14} {remarks}"
SERIAL_COLUMNS = "{port:30} {name:16}  {drivers:34} {remarks}"
UNKNOWN = "no driver known"


@asynccontextmanager
async def open_radio(bluetooth: BluetoothConfig, clock: Clock) -> AsyncIterator[Radio]:
    async with AsyncExitStack() as stack:
        try:
            radio = await start_radio(bluetooth, clock, stack)
        except ConfigError as error:
            raise CommandError(str(error), EX_CONFIG) from None
        yield radio


async def neighbourhood(radio: Radio, config: Config | None, known: Iterable[Manifest]) -> Neighbourhood:
    devices = {} if config is None else config.devices
    configured = {device.address.upper(): name for name, device in devices.items() if device.address}
    return Neighbourhood(known, configured=configured, bonded=await bonded(radio))


def configured_ports(config: Config | None) -> Mapping[str, str]:
    return {} if config is None else {device.port: name for name, device in config.devices.items() if device.port}


def ble_row(found: Neighbour) -> Mapping[str, Any]:
    heard = found.heard
    return {
        "link": "ble",
        "address": heard.address,
        "name": heard.name,
        "services": [short(uuid) for uuid in heard.services],
        "rssi_dbm": heard.rssi_dbm,
        "address_kind": heard.address_kind,
        "pairing_mode": heard.pairing_mode,
        "drivers": _drivers(found.drivers),
        "device": found.device,
        "bonded": found.bonded,
    }


def ble_line(found: Neighbour) -> str:
    heard = found.heard
    remarks = [f"is {found.device} here"] if found.device else []
    remarks += ["in pairing mode"] if heard.pairing_mode else []
    remarks += ["paired with this PC"] if found.bonded and not found.device else []
    return printable(
        BLE_COLUMNS.format(
            name=heard.name[:20] or "(no name)",
            address=heard.address,
            signal=f"{heard.rssi_dbm} dBm",
            drivers=_shown(found.drivers),
            services=" ".join(short(uuid) for uuid in heard.services)[:14],
            remarks=", ".join(remarks),
        ).rstrip()
    )


def serial_row(found: Cable, heard: Heard | None = None) -> Mapping[str, Any]:
    port = found.port
    row = {
        "link": "serial",
        "port": port.address,
        "system_name": port.device,
        "usb": None if port.usb is None else f"{port.usb[0]:04x}:{port.usb[1]:04x}",
        "usb_serial": port.serial_number,
        "product": port.product,
        "drivers": _drivers(found.drivers),
        "device": found.device,
        "is_twin": found.is_twin,
    }
    return row if heard is None else {**row, "heard": {**asdict(heard), "drivers": _drivers(heard.drivers)}}


def serial_line(found: Cable, heard: Heard | None = None) -> str:
    remarks = [f"is {found.device} here"] if found.device else []
    remarks += ["cannot be told from its twin"] if found.is_twin else []
    remarks += [printable(found.port.product)[:30]] if found.port.product else []
    remarks += [_heard(heard)] if heard else []
    recognised = heard.drivers if heard and heard.drivers else found.drivers
    name = Path(found.port.device).name
    line = SERIAL_COLUMNS.format(
        port=found.port.address, name=name, drivers=_shown(recognised), remarks=", ".join(remarks)
    )
    return printable(line.rstrip())


def _heard(heard: Heard) -> str:
    if heard.failed:
        return f"could not be listened to ({heard.failed})"
    if not heard.size:
        return "silent"
    return "speaks" if heard.drivers else f"{heard.size} bytes that no driver understands"


def _drivers(found: tuple[Recognition, ...]) -> list[Mapping[str, str]]:
    return [{"driver": recognition.driver, "why": recognition.why} for recognition in found]


def _shown(found: tuple[Recognition, ...]) -> str:
    """The surest with its reason, and how many more there are."""
    if not found:
        return UNKNOWN
    more = f" or {len(found) - 1} others" if len(found) > 1 else ""
    return f"{found[0].driver} ({found[0].why}){more}"
