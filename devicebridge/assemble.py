"""From the config's tables to devices that can be run: drivers found, options checked, openers made."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from . import registry
from .clock import Clock
from .config import BluetoothConfig, Config, DeviceConfig, exposed_secrets, parse
from .intake import Intake, Source
from .links import Opener
from .links.serial import Abandoned, SerialOpener
from .links.serial_ports import PortError, check_port
from .mistakes import ConfigError, ConfigText, Problem, problems
from .sdk.driver import Driver, Options
from .sdk.values import Kind
from .supervise import Device

if TYPE_CHECKING:
    from .links.gatt import Backend, Radio

RADIO_STOP_S = 0.5


def read(path: Path) -> Config:
    """The config, checked whole: drivers, options, ports and secret files too. Opens nothing of a device.

    Raises ConfigError with every problem found; RegistryError where an installed driver is at fault.
    """
    source = ConfigText.of(path)
    config = parse(source.text, path)
    if found := [*device_problems(config, source), *exposed_secrets(config, source)]:
        raise ConfigError(found)
    return config


def device_problems(config: Config, source: ConfigText) -> list[Problem]:
    """What is wrong with the [devices] tables: drivers, options, ports, addresses."""
    found: list[Problem] = []
    for name, device in config.devices.items():
        found += _problems_of(name, device, source)
    return found


def _problems_of(name: str, device: DeviceConfig, source: ConfigText) -> list[Problem]:
    where = source.place(("devices", name, "driver"))
    try:
        driver = registry.driver(device.driver)
    except KeyError:
        return [Problem(where, f'no driver "{device.driver}"', _installed(device.driver))]
    except registry.RegistryError as error:
        what, _, remedy = str(error).rpartition("; ")
        return [Problem(where, what, remedy)]
    found = _place_problems(name, device, driver, source)
    try:
        driver.options.model_validate(device.options)
    except ValidationError as error:
        found += problems(error, driver.options, source, prefix=("devices", name, "options"))
    return found


def _installed(wanted: str) -> str:
    installed = registry.names(registry.DRIVERS)
    near = difflib.get_close_matches(wanted, installed, n=1)
    return f'did you mean "{near[0]}"?' if near else f"installed are: {', '.join(installed)}"


def _place_problems(name: str, device: DeviceConfig, driver: Driver[Any], source: ConfigText) -> list[Problem]:
    manifest = driver.manifest
    port, address = (source.place(("devices", name, key)) for key in ("port", "address"))
    if device.port is not None and manifest.serial is None:
        return [Problem(port, f"{manifest.id} is not a serial device", "give its Bluetooth address instead")]
    if device.address is not None and manifest.gatt is None:
        return [Problem(address, f"{manifest.id} is not a Bluetooth LE device", "give its port instead")]
    if device.port is None:
        return []
    try:
        check_port(device.port)
    except PortError as error:
        what, _, remedy = str(error).partition("; ")
        return [Problem(port, what, remedy or "see config/room.toml for how ports are written")]
    return []


class Assembly:
    """Makes devices of a config that `read` has passed.

    What their links share lives until `stack` is closed: the radio, from the first device on that needs it, and the
    count of ports that are stuck.
    """

    def __init__(self, clock: Clock, stack: AsyncExitStack, radio: Radio | None = None) -> None:
        """radio: where there is one already."""
        self._clock = clock
        self._stack = stack
        self._radio = radio
        self._abandoned = Abandoned()

    async def devices(self, config: Config, names: Iterable[str]) -> list[Device]:
        """Raises ConfigError for a simulated radio that cannot be had."""
        chosen = {name: config.devices[name] for name in names}
        if self._radio is None and any(device.address for device in chosen.values()):
            self._radio = await start_radio(config.bluetooth, self._clock, self._stack)
        return [_device(name, device, config, self._clock, self._opener(device)) for name, device in chosen.items()]

    def _opener(self, device: DeviceConfig) -> Opener:
        driver = registry.driver(device.driver)
        if device.address is not None:
            assert driver.manifest.gatt is not None
            assert self._radio is not None
            return self._radio.opener(device.address, driver.manifest.gatt)
        line = driver.manifest.serial_at(device.baud)
        assert line is not None
        assert device.port is not None
        return SerialOpener(device.port, line, baud=device.baud, clock=self._clock, abandoned=self._abandoned)


def _device(name: str, device: DeviceConfig, config: Config, clock: Clock, opener: Opener) -> Device:
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
        serial=device.serial,
    )
    zone = ZoneInfo(config.site.timezone)
    return Device(
        name=name,
        driver=driver,
        options=options,
        opener=opener,
        intake=lambda: Intake(source, zone, clock),
        over_gatt=device.address is not None,
        simulated=config.simulated,
        ekg=device.ekg if Kind.ECG in driver.manifest.kinds else None,
    )


async def _stop_in_time(radio: Radio) -> None:
    """A Bluetooth service that hangs must not hold up our end."""
    await asyncio.wait({asyncio.ensure_future(radio.stop())}, timeout=RADIO_STOP_S)


async def start_radio(bluetooth: BluetoothConfig, clock: Clock, stack: AsyncExitStack) -> Radio:
    """The adapter, scanning until `stack` is closed. Raises ConfigError for a simulated one that cannot be had."""
    from .links.gatt import Radio
    from .links.system import system_backend

    if bluetooth.radio == "system":
        backend = await stack.enter_async_context(system_backend(bluetooth.adapter))
    else:
        backend = await _simulated_radio(bluetooth, stack)
    radio = Radio(backend, clock=clock, adapter=bluetooth.adapter)
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
