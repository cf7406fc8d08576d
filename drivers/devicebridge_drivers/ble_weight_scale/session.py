"""One connection to a scale: it indicates what it has within seconds and hangs up.

A scale that keeps its users apart sends a user's values only after that user's consent code. Giving it is an option,
as whoever steps on is taken for that user.
"""

from __future__ import annotations

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from devicebridge.sdk import GattLink, LinkLost, Loss, MemoryOptions, Outlet, UnexpectedDevice
from devicebridge.sdk.and_medical import habits_of
from devicebridge.sdk.burst import GAP_S, Burst
from devicebridge.sdk.clock_setting import ClockOptions, ClockSetter
from devicebridge.sdk.gatt_device import STRANGER, Arrivals, finished, introduce

from .acts import join
from .codec import AND_MEASUREMENT, COMPOSITION, CONSENT, MEASUREMENT, USER_CONTROL, Codec, ControlResponse

COMPOSITION_GAP_S = 5.0
"""The composition follows the weight when the feet have been measured too."""
CONSENT_TIMEOUT_S = 30.0
"""User Data Service 1.1, 3.10: a procedure that has not been answered by then has failed."""


class ScaleOptions(MemoryOptions, ClockOptions):
    """Whose values to ask for, where the scale wants to know; its memory and its clock."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    user_index: int | None = Field(default=None, ge=0, le=254)
    """The scale's own number of the user whose values are read. Only with consent_code."""
    consent_code: int | None = Field(default=None, ge=0, le=9999, repr=False)
    """That user's consent code, as the scale shows it. It is sent at each connection."""

    @model_validator(mode="after")
    def _check_both(self) -> Self:
        if (self.user_index is None) != (self.consent_code is None):
            raise ValueError("give both user_index and consent_code, or neither")
        return self

    @property
    def consent(self) -> bytes | None:
        """User Data Service 1.1, 3.10: opcode, user, code with the low byte first."""
        if self.user_index is None or self.consent_code is None:
            return None
        return bytes([CONSENT, self.user_index]) + self.consent_code.to_bytes(2, "little")


async def session(link: GattLink, outlet: Outlet, options: ScaleOptions) -> None:
    """Ends with LinkLost when the scale hangs up: DENIED where it refuses the consent code, TIMEOUT where it does not
    answer."""
    # The weight last: a scale may hang up as soon as it has sent what it has.
    wanted = [uuid for uuid in (COMPOSITION, AND_MEASUREMENT, MEASUREMENT) if link.has(uuid)]
    if not wanted:
        raise UnexpectedDevice
    consent = options.consent if link.has(USER_CONTROL) else None
    if consent is not None:
        wanted.insert(0, USER_CONTROL)
    arrivals = Arrivals(await link.subscribe(*wanted))
    try:
        about = await finished(introduce(link, outlet), STRANGER)
        habits = habits_of(link.name, about.identity.model)
        burst = Burst(
            outlet,
            about,
            options,
            ClockSetter(link, outlet, options, habits.clock_at),
            join=join if COMPOSITION in wanted else None,
            gap_s=COMPOSITION_GAP_S if COMPOSITION in wanted else GAP_S,
        )

        async def begin() -> None:
            if consent is not None:
                await give_consent(link, arrivals, consent)
            await habits.begin(link)

        codecs = {uuid: Codec(uuid) for uuid in wanted}
        await burst.run(arrivals, codecs, begin=begin, when_quiet=lambda: habits.end(link))
    finally:
        await arrivals.close()


async def give_consent(
    link: GattLink, arrivals: Arrivals, consent: bytes, timeout_s: float = CONSENT_TIMEOUT_S
) -> None:
    """What the scale has sent before is still read, whatever comes of it."""
    try:
        await link.write(USER_CONTROL, consent)
        answer = await arrivals.answer(USER_CONTROL, timeout_s)
    except LinkLost as lost:
        arrivals.fail(lost.reason)
        return
    if any(isinstance(f, ControlResponse) and f.is_refusal for f in Codec(USER_CONTROL).feed(answer)):
        arrivals.fail(Loss.DENIED)
