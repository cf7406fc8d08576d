"""A recording as it is published: FHIR's SampledData for each lead (HL7 FHIR R4, 2.24.0.11).

physical value = integer * factor + origin. A sample that is missing, or whose electrode was off, is "E".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from ..sdk.values import Unit
from ..sdk.wave import Lead, Strip, WaveFormat

MISSING = "E"
PERIOD_DIGITS = 9
"""Of a period in ms: 130 Hz has no finite one, so the rate stands beside it."""

MDC_OF_LEAD: dict[Lead, int] = {
    Lead.I: 131329,
    Lead.II: 131330,
    Lead.V1: 131331,
    Lead.V2: 131332,
    Lead.V3: 131333,
    Lead.V4: 131334,
    Lead.V5: 131335,
    Lead.V6: 131336,
    Lead.III: 131389,
    Lead.AVR: 131390,
    Lead.AVL: 131391,
    Lead.AVF: 131392,
}
"""MDC_ECG_ELEC_POTL_I and so on, partition 2 (IEEE 11073-10101, A.7.3; the numbers as in FHIR R4's ECG example)."""
MDC_OF_ANY_LEAD = 131328
"""MDC_ECG_ELEC_POTL: a lead that is none of the standard ones."""

Number = Annotated[Decimal, WithJsonSchema({"type": "number"})]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class LeadMessage(_Message):
    """The samples of one lead."""

    lead: Lead
    mdc: int
    """IEEE 11073-10101: MDC_ECG_ELEC_POTL and the lead."""
    data: str = Field(pattern=r"^(-?\d+|E)( (-?\d+|E))*$")
    """SampledData.data: the device's own integers with one space between; E where there is no sample."""


class StripMessage(_Message):
    """A recording of one or more leads, all sampled at the same instants from `measured_at` on."""

    rate_hz: Number
    """As the device declares it; the time axis is this and the sample's place."""
    period_ms: Number
    """SampledData.period: 1000 / rate_hz, rounded to nine decimals."""
    factor: Number
    origin: Number
    """Physical value = integer * factor + origin, in `unit`."""
    unit: Unit
    lower_limit: int
    upper_limit: int
    """What the device's converter can give, as integers: a sample there is saturated."""
    filters: str | None
    """As the device or its maker states them; nothing was filtered here."""
    count: int = Field(ge=1)
    """Samples of each lead, the missing ones included."""
    missing: int = Field(ge=0)
    """Instants at which at least one lead has no sample."""
    drift_ppm: Number | None
    """How much faster the device's samples came than it declares, by this PC's clock; null where the stream was too
    short to tell."""
    leads: list[LeadMessage]


def strip_message(strip: Strip, drift_ppm: Decimal | None = None) -> StripMessage:
    """What is published of a strip."""
    format_ = strip.format
    return StripMessage(
        rate_hz=format_.rate_hz,
        period_ms=period_ms(format_.rate_hz),
        factor=format_.scale,
        origin=format_.offset,
        unit=format_.unit,
        lower_limit=format_.lowest,
        upper_limit=format_.highest,
        filters=format_.filters,
        count=len(strip.rows),
        missing=missing(strip.rows),
        drift_ppm=drift_ppm,
        leads=[
            LeadMessage(lead=lead, mdc=MDC_OF_LEAD.get(lead, MDC_OF_ANY_LEAD), data=_data(column))
            for lead, column in zip(format_.leads, zip(*strip.rows, strict=True), strict=True)
        ],
    )


def strip_of(message: StripMessage) -> Strip:
    """The strip that a message tells of."""
    columns = [[None if word == MISSING else int(word) for word in lead.data.split(" ")] for lead in message.leads]
    format_ = WaveFormat(
        leads=tuple(lead.lead for lead in message.leads),
        rate_hz=message.rate_hz,
        unit=message.unit,
        scale=message.factor,
        offset=message.origin,
        lowest=message.lower_limit,
        highest=message.upper_limit,
        filters=message.filters,
    )
    return Strip(format=format_, rows=tuple(zip(*columns, strict=True)))


def period_ms(rate_hz: Decimal) -> Decimal:
    period = round(1000 / rate_hz, PERIOD_DIGITS)
    return period.quantize(Decimal(1)) if period == period.to_integral_value() else period.normalize()


def missing(rows: Iterable[Sequence[int | None]]) -> int:
    return sum(None in row for row in rows)


def _data(column: Iterable[int | None]) -> str:
    return " ".join(MISSING if sample is None else str(sample) for sample in column)
