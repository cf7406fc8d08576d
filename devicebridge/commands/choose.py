"""Which device, and which driver: from the flags, or from a person who is shown what is in reach."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from .. import registry
from ..config import Config
from ..health import REMEDIES
from ..links.gatt import Radio, Sighting
from ..links.serial_ports import AttachedPort, attached_ports
from ..pairing.discover import Cable, Neighbour, Neighbourhood, cables
from ..pairing.identity import needs_bond, of_cable
from ..pairing.recognise import Recognition, by_cable, manifests
from ..sdk.driver import Manifest
from ..sdk.links import LinkLost
from .errors import EX_USAGE, CommandError
from .inreach import ble_line, configured_ports, neighbourhood, serial_line
from .terminal import Console, Terminal
from .watch import printable

HEARD_S = 30.0
"""For a device to be heard that was named by its address."""
WHOLE_S = 3.0
"""Then for the rest of what it says of itself: name and services may come in another packet."""
LOOK_S = 600.0
"""Then whoever is choosing has gone."""


@dataclass(frozen=True, slots=True)
class Found:
    """place: as the config writes it. heard: the last advertisement; None for a serial device."""

    place: str
    manifest: Manifest
    heard: Sighting | None


class Chooser:
    def __init__(
        self, args: argparse.Namespace, config: Config, terminal: Terminal | None, console: Console, radio: Radio | None
    ) -> None:
        self._args = args
        self._config = config
        self._terminal = terminal
        self._console = console
        self._radio = radio
        self._known = manifests()

    async def choose(self) -> Found:
        """Raises CommandError, Unidentifiable; LinkLost where there is no radio."""
        chosen = await self._place()
        if isinstance(chosen, Neighbour):
            needs_bond(chosen.heard)
            manifest = await self._driver(chosen.drivers, over_gatt=True)
            return Found(chosen.heard.address, manifest, chosen.heard)
        place = of_cable(chosen)
        return Found(place, await self._driver(self._by_cable(place), over_gatt=False), None)

    async def _place(self) -> Neighbour | str:
        if self._args.port is not None:
            return str(self._args.port)
        assert self._radio is not None
        around = await neighbourhood(self._radio, self._config, self._known)
        if self._args.address is not None:
            return await self._heard(self._radio, around, self._args.address)
        return await self._asked(self._radio, around)

    async def _heard(self, radio: Radio, around: Neighbourhood, address: str) -> Neighbour:
        await _listened(radio, around, HEARD_S, lambda: around.find(address) is not None)
        await _listened(radio, around, WHOLE_S, lambda: (found := around.find(address)) is None or bool(found.drivers))
        if (heard := around.find(address)) is None:
            raise CommandError(f"{address} was not heard within {HEARD_S:g} s; switch it on and bring it nearer")
        return heard

    async def _asked(self, radio: Radio, around: Neighbourhood) -> Neighbour | str:
        """A list that grows while the question is open."""
        assert self._terminal is not None
        self._console.say("Put the device in pairing mode, or take a measurement with it. Looking for devices ...")
        numbered: list[str] = []
        for cable in await asyncio.to_thread(cables, self._known, configured_ports(self._config)):
            self._offer(cable, numbered)
        listening = asyncio.create_task(self._listen(radio, around, numbered))
        choosing = asyncio.create_task(self._terminal.choose("Which one? Type its number:", numbered))
        try:
            await asyncio.wait({listening, choosing}, return_when=asyncio.FIRST_COMPLETED)
            if not choosing.done():
                listening.result()
                raise CommandError("nothing was chosen; nothing was changed")
            chosen = choosing.result()
        finally:
            listening.cancel()
            choosing.cancel()
            await asyncio.wait({listening, choosing})
        return around.find(chosen) or chosen

    async def _listen(self, radio: Radio, around: Neighbourhood, numbered: list[str]) -> None:
        """Without Bluetooth there still are the serial ports."""
        try:
            await self._hear(radio, around, numbered)
        except LinkLost as lost:
            if not numbered:
                raise
            self._console.say(f"Bluetooth: {REMEDIES[lost.reason][1]}")
            await asyncio.sleep(LOOK_S)

    async def _hear(self, radio: Radio, around: Neighbourhood, numbered: list[str]) -> None:
        async for sighting in radio.scan(LOOK_S):
            around.hear(sighting)
            found = around.find(sighting.address)
            if found and found.heard.address not in numbered and self._is_offered(found):
                numbered.append(found.heard.address)
                self._console.say(f"{len(numbered):3}  {ble_line(found)}")

    def _offer(self, cable: Cable, numbered: list[str]) -> None:
        if cable.device is None and (cable.port.usb or self._args.all):
            numbered.append(cable.port.device)
            self._console.say(f"{len(numbered):3}  {serial_line(cable)}")

    def _is_offered(self, found: Neighbour) -> bool:
        if found.device is not None:
            return False
        wanted = self._args.driver
        return bool(self._args.all or (found.drivers if wanted is None else wanted in _ids(found.drivers)))

    def _by_cable(self, place: str) -> tuple[Recognition, ...]:
        port: AttachedPort | None = next((p for p in attached_ports() if p.address == place), None)
        return by_cable(port, self._known) if port else ()

    async def _driver(self, recognised: tuple[Recognition, ...], *, over_gatt: bool) -> Manifest:
        fitting = {m.id: m for m in self._known if (m.gatt if over_gatt else m.serial)}
        name = self._args.driver or await self._one_of(_ids(recognised) or tuple(fitting), bool(recognised))
        check_driver(name, over_gatt=over_gatt)
        return fitting[name]

    async def _one_of(self, ids: tuple[str, ...], recognised: bool) -> str:
        if recognised and len(ids) == 1:
            return ids[0]
        if self._terminal is None:
            why = "several drivers could read this device" if recognised else "no driver knows this device by itself"
            raise CommandError(f"{why}; give --driver, one of: {', '.join(ids)}", EX_USAGE)
        for number, name in enumerate(ids, 1):
            title = next(m.title for m in self._known if m.id == name)
            self._console.say(f"{number:3}  {name:22} {title}")
        return await self._terminal.choose("Which of them is it? Type its number:", ids)


def check_driver(name: str, *, over_gatt: bool | None) -> None:
    """Raises CommandError where it cannot read such devices. over_gatt: None for either kind."""
    installed = registry.names(registry.DRIVERS)
    if name not in installed:
        raise CommandError(f'no driver "{printable(name)[:40]}"; installed are: {", ".join(installed)}', EX_USAGE)
    manifest = registry.driver(name).manifest
    if over_gatt is not None and (manifest.gatt if over_gatt else manifest.serial) is None:
        kind = "Bluetooth LE" if over_gatt else "serial"
        raise CommandError(f"{name} reads no {kind} devices; devicebridge drivers lists those that do", EX_USAGE)


async def _listened(radio: Radio, around: Neighbourhood, seconds: float, enough: Callable[[], bool]) -> None:
    if enough():
        return
    async for sighting in radio.scan(seconds):
        around.hear(sighting)
        if enough():
            return


def _ids(recognised: tuple[Recognition, ...]) -> tuple[str, ...]:
    return tuple(recognition.driver for recognition in recognised)
