"""Bonds through BlueZ, with an agent of our own: made, refused, lost, undone."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from devicebridge.links.bonding import BondedDevice, BondFailed, BondFailure, Bonds
from devicebridge.links.gatt import Bond
from devicebridge.sdk import GattSpec, LinkLost, Loss
from support.bluez import SECRET, SERVICE, VALUES, Room, room, system_bus, thing
from support.waiting import until

pytest.importorskip("bumble", reason="the simulated radio needs bumble")
from devicebridge.testing.radio.security import Answer, Manner, Security

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="BlueZ is Linux's")
SPEC = GattSpec(services=(SERVICE,))
BONDED = GattSpec(services=(SERVICE,), bond_required=True)
SOON_S = 5.0


@pytest.fixture(scope="module")
def bus() -> Iterator[str]:
    with system_bus() as address:
        yield address


def run(story: Callable[[Room], Awaitable[None]], bus: str) -> None:
    async def main() -> None:
        async with room(bus) as here:
            await story(here)

    asyncio.run(asyncio.wait_for(main(), 40))


class Reader:
    """A person who reads the device's display, or types the PC's number on it."""

    def __init__(self, there: Any = None) -> None:
        self._there = there
        if there is not None:
            there.display = None  # what is shown from an earlier attempt is not read
        self.typed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.questions: list[str] = []
        self.cancelled = asyncio.Event()

    async def display(self) -> int:
        await until(lambda: self._there.display is not None)
        number: int = self._there.display
        return number

    async def passkey(self) -> int | None:
        self.questions.append("passkey")
        return await self.display()

    async def is_same(self, number: int, /) -> bool:
        self.questions.append("is_same")
        return number == await self.display()

    async def show(self, number: int, /) -> None:
        self.questions.append("show")
        self.typed.set_result(number)


def bonds(here: Room) -> Bonds:
    assert here.backend.bonds is not None
    return here.backend.bonds


async def fails(here: Room, address: str, person: Any) -> BondFailure:
    with pytest.raises(BondFailed) as failed:
        async with asyncio.timeout(20):
            await bonds(here).bond(address, person)
    return failed.value.reason


@pytest.mark.parametrize(
    ("manner", "questions"),
    [(Manner.JUST_WORKS, []), (Manner.PASSKEY, ["passkey"]), (Manner.COMPARE, ["is_same"]), (Manner.TYPED, ["show"])],
)
def test_a_bond_by_each_method_opens_what_demands_one(manner: Manner, questions: list[str], bus: str) -> None:
    async def story(here: Room) -> None:
        person = Reader()
        security = Security(manner=manner, typed=lambda: person.typed)
        there = await here.ether.add(thing(), "only", period_s=0, security=security)
        person = Reader(there)
        await bonds(here).bond(there.address, person)
        assert person.questions == questions
        assert there.bonded
        assert await bonds(here).list() == (BondedDevice(address=there.address, name="Thing"),)
        async with asyncio.timeout(SOON_S), here.radio.opener(there.address, BONDED).open() as link:
            assert await link.read(SECRET) == b"secret"
            await link.subscribe(VALUES)

    run(story, bus)


def test_a_bond_that_both_still_hold_is_left_alone(bus: str) -> None:
    async def story(here: Room) -> None:
        there = await here.ether.add(thing(), "only", period_s=0, security=Security(manner=Manner.PASSKEY))
        person = Reader(there)
        await bonds(here).bond(there.address, person)
        await bonds(here).bond(there.address, person)
        assert person.questions == ["passkey"]

    run(story, bus)


def test_a_device_is_trusted_and_left_disconnected(bus: str) -> None:
    async def story(here: Room) -> None:
        from devicebridge.links import bluez

        there = await here.ether.add(thing(), "only", period_s=0, security=Security())
        await bonds(here).bond(there.address, Reader())
        async with bluez.system_bus() as connection:
            found = await bluez.objects(connection)
        [device] = [o[bluez.DEVICE] for path, o in found.items() if bluez.DEVICE in o]
        assert device["Trusted"]
        assert not device["Connected"]

    run(story, bus)


class Declining(Reader):
    async def passkey(self) -> int | None:
        return None

    async def is_same(self, number: int, /) -> bool:
        return False


class Mistyping(Reader):
    async def passkey(self) -> int | None:
        self.questions.append("passkey")
        return (await self.display() + 1) % 1_000_000


@pytest.mark.parametrize(
    ("security", "person", "reason"),
    [
        (Security(answer=Answer.REFUSE), Reader, BondFailure.REFUSED),
        (Security(manner=Manner.PASSKEY), Mistyping, BondFailure.WRONG_PASSKEY),
        (Security(manner=Manner.PASSKEY), Declining, BondFailure.CANCELLED),
        (Security(manner=Manner.COMPARE), Declining, BondFailure.CANCELLED),
        (Security(answer=Answer.VANISH), Reader, BondFailure.VANISHED),
    ],
)
def test_f15_no_bond_and_why(security: Security, person: type[Reader], reason: BondFailure, bus: str) -> None:
    async def story(here: Room) -> None:
        there = await here.ether.add(thing(), "only", period_s=0, security=security)
        assert await fails(here, there.address, person(there)) is reason
        assert await bonds(here).list() == ()
        assert not there.bonded

    run(story, bus)


def test_f15_a_second_attempt_after_a_wrong_passkey_succeeds(bus: str) -> None:
    async def story(here: Room) -> None:
        there = await here.ether.add(thing(), "only", period_s=0, security=Security(manner=Manner.PASSKEY))
        assert await fails(here, there.address, Mistyping(there)) is BondFailure.WRONG_PASSKEY
        await bonds(here).bond(there.address, Reader(there))
        assert there.bonded

    run(story, bus)


class Hesitating(Reader):
    """Never answers."""

    async def passkey(self) -> int | None:
        self.questions.append("passkey")
        try:
            return await asyncio.Event().wait() or None
        finally:
            self.cancelled.set()


def patient(here: Room, **seconds: float) -> Bonds:
    from devicebridge.links.bluez_bonds import BlueZBonds, Patience

    return BlueZBonds(None, lambda _: Bond.KEPT, patience=Patience(**seconds))


def test_a_device_that_goes_while_the_person_thinks_frees_the_person(bus: str) -> None:
    async def story(here: Room) -> None:
        there = await here.ether.add(thing(), "only", period_s=0, security=Security(manner=Manner.PASSKEY))
        person = Hesitating(there)
        bonding = asyncio.ensure_future(bonds(here).bond(there.address, person))
        await until(lambda: person.questions)
        there.vanish()
        with pytest.raises(BondFailed) as failed:
            await bonding
        assert failed.value.reason is BondFailure.VANISHED
        await asyncio.wait_for(person.cancelled.wait(), SOON_S)

    run(story, bus)


def test_f15_a_person_who_does_not_answer_is_a_time_out_and_another_attempt_is_possible(bus: str) -> None:
    async def story(here: Room) -> None:
        there = await here.ether.add(thing(), "only", period_s=0, security=Security(manner=Manner.PASSKEY))
        person = Hesitating(there)
        with pytest.raises(BondFailed) as failed:
            await patient(here, pair=0.5).bond(there.address, person)
        assert failed.value.reason is BondFailure.TIMEOUT
        await asyncio.wait_for(person.cancelled.wait(), SOON_S)
        await bonds(here).bond(there.address, Reader(there))
        assert there.bonded

    run(story, bus)


def test_ctrl_c_while_the_person_thinks_leaves_nothing_behind(bus: str) -> None:
    async def story(here: Room) -> None:
        there = await here.ether.add(thing(), "only", period_s=0, security=Security(manner=Manner.PASSKEY))
        person = Hesitating(there)
        bonding = asyncio.ensure_future(bonds(here).bond(there.address, person))
        await until(lambda: person.questions)
        bonding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bonding
        assert person.cancelled.is_set()
        assert await bonds(here).list() == ()
        await bonds(here).bond(there.address, Reader(there))
        assert there.bonded

    run(story, bus)


def test_nobody_there(bus: str) -> None:
    async def story(here: Room) -> None:
        with pytest.raises(BondFailed) as failed:
            await patient(here, reach=0.3).bond("C0:00:00:00:00:01", Reader())
        assert failed.value.reason is BondFailure.NOT_IN_REACH
        assert not await bonds(here).unbond("C0:00:00:00:00:01")

    run(story, bus)


@pytest.mark.parametrize("trouble", ["crash", "unplug", "off"])
def test_no_adapter(trouble: str, bus: str) -> None:
    async def story(here: Room) -> None:
        await (here.bluez.power(False) if trouble == "off" else getattr(here.bluez, trouble)())
        assert await fails(here, "C0:00:00:00:00:01", Reader()) is BondFailure.ADAPTER

    run(story, bus)


def test_bluetoothd_dies_while_it_bonds(bus: str) -> None:
    async def story(here: Room) -> None:
        there = await here.ether.add(thing(), "only", period_s=0, security=Security(manner=Manner.PASSKEY))
        person = Hesitating(there)
        bonding = asyncio.ensure_future(bonds(here).bond(there.address, person))
        await until(lambda: person.questions)
        await here.bluez.crash()
        with pytest.raises(BondFailed) as failed:
            await bonding
        assert failed.value.reason is BondFailure.ADAPTER

    run(story, bus)


@pytest.mark.parametrize("member", ["GetManagedObjects", "StartDiscovery", "RegisterAgent", "Pair"])
def test_a_call_that_bluez_never_answers_is_a_time_out(member: str, bus: str) -> None:
    async def story(here: Room) -> None:
        there = await here.ether.add(thing(), "only", period_s=0, security=Security())
        await here.radio.scanning()
        here.bluez.hung.add(member)
        with pytest.raises(BondFailed) as failed:
            async with asyncio.timeout(SOON_S):
                await patient(here, call=0.3, pair=0.3).bond(there.address, Reader(there))
        assert failed.value.reason is BondFailure.TIMEOUT

    run(story, bus)


async def closed(here: Room, address: str, spec: GattSpec) -> Loss:
    """Why no link to it comes about."""
    with pytest.raises(LinkLost) as lost:
        async with asyncio.timeout(SOON_S), here.radio.opener(address, spec).open():
            raise AssertionError("opened")
    return lost.value.reason


@pytest.mark.parametrize("reasons", [True, False], ids=["5.82", "5.66"])
def test_f14_a_lost_bond_is_named_and_not_renewed_until_a_person_asks(reasons: bool, bus: str) -> None:
    """reasons: whether BlueZ says why a device was disconnected. Where it does not, it shows after some attempts."""
    from devicebridge.links.bluez import FALLS_MAX

    async def story(here: Room) -> None:
        if not reasons:
            here.bluez.hung.add("Disconnected")
        there = await here.ether.add(thing(), "only", period_s=0, security=Security())
        await bonds(here).bond(there.address, Reader())
        there.forget()
        attempts = [await closed(here, there.address, spec) for spec in (SPEC, BONDED, SPEC, BONDED)]
        before = 0 if reasons else FALLS_MAX - 1
        assert attempts == [Loss.DISCONNECTED] * before + [Loss.BOND_LOST] * (4 - before)
        assert not there.bonded
        there.wake(pairing_mode=True)
        await bonds(here).bond(there.address, Reader())
        assert there.bonded
        async with asyncio.timeout(SOON_S), here.radio.opener(there.address, BONDED).open() as link:
            assert await link.read(SECRET) == b"secret"

    run(story, bus)


def test_unbond_forgets_our_half(bus: str) -> None:
    async def story(here: Room) -> None:
        there = await here.ether.add(thing(), "only", period_s=0, security=Security())
        await bonds(here).bond(there.address, Reader())
        assert await bonds(here).unbond(there.address)
        assert not await bonds(here).unbond(there.address)
        assert await bonds(here).list() == ()
        assert await closed(here, there.address, BONDED) is Loss.BOND_REQUIRED

    run(story, bus)


def test_a_bond_outlives_a_restart_of_bluetoothd(bus: str) -> None:
    async def story(here: Room) -> None:
        there = await here.ether.add(thing(), "only", period_s=0, security=Security())
        await bonds(here).bond(there.address, Reader())
        await here.bluez.crash()
        await here.bluez.start()
        await until(lambda: here.radio.state.reason is None, SOON_S)
        async with asyncio.timeout(SOON_S), here.radio.opener(there.address, BONDED).open() as link:
            assert await link.read(SECRET) == b"secret"

    run(story, bus)
