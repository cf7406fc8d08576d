"""What is played on each tier, and the events that come of it."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pprint import pformat

from devicebridge import registry
from devicebridge.clock import SystemClock
from devicebridge.links.bonding import BondFailed
from devicebridge.links.gatt import Radio
from devicebridge.sdk import GattLink, GattSpec, LinkLost, Loss, Wave
from devicebridge.sdk.simulation import GattPort, GattScenario, GattSimulator, links
from devicebridge.testing.radio import Ether, Peripheral, Security
from devicebridge.testing.radio.security import Manner
from support.ble_room import cuff, measured
from support.bluez import SECRET, SERVICE, TEXT, VALUES, thing
from support.daemon import Daemon, inbox, mosquitto
from support.pairing import Answers
from support.radio import Remembering
from support.waiting import until

from .bluetooth import Bluetooth, Tier

SCENARIOS_EACH = 2
PACE = 0.2
"""A peripheral hangs up after 5 simulated seconds of silence; bleak, emulated, takes most of one real."""
PATIENCE_S = 60.0
"""Without BlueZ's word, a radio doubts its adapter only after 30 s of silence."""
STORY_S = 240.0
"""Of a whole scenario."""
SPEC = GattSpec(services=(SERVICE,))
BONDED = GattSpec(services=(SERVICE,), bond_required=True)

Scenario = Callable[[Tier, list[str]], None]
"""Adds its events to the list."""


def scenarios() -> Iterator[tuple[str, Scenario]]:
    """By name."""
    for name in registry.names(registry.SIMULATORS):
        for simulator in links(registry.simulator(name)):
            if isinstance(simulator, GattSimulator):
                ordinary = [key for key, scenario in simulator.scenarios.items() if not scenario.faulty]
                for key in ordinary[:SCENARIOS_EACH]:
                    yield f"{name}: {key}", partial(_session, name, simulator, simulator.scenarios[key])
    for title, story in _STORIES.items():
        yield title, partial(_run, story)
    yield "daemon, a cuff, bluetoothd killed, the cuff again", _daemon


def _session(name: str, simulator: GattSimulator, scenario: GattScenario, tier: Tier, events: list[str]) -> None:
    """All that the driver makes of one connection, and how it ended."""
    driver, kept = registry.driver(name), _Kept()
    spec = driver.manifest.gatt
    assert spec is not None

    async def main() -> Loss:
        async with _radio(tier) as (ether, _, radio):
            there = await ether.add(simulator, scenario)
            async with radio.opener(there.address, spec).open() as link:
                await driver.session(link, kept, driver.options.model_validate(dict(scenario.options)))
        raise AssertionError("a session ends with the link")

    try:
        asyncio.run(asyncio.wait_for(main(), STORY_S))
    except LinkLost as lost:
        memory = [f"remembered {key} = {value}" for key, value in sorted(kept.memory.items())]
        events += [
            *map(_text, kept.groups),
            *map(_text, kept.events),
            *map(_text, kept.waves),
            *memory,
            str(lost.reason),
        ]


class _Kept(Remembering):
    """waves: as given."""

    def __init__(self) -> None:
        super().__init__()
        self.waves: list[Wave] = []

    def wave(self, wave: Wave, /) -> None:
        self.waves.append(wave)


def _text(value: object) -> str:
    """The same in each process: repr gives sets in any order, pprint sorts them if it breaks the line."""
    return " ".join(pformat(value, width=1).split())


@asynccontextmanager
async def _radio(tier: Tier) -> AsyncIterator[tuple[Ether, Bluetooth, Radio]]:
    async with Ether(pace=PACE) as ether, tier(ether) as bluetooth:
        radio = Radio(bluetooth.backend, clock=SystemClock())
        await radio.start()
        try:
            yield ether, bluetooth, radio
        finally:
            await radio.stop()


@dataclass(frozen=True)
class Place:
    ether: Ether
    bluetooth: Bluetooth
    radio: Radio
    events: list[str]

    @asynccontextmanager
    async def link(self, there: Peripheral, spec: GattSpec) -> AsyncIterator[GattLink]:
        async with asyncio.timeout(PATIENCE_S), self.radio.opener(there.address, spec).open() as link:
            assert isinstance(link, GattLink)
            self.events.append("opened")
            yield link

    async def refused(self, there: Peripheral, spec: GattSpec) -> None:
        try:
            async with self.link(there, spec):
                pass
        except LinkLost as lost:
            self.events.append(f"not opened: {lost.reason}")

    async def bond(self, there: Peripheral, person: Answers) -> None:
        bonds = self.bluetooth.backend.bonds
        assert bonds is not None
        try:
            async with asyncio.timeout(PATIENCE_S):
                await bonds.bond(there.address, person)
        except BondFailed as failed:
            self.events.append(f"no bond: {failed.reason}")
        held = [device.address for device in await bonds.list()]
        self.events.append(f"asked {person.asked}, bonded here {held}, there {there.bonded}")

    async def unbond(self, there: Peripheral) -> None:
        bonds = self.bluetooth.backend.bonds
        assert bonds is not None
        self.events.append(f"unbonded {await bonds.unbond(there.address)}")

    async def read_secret(self, there: Peripheral) -> None:
        async with self.link(there, BONDED) as link:
            self.events.append(f"read {await link.read(SECRET)!r}")

    async def state(self, reason: Loss | None) -> None:
        await until(lambda: self.radio.state.reason is reason, PATIENCE_S)
        self.events.append(f"adapter {reason or 'ready'}")


