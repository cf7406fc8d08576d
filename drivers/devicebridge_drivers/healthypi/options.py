"""Which board it is, and when a stream of values becomes a reading."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from pydantic import ConfigDict, Field, model_validator

from devicebridge.sdk import Lead, Unit, WaveFormat
from devicebridge.sdk.steady import SteadyOptions

from .boards import BOARDS, Board, BoardSpec, Layout


class HealthyPiOptions(SteadyOptions):
    """Which board it is, and when a stream of values becomes a reading."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    board: Board = "healthypi5"
    """The board. An ADS1292R and an ADS1293 also need `baud`, as their sketch has it: 57600."""
    leads: tuple[Lead, ...] | None = None
    """The lead on each channel, as "I", "II", "V1", where the electrodes are placed so."""
    rate_hz: Decimal | None = Field(default=None, gt=0, le=10_000)
    """Samples per second, where the firmware is not the maker's; an ADS1293 needs it."""
    microvolts_per_count: Decimal | None = Field(default=None, gt=0, le=1_000)
    """What one count of the EKG is, where the firmware is not the maker's; an ADS1293 needs it."""
    temperature_from_cel: Decimal = Field(default=Decimal(30), ge=20, le=40)
    """Below this the temperature sensor lies on a table, and on nobody's skin."""
    temperature_steady_s: int = Field(default=60, ge=2, le=600)
    """How many seconds the temperature must hold still, within a tenth of a degree, to be a reading."""

    @model_validator(mode="after")
    def _complete(self) -> HealthyPiOptions:
        board = self.spec
        if board.rate_hz is None and (self.rate_hz is None or self.microvolts_per_count is None):
            raise ValueError(f'board "{self.board}" needs rate_hz and microvolts_per_count: its firmware tells neither')
        if self.leads is not None and (len(set(self.leads)) != len(self.leads) or len(self.leads) != len(board.leads)):
            raise ValueError(f'board "{self.board}" has {len(board.leads)} channels; give each a lead of its own')
        return self

    @property
    def spec(self) -> BoardSpec:
        return BOARDS[self.board]

    @property
    def per_s(self) -> Decimal:
        rate = self.rate_hz or self.spec.rate_hz
        assert rate is not None
        return rate

    @property
    def layouts(self) -> Mapping[tuple[int, int], tuple[Layout, WaveFormat | None]]:
        """The board's packets, with what their samples mean."""
        return {key: (layout, self._format(layout)) for key, layout in self.spec.layouts.items()}

    def _format(self, layout: Layout) -> WaveFormat | None:
        scale = self.microvolts_per_count or layout.microvolts
        if not layout.sample_bytes or scale is None:
            return None
        return WaveFormat(
            leads=self.leads or self.spec.leads,
            rate_hz=self.per_s,
            unit=Unit.MICROVOLT,
            scale=scale,
            lowest=-(1 << layout.bits - 1),
            highest=(1 << layout.bits - 1) - 1,
            filters=self.spec.filters,
        )
