"""From the config's tables to devices that can be run: drivers found, options checked, openers made."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from . import registry
from .clock import Clock
from .config import BluetoothConfig, Config, ConfigError, DeviceConfig, Problem, problems
from .intake import Intake, Source
from .links import Opener
from .links.serial import Abandoned, SerialOpener
from .links.serial_ports import PortError, check_port
from .sdk.driver import Driver, Options
from .supervise import Device

if TYPE_CHECKING:
    from .links.gatt import Backend, Radio

RADIO_STOP_S = 0.5


def device_problems(config: Config, file: str, text: str = "") -> list[Problem]:
    """What is wrong with the [devices] tables: drivers, options, ports, addresses. Opens nothing."""
    found: list[Problem] = []
    for name, device in config.devices.items():
        found += _problems_of(name, device, config, file, text)
    return found


def _problems_of(name: str, device: DeviceConfig, config: Config, file: str, text: str) -> list[Problem]:
    where = f"{file}: devices.{name}"
    try:
        driver = registry.driver(device.driver)
    except KeyError:
        installed = ", ".join(registry.names(registry.DRIVERS))
        return [Problem(f"{where}.driver", f'no driver "{device.driver}"', f"installed are: {installed}")]
    except registry.RegistryError as error:
        what, _, remedy = str(error).rpartition("; ")
        return [Problem(f"{where}.driver", what, remedy)]
    found = _place_problems(where, device, driver)
    try:
        driver.options.model_validate(device.options)
    except ValidationError as error:
        found += problems(error, driver.options, text, file, prefix=("devices", name, "options"))
    return found


def _place_problems(where: str, device: DeviceConfig, driver: Driver[Any]) -> list[Problem]:
    manifest = driver.manifest
    if device.port is not None and manifest.serial is None:
        return [Problem(f"{where}.port", f"{manifest.id} is not a serial device", "give its Bluetooth address instead")]
    if device.address is not None and manifest.gatt is None:
        return [Problem(f"{where}.address", f"{manifest.id} is not a Bluetooth LE device", "give its port instead")]
    if device.port is None:
        return []
    try:
        check_port(device.port)
    except PortError as error:
        what, _, remedy = str(error).partition("; ")
        return [Problem(f"{where}.port", what, remedy or "mend it")]
    return []


async def assemble(config: Config, clock: Clock, stack: AsyncExitStack) -> list[Device]:
    """Raises ConfigError for a device that cannot be run as configured."""
    if found := device_problems(config, "config"):
        raise ConfigError(found)
    radio = await start_radio(config, clock, stack) if _uses_bluetooth(config) else None
    openers = _Openers(clock, radio, Abandoned())
    return [_device(name, device, config, clock, openers) for name, device in config.devices.items()]


def _device(name: str, device: DeviceConfig, config: Config, clock: Clock, openers: _Openers) -> Device:
    driver = registry.driver(device.driver)
    options: Options = driver.options.model_validate(device.options)
    source = Source(
        site=config.site.id,
        room=config.site.room,
        device=name,
        driver=device.driver,
        link_identity=(device.address or device.port or "").lower(),
        link_identity_is_device=device.address is not None,
        simulated=config.simulated,
    )
    zone = ZoneInfo(config.site.timezone)
    return Device(
        name=name,
        driver=driver,
        options=options,
        opener=openers.make(device, driver),
        intake=lambda: Intake(source, zone, clock),
        over_gatt=device.address is not None,
    )


@dataclass(frozen=True, slots=True)
class _Openers:
    """What the links of all devices share: one adapter, and one count of ports that are stuck."""

    clock: Clock
    radio: Radio | None
    abandoned: Abandoned

    def make(self, device: DeviceConfig, driver: Driver[Any]) -> Opener:
        if device.address is not None:
            assert driver.manifest.gatt is not None
            assert self.radio is not None
            return self.radio.opener(device.address, driver.manifest.gatt)
        line = driver.manifest.serial_at(device.baud)
        assert line is not None
        assert device.port is not None
        return SerialOpener(device.port, line, baud=device.baud, clock=self.clock, abandoned=self.abandoned)


def _uses_bluetooth(config: Config) -> bool:
    return any(device.address for device in config.devices.values())


async def _stop_in_time(radio: Radio) -> None:
    """A Bluetooth service that hangs must not hold up our end."""
    await asyncio.wait({asyncio.ensure_future(radio.stop())}, timeout=RADIO_STOP_S)


async def start_radio(config: Config, clock: Clock, stack: AsyncExitStack) -> Radio:
    """The adapter, scanning until `stack` is closed. Raises ConfigError for a simulated one that cannot be had."""
    from .links.gatt import Backend, Radio

    backend = Backend()
    if config.bluetooth.radio != "system":
        backend = await _simulated_radio(config.bluetooth, stack)
    radio = Radio(backend, clock=clock, adapter=config.bluetooth.adapter)
    await radio.start()
    stack.push_async_callback(_stop_in_time, radio)
    return radio


async def _simulated_radio(bluetooth: BluetoothConfig, stack: AsyncExitStack) -> Backend:
    try:
        factory = registry.radio(bluetooth.radio)
    except KeyError:
        remedy = f"installed are: system, {', '.join(registry.names(registry.RADIOS))}"
        raise ConfigError([Problem("bluetooth.radio", f'no radio "{bluetooth.radio}"', remedy)]) from None
    try:
        backend: Backend = await stack.enter_async_context(factory(bluetooth.radio_address))
    except ValueError as error:
        raise ConfigError(
            [Problem("bluetooth.radio_address", str(error), "write where the radio is reached")]
        ) from None
    return backend
