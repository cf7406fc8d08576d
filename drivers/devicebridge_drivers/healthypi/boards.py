"""Which packets each board sends, and what its samples mean: from the registers that its firmware writes.

Microvolts of one count:

- HealthyPi 5: MAX30001 at a gain of 80 (healthypi5.dts, ecg-gain 2; protocentral_max30001.cpp, BeginECGBioZ), 18 bits.
  Data sheet: mV = ADC * VREF / (2^17 * gain), VREF 1000 mV; max30001.c of the Zephyr firmware has the same. (The
  Arduino library's convertECGToMicrovolts has another figure, which is not the data sheet's.)
- HealthyPi 4 and ADS1292R: channel 2 at a gain of 12 (CH2SET 0x60), VREF 2.42 V, 24 bits (SBAS502, 8.3.8). Of these the
  firmware sends the upper ones: it shifts by 8 and then by 2 (HealthyPi 4 and the first ADS1292R library), by 6 (its
  sketch of 2025), or by 4 (library 2.0). The 40 Hz filter in between has a gain of one.
- ADS1293: the library reaches the rate it is asked for only nearly, by a decimation that also changes the meaning of a
  count (SNAS602C, tables 8 to 11). Neither is known here: the site says both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Literal

from devicebridge.sdk import Lead

Board = Literal["healthypi5", "healthypi4", "ads1292r", "ads1293"]

_DIGITS = Context(prec=10)
_MAX30001_UV = Decimal(1_000_000) / (2**17 * 80)
_FILTERED = "DC removed, low pass 40 Hz"
_ONE, _THREE = (Lead.ECG,), (Lead.CH1, Lead.CH2, Lead.CH3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What lies where in the payload of a packet; None for what is not there or not to be believed.

    periods: how many samples of the EKG or the pulse wave it spans. sample_bytes: 0 where it has no EKG.
    zero_is_off: without electrodes zeros are sent for samples. electrodes_at: the converter's lead-off bits.
    """

    periods: int = 1
    sample_bytes: int = 0
    bits: int = 16
    microvolts: Decimal | None = None
    zero_is_off: bool = False
    electrodes_at: int | None = None
    heart_rate_at: int | None = None
    respiration_at: int | None = None
    spo2_at: int | None = None
    temperature_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSpec:
    """layouts: by the packet's type and the length of its payload. rate_hz: None where the firmware does not tell."""

    model: str
    layouts: Mapping[tuple[int, int], Layout]
    rate_hz: Decimal | None
    leads: tuple[Lead, ...] = _ONE
    filters: str | None = None


def _ads1292r_uv(shift: int) -> Decimal:
    return _DIGITS.divide(Decimal(2_420_000 << shift), Decimal(12 * (2**23 - 1)))


_HEALTHYPI4 = Layout(  # bytes 17 and 18 are 80 and 120 for ever, and no blood pressure
    sample_bytes=2,
    microvolts=_ads1292r_uv(10),
    zero_is_off=True,
    electrodes_at=19,
    heart_rate_at=16,
    respiration_at=14,
    spo2_at=15,
    temperature_at=12,
)

BOARDS: Mapping[Board, BoardSpec] = {
    "healthypi5": BoardSpec(
        model="HealthyPi 5",
        rate_hz=Decimal(128),
        filters="0.5 Hz to 40 Hz (MAX30001)",
        layouts={
            (2, 22): Layout(sample_bytes=4, bits=18, microvolts=_MAX30001_UV, spo2_at=19, temperature_at=17),
            (3, 50): Layout(periods=8, sample_bytes=4, bits=18, microvolts=_MAX30001_UV),
            (4, 19): Layout(periods=8, spo2_at=16),  # its temperature has the high byte twice: data_module.c
        },
    ),
    "healthypi4": BoardSpec(
        model="HealthyPi 4", rate_hz=Decimal(125), filters=_FILTERED, layouts={(2, 20): _HEALTHYPI4}
    ),
    "ads1292r": BoardSpec(
        model="ADS1292R",
        rate_hz=Decimal(125),
        filters=_FILTERED,
        layouts={
            (2, 8): Layout(sample_bytes=2, microvolts=_ads1292r_uv(4), zero_is_off=True, heart_rate_at=4),
            (2, 9): Layout(sample_bytes=2, microvolts=_ads1292r_uv(6), zero_is_off=True),
            (2, 20): Layout(sample_bytes=2, microvolts=_ads1292r_uv(10), zero_is_off=True, heart_rate_at=16),
        },
    ),
    "ads1293": BoardSpec(
        model="ADS1293", rate_hz=None, leads=_THREE, layouts={(2, 12): Layout(sample_bytes=4, bits=24)}
    ),
}