Story = Callable[[Place], Awaitable[None]]


def _run(story: Story, tier: Tier, events: list[str]) -> None:
    async def main() -> None:
        async with _radio(tier) as (ether, bluetooth, radio):
            await story(Place(ether, bluetooth, radio, events))

    asyncio.run(asyncio.wait_for(main(), STORY_S))


async def _just_works(place: Place) -> None:
    there = await place.ether.add(thing(), "only", period_s=0, security=Security())
    await place.refused(there, BONDED)
    await place.bond(there, Answers())
    await place.read_secret(there)
    await place.unbond(there)
    await place.refused(there, BONDED)


def _reader(there: Peripheral, *, error: int = 0) -> Answers:
    """A person who types what the device shows, or something else."""
    there.display = None  # what is shown from an earlier attempt is not read

    async def digits() -> int:
        await until(lambda: there.display is not None, PATIENCE_S)
        assert there.display is not None
        return (there.display + error) % 1_000_000

    return Answers(digits=digits)


async def _passkey(place: Place) -> None:
    there = await place.ether.add(thing(), "only", period_s=0, security=Security(manner=Manner.PASSKEY))
    await place.bond(there, _reader(there))
    await place.read_secret(there)


async def _wrong_passkey(place: Place) -> None:
    there = await place.ether.add(thing(), "only", period_s=0, security=Security(manner=Manner.PASSKEY))
    await place.bond(there, _reader(there, error=1))
    await place.bond(there, _reader(there))
    await place.read_secret(there)


async def _compare(place: Place) -> None:
    there = await place.ether.add(thing(), "only", period_s=0, security=Security(manner=Manner.COMPARE))
    await place.bond(there, Answers(same=lambda number: number == there.display))
    await place.read_secret(there)


async def _no_bond(place: Place) -> None:
    """Something encrypted is asked for without a bond: it is refused, and none is made."""
    there = await place.ether.add(thing(), "only", period_s=0)
    try:
        async with place.link(there, SPEC) as link:
            await link.read(SECRET)
    except LinkLost as lost:
        place.events.append(f"not read: {lost.reason}")
    place.events.append(f"bonded there {there.bonded}")


async def _restart(place: Place) -> None:
    async def give(port: GattPort) -> None:
        await port.subscribed(VALUES)
        await port.indicate(VALUES, b"1")
        await asyncio.Event().wait()

    there = await place.ether.add(thing(give), "only", period_s=0)
    async with place.link(there, SPEC) as link:
        values = aiter(await link.subscribe(VALUES))
        place.events.append(f"value {await anext(values)}")
        await place.bluetooth.go()
        try:
            await anext(values)
        except LinkLost as lost:
            place.events.append(f"lost: {lost.reason}")
    await place.state(Loss.ADAPTER_ABSENT)
    await place.bluetooth.come_back()
    await place.state(None)
    async with place.link(there, SPEC) as link:
        place.events.append(f"value {await anext(aiter(await link.subscribe(VALUES)))}")
        place.events.append(f"read {await link.read(TEXT)!r}")


async def _bond_outlives(place: Place) -> None:
    there = await place.ether.add(thing(), "only", period_s=0, security=Security())
    await place.bond(there, Answers())
    await place.bluetooth.go()
    await place.state(Loss.ADAPTER_ABSENT)
    await place.bluetooth.come_back()
    await place.state(None)
    await place.read_secret(there)


_STORIES: dict[str, Story] = {
    "bond by Just Works, undone": _just_works,
    "bond by passkey": _passkey,
    "bond by passkey, first mistyped": _wrong_passkey,
    "bond by comparing numbers": _compare,
    "no bond, an encrypted value": _no_bond,
    "bluetoothd killed with a link open": _restart,
    "bond, bluetoothd killed": _bond_outlives,
}


def _daemon(tier: Tier, events: list[str]) -> None:
    """The daemon as a process of its own, and what a subscriber of its broker receives."""
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder)) as broker, inbox(broker) as received:

        async def reading(number: int) -> None:
            await until(lambda: len(received.readings) >= number, PATIENCE_S)
            found = received.readings[number - 1]
            events.append(f"{found['kind']} {[(value['name'], value.get('value')) for value in found['values']]}")

        async def says(reason: str) -> None:
            await until(lambda: (received.latest("/cuff/status") or {}).get("reason") == reason, PATIENCE_S)
            events.append(f"says {reason}")

        async def main() -> None:
            async with Ether(pace=PACE) as ether, tier(ether) as bluetooth:
                there = await ether.add(cuff(), "normal", awake=False)
                device = f'[devices.cuff]\ndriver = "ble-blood-pressure"\naddress = "{there.address}"\n'
                python_path = os.environ.get("PYTHONPATH", "")
                with Daemon(Path(folder), broker, bluetooth.config + device, python_path) as daemon:
                    await asyncio.to_thread(daemon.wait_ready)
                    there.wake(measured(124))
                    await reading(1)
                    await bluetooth.go()
                    await says(Loss.ADAPTER_ABSENT)
                    await bluetooth.come_back()
                    there.wake(measured(137))
                    await reading(2)
                    await asyncio.to_thread(daemon.stop)

        asyncio.run(asyncio.wait_for(main(), STORY_S))


def play(scenario: Scenario, tier: Tier) -> list[str]:
    """Its events; whatever it raises is the last of them."""
    events: list[str] = []
    try:
        scenario(tier, events)
    except Exception as error:  # noqa: BLE001 - goes into the table
        events.append(f"raised {error!r} from {error.__cause__!r}")
    return events
