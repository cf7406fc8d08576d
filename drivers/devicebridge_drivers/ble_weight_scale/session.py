"""One connection to a scale: it indicates what it has within seconds and hangs up.

A scale that keeps its users apart sends a user's values only after that user's consent code. Giving it is an option,
as whoever steps on is taken for that user.
"""

from __future__ import annotations

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from devicebridge.sdk import Frame, GattLink, LinkLost, Loss, Options, Outlet, UnexpectedDevice
from devicebridge.sdk.gatt_device import BURST_GAP_S, Arrivals, Burst, introduce

from .acts import join
from .codec import AND_MEASUREMENT, COMPOSITION, CONSENT, MEASUREMENT, USER_CONTROL, Codec, ControlResponse

COMPOSITION_GAP_S = 5.0
"""The composition follows the weight when the feet have been measured too."""


class ScaleOptions(Options):
    """Whose values to ask for, where the scale wants to know."""

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
    """Ends with LinkLost when the scale hangs up: DENIED where it refuses the consent code."""
    # The weight last: a scale may hang up as soon as it has sent what it has.
    wanted = [uuid for uuid in (COMPOSITION, AND_MEASUREMENT, MEASUREMENT) if link.has(uuid)]
    if not wanted:
        raise UnexpectedDevice
    consent = options.consent if link.has(USER_CONTROL) else None
    if consent is not None:
        wanted.insert(0, USER_CONTROL)
    arrivals = Arrivals(await link.subscribe(*wanted))
    try:
        about = await introduce(link, outlet)
        if consent is not None:
            await link.write(USER_CONTROL, consent)
        burst = _burst(outlet, clock_readable=about.now is not None, has_composition=COMPOSITION in wanted)
        await burst.run(arrivals, {uuid: Codec(uuid) for uuid in wanted}, heed=_heed)
    finally:
        await arrivals.close()


def _burst(outlet: Outlet, *, clock_readable: bool, has_composition: bool) -> Burst:
    return Burst(
        outlet,
        clock_readable=clock_readable,
        join=join if has_composition else None,
        gap_s=COMPOSITION_GAP_S if has_composition else BURST_GAP_S,
    )


def _heed(frame: Frame) -> None:
    if isinstance(frame, ControlResponse) and frame.is_refusal:
        raise LinkLost(Loss.DENIED)
