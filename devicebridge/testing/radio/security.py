"""How a simulated peripheral bonds: what it can show, and how it answers who asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

from bumble.pairing import PairingDelegate

from ...sdk.simulation import Access, Service


class Manner(Enum):
    """JUST_WORKS: has neither display nor keys. PASSKEY: shows six digits. COMPARE: shows them and has a yes button.
    TYPED: has keys only."""

    JUST_WORKS = PairingDelegate.NO_OUTPUT_NO_INPUT
    PASSKEY = PairingDelegate.DISPLAY_OUTPUT_ONLY
    COMPARE = PairingDelegate.DISPLAY_OUTPUT_AND_YES_NO_INPUT
    TYPED = PairingDelegate.KEYBOARD_INPUT_ONLY


class Answer(Enum):
    """What becomes of a request in pairing mode. BONDED_ELSEWHERE: hangs up with "authentication failure"."""

    ACCEPT = auto()
    REFUSE = auto()
    VANISH = auto()
    BONDED_ELSEWHERE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """Of a peripheral that sends values only over an encrypted link.

    typed: the digits that a person types on a device with keys.
    private: advertises with a resolvable address, another one each time it is switched on, and hands out the key to it.
    hides_services: has none until the link is encrypted, so that a host must be bonded with it before it looks for any.
    """

    manner: Manner = Manner.JUST_WORKS
    answer: Answer = Answer.ACCEPT
    typed: Callable[[], Awaitable[int]] | None = None
    private: bool = False
    hides_services: bool = False

    def guarded(self, services: tuple[Service, ...]) -> tuple[Service, ...]:
        """The same services, what they send behind encryption."""
        authenticated = self.manner is not Manner.JUST_WORKS
        return tuple(
            replace(
                service,
                characteristics=tuple(
                    replace(c, encrypted=True, authenticated=authenticated)
                    if c.access & (Access.NOTIFY | Access.INDICATE)
                    else c
                    for c in service.characteristics
                ),
            )
            for service in services
        )


class Keypad(PairingDelegate):
    """The device's end. wanted: asked once a request, True to go on. shown: is given the digits on its display."""

    def __init__(self, security: Security, wanted: Callable[[], Awaitable[bool]], shown: Callable[[int], None]) -> None:
        keys = PairingDelegate.KeyDistribution.DISTRIBUTE_ENCRYPTION_KEY
        if security.private:
            keys |= PairingDelegate.KeyDistribution.DISTRIBUTE_IDENTITY_KEY
        super().__init__(
            security.manner.value, local_initiator_key_distribution=keys, local_responder_key_distribution=keys
        )
        self._security = security
        self._wanted = wanted
        self._shown = shown

    async def accept(self) -> bool:
        return await self._wanted()

    async def compare_numbers(self, number: int, digits: int) -> bool:
        self._shown(number)
        return True

    async def display_number(self, number: int, digits: int) -> None:
        self._shown(number)

    async def get_number(self) -> int | None:
        return None if self._security.typed is None else await self._security.typed()
