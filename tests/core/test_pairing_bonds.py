"""Bonds over the simulated radio, and an attempt to add a device: it ends whole, or leaves nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bumble", reason="the simulated radio needs bumble")

from devicebridge.clock import SystemClock
from devicebridge.config import DeviceConfig
from devicebridge.links.advertised import AddressKind
from devicebridge.links.bonding import BondedDevice, BondFailed, BondFailure, Bonds, Person
from devicebridge.links.gatt import Radio, Sighting
from devicebridge.pairing.attempt import Attempt
from devicebridge.pairing.identity import Unidentifiable, needs_bond
from devicebridge.pairing.trial import Step
from devicebridge.sdk.links import LinkLost, Loss
from devicebridge.testing.radio import Answer, Manner, Security
from devicebridge_simulators.ble_blood_pressure import SIMULATOR
from support.pairing import Answers, Scene, config, scene
from support.waiting import until

RPA, NRPA = "5A:11:22:33:44:55", "1A:11:22:33:44:55"
"""By their two highest bits (Bluetooth Core 5.4, vol 6 part B, 1.3.2.2)."""


def play(test: Callable[[Scene], Awaitable[None]], security: Security | None = None, **more: Any) -> None:
    async def main() -> None:
        async with scene(security, **more) as there:
            await test(there)

    asyncio.run(main())


async def fails(there: Scene, person: Answers) -> BondFailure:
    with pytest.raises(BondFailed) as failed:
        await there.radio.bond(there.cuff.address, person)
    assert await held(there) == []
    assert not there.cuff.bonded
    return failed.value.reason


async def held(there: Scene) -> list[str]:
    assert there.radio.bonds is not None
    return [bonded.address for bonded in await there.radio.bonds.list()]


def attempt(
    there: Scene, folder: Path, person: Answers | None = None, steps: list[Step] | None = None, driver: str = ""
) -> Attempt:
    device = DeviceConfig(driver=driver or "ble-blood-pressure", address=there.cuff.address)
    tell = (lambda _: None) if steps is None else steps.append
    whole = config(folder)
    return Attempt(device, whole, there.radio, person=person or Answers(), clock=SystemClock(), tell=tell)


async def heard(there: Scene) -> Sighting:
    async for sighting in there.radio.scan(10):
        return sighting
    raise AssertionError("nothing was heard")


# --- Bonds ---------------------------------------------------------------------------------------------------------


def test_just_works_asks_nobody_and_a_second_time_does_nothing() -> None:
    async def test(there: Scene) -> None:
        assert (await heard(there)).pairing_mode
        person = Answers()
        await there.radio.bond(there.cuff.address, person)
        assert person.asked == []
        assert await held(there) == [there.cuff.address]
        assert there.cuff.bonded
        await until(lambda: there.cuff.plays == 1)
        assert not (await heard(there)).pairing_mode
        await there.radio.bond(there.cuff.address, person)  # out of pairing mode, a new bond would be refused

    play(test, Security())


@pytest.mark.parametrize("right", [True, False])
def test_a_passkey_that_the_device_shows(right: bool) -> None:
    async def test(there: Scene) -> None:
        async def read() -> int:
            return await there.displayed() if right else (await there.displayed() + 1) % 1_000_000

        person = Answers(digits=read)
        if right:
            await there.radio.bond(there.cuff.address, person)
            assert await held(there) == [there.cuff.address]
        else:
            assert await fails(there, person) is BondFailure.WRONG_PASSKEY
        assert person.asked == ["passkey"]

    play(test, Security(manner=Manner.PASSKEY))


@pytest.mark.parametrize("right", [True, False])
def test_numbers_to_compare(right: bool) -> None:
    async def test(there: Scene) -> None:
        seen: list[int] = []
        person = Answers(same=lambda number: bool(seen.append(number) or right))
        if right:
            await there.radio.bond(there.cuff.address, person)
            assert await held(there) == [there.cuff.address]
        else:
            assert await fails(there, person) is BondFailure.CANCELLED
        assert person.asked == ["same"]
        assert len(seen) == 1

    play(test, Security(manner=Manner.COMPARE))


def test_digits_to_be_typed_on_the_device() -> None:
    person = Answers()

    async def typed() -> int:
        await until(lambda: person.shown)
        return person.shown[0]

    async def test(there: Scene) -> None:
        await there.radio.bond(there.cuff.address, person)
        assert await held(there) == [there.cuff.address]

    play(test, Security(manner=Manner.TYPED, typed=typed))


def test_f15_a_prompt_that_is_cancelled_is_no_bond() -> None:
    async def test(there: Scene) -> None:
        assert await fails(there, Answers()) is BondFailure.CANCELLED

    play(test, Security(manner=Manner.PASSKEY))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer.REFUSE, BondFailure.REFUSED),
        (Answer.VANISH, BondFailure.VANISHED),
        (Answer.BONDED_ELSEWHERE, BondFailure.BONDED_ELSEWHERE),
    ],
)
def test_a_device_that_will_not(answer: Answer, reason: BondFailure) -> None:
    async def test(there: Scene) -> None:
        assert await fails(there, Answers()) is reason

    play(test, Security(answer=answer))


def test_a_device_that_is_not_in_pairing_mode_says_so_and_takes_us_when_it_is() -> None:
    async def test(there: Scene) -> None:
        there.cuff.wake(pairing_mode=False)
        assert await fails(there, Answers()) is BondFailure.NOT_IN_PAIRING_MODE
        there.cuff.wake(pairing_mode=True)
        await there.radio.bond(there.cuff.address, Answers())
        assert await held(there) == [there.cuff.address]

    play(test, Security())


def test_a_device_that_vanishes_while_a_person_types() -> None:
    async def test(there: Scene) -> None:
        class Slow(Answers):
            async def passkey(self) -> int | None:
                there.cuff.vanish()
                await asyncio.Event().wait()
                raise AssertionError

        assert await fails(there, Slow()) is BondFailure.VANISHED

    play(test, Security(manner=Manner.PASSKEY))


def test_f14_a_device_that_forgot_is_bonded_anew_when_a_person_asks() -> None:
    async def test(there: Scene) -> None:
        await there.radio.bond(there.cuff.address, Answers())
        there.cuff.forget()
        there.cuff.wake(pairing_mode=True)
        await there.radio.bond(there.cuff.address, Answers())
        assert there.cuff.bonded
        assert await held(there) == [there.cuff.address]

    play(test, Security())


def test_unbond_says_whether_there_was_anything() -> None:
    async def test(there: Scene) -> None:
        assert there.radio.bonds is not None
        assert not await there.radio.bonds.unbond(there.cuff.address)
        await there.radio.bond(there.cuff.address, Answers())
        assert await there.radio.bonds.unbond(there.cuff.address)
        assert await held(there) == []

    play(test, Security())


# --- An attempt ----------------------------------------------------------------------------------------------------


def test_a_device_that_asks_for_it_is_bonded_and_read(tmp_path: Path) -> None:
    """Its driver does not demand a bond, and nobody asked for one: the device does."""

    async def test(there: Scene) -> None:
        steps: list[Step] = []
        async with attempt(there, tmp_path, steps=steps) as trying:
            trial = await trying.reading()
            trying.keep()
        assert trying.has_bonded
        assert await held(there) == [there.cuff.address]
        (reading,) = map(json.loads, trial.payloads)
        values = {value["name"]: value["value"] for value in reading["values"]}
        assert values == {"systolic": 124, "diastolic": 81, "mean": 95, "pulse-rate": 72}
        assert trial.identity.serial == "SIM-BP-1"
        assert steps[0] is Step.WAITING
        assert list(tmp_path.iterdir()) == []  # no outbox

    play(test, Security())


def test_what_is_not_kept_leaves_no_bond(tmp_path: Path) -> None:
    async def test(there: Scene) -> None:
        with pytest.raises(ZeroDivisionError):
            async with attempt(there, tmp_path) as trying:
                await trying.bond()
                assert await held(there) == [there.cuff.address]
                raise ZeroDivisionError
        assert await held(there) == []

    play(test, Security())


def test_a_bond_of_before_survives_an_attempt_that_fails(tmp_path: Path) -> None:
    async def test(there: Scene) -> None:
        await there.radio.bond(there.cuff.address, Answers())
        async with attempt(there, tmp_path) as trying:
            await trying.bond()
            await trying.reading()
        assert await held(there) == [there.cuff.address]

    play(test, Security())


def test_an_attempt_that_is_cancelled_midway_leaves_nothing(tmp_path: Path) -> None:
    async def test(there: Scene) -> None:
        async def run() -> None:
            async with attempt(there, tmp_path) as trying:
                await trying.bond()
                await asyncio.Event().wait()

        running = asyncio.create_task(run())
        await until(lambda: there.cuff.bonded)
        running.cancel()
        await asyncio.wait({running})
        assert await held(there) == []

    play(test, Security())


@dataclass
class Shared:
    """The bonds of a system that others use too.

    busy: does not tell them, once. other: somebody else bonds with this address at the same time. deaf: takes no
    notice of a cancellation, as what awaits asyncio.wait_for on Python 3.11 may.
    """

    real: Bonds
    busy: bool = False
    other: str | None = None
    deaf: bool = False

    async def bond(self, address: str, person: Person, /) -> None:
        await self.real.bond(address, person)
        if self.other is not None:
            await self.real.bond(self.other, person)
        if self.deaf:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def unbond(self, address: str, /) -> bool:
        return await self.real.unbond(address)

    async def list(self) -> tuple[BondedDevice, ...]:
        if self.busy:
            self.busy = False
            raise BondFailed(BondFailure.ADAPTER)
        return await self.real.list()


@asynccontextmanager
async def shared(there: Scene) -> AsyncIterator[tuple[Scene, Shared]]:
    async with there.ether.radio() as backend:
        assert backend.bonds is not None
        bonds = Shared(backend.bonds)
        radio = Radio(replace(backend, bonds=bonds), clock=SystemClock())
        await radio.start()
        try:
            yield replace(there, radio=radio), bonds
        finally:
            await radio.stop()


def test_a_system_that_did_not_tell_its_bonds_loses_none_of_them(tmp_path: Path) -> None:
    async def test(there: Scene) -> None:
        other = await there.ether.add(SIMULATOR, "normal", period_s=0, security=Security())
        async with shared(there) as (here, bonds):
            await here.radio.bond(other.address, Answers())
            bonds.busy = True
            async with attempt(here, tmp_path) as trying:
                await trying.bond()
            assert other.address in await held(here)

    play(test, Security())


def test_a_bond_that_somebody_else_makes_meanwhile_is_theirs(tmp_path: Path) -> None:
    async def test(there: Scene) -> None:
        other = await there.ether.add(SIMULATOR, "normal", period_s=0, security=Security())
        async with shared(there) as (here, bonds):
            bonds.other = other.address
            async with attempt(here, tmp_path) as trying:
                await trying.bond()
            assert await held(here) == [other.address]

    play(test, Security())


def test_a_cancellation_that_a_system_swallows_ends_the_attempt_all_the_same(tmp_path: Path) -> None:
    async def test(there: Scene) -> None:
        async with shared(there) as (here, bonds):
            bonds.deaf = True

            async def run() -> None:
                async with attempt(here, tmp_path) as trying:
                    await trying.bond()
                    await asyncio.Event().wait()

            running = asyncio.create_task(run())
            await until(lambda: here.cuff.bonded)
            running.cancel()
            await asyncio.wait({running}, timeout=5)
            assert running.done()
            assert await held(here) == []

    play(test, Security())


@pytest.mark.parametrize(("download", "readings", "skipped"), [("all", 4, 0), ("recent", 1, 3)])
def test_a_cuff_that_empties_its_memory_into_the_test_is_shown_whole(
    download: str, readings: int, skipped: int, tmp_path: Path
) -> None:
    async def test(there: Scene) -> None:
        there.cuff.wake(SIMULATOR.scenarios["backlog"])
        trying = attempt(there, tmp_path)
        trying.device = trying.device.model_copy(update={"options": {"first_download": download}})
        async with trying:
            trial = await trying.reading()
        origins = [json.loads(payload)["origin"] for payload in trial.payloads]
        assert (origins.count("live"), len(origins), trial.skipped) == (1, readings, skipped)

    play(test, asleep=True)


def test_the_wrong_driver_is_told(tmp_path: Path) -> None:
    async def test(there: Scene) -> None:
        with pytest.raises(LinkLost) as lost:
            async with attempt(there, tmp_path, driver="ble-thermometer") as trying:
                await trying.reading()
        assert lost.value.reason is Loss.UNEXPECTED_DEVICE

    play(test)


def test_a_device_that_refuses_the_bond_that_it_asks_for(tmp_path: Path) -> None:
    async def test(there: Scene) -> None:
        with pytest.raises(BondFailed) as failed:
            async with attempt(there, tmp_path) as trying:
                await trying.reading()
        assert failed.value.reason is BondFailure.REFUSED

    play(test, Security(answer=Answer.REFUSE))


# --- Addresses that change -----------------------------------------------------------------------------------------


def test_an_address_that_changes_is_bonded_to_the_one_behind_it(tmp_path: Path) -> None:
    async def test(there: Scene) -> None:
        sighting = await heard(there)
        assert sighting.address_kind is AddressKind.RESOLVABLE
        assert sighting.address != there.cuff.address
        assert needs_bond(sighting)
        trying = attempt(there, tmp_path)
        trying.device = trying.device.model_copy(update={"address": sighting.address})
        async with trying:
            await trying.bond(identity=True)
            assert trying.device.address == there.cuff.address
            assert (await trying.reading()).payloads
            trying.keep()
        assert await held(there) == [there.cuff.address]

    play(test, Security(private=True))


def test_an_address_that_changes_without_a_key_to_it_is_refused(tmp_path: Path) -> None:
    async def test(there: Scene) -> None:
        assert needs_bond(await heard(there))
        with pytest.raises(Unidentifiable, match="changes its address"):
            async with attempt(there, tmp_path) as trying:
                await trying.bond(identity=True)
        assert await held(there) == []

    play(test, Security(), address=RPA)


def test_an_address_that_nobody_can_resolve_is_refused() -> None:
    async def test(there: Scene) -> None:
        with pytest.raises(Unidentifiable, match="changes its address"):
            needs_bond(await heard(there))

    play(test, address=NRPA)
