"""What an EKG device says of the moment: viatom-develop/LepuBle, Er1BleResponse.kt and Er1DataController.java.

Heart rate (2), flags, battery, seconds recorded (4), state, eleven unknown; how many samples (2), and the samples, of
16 bits each; 7FFF is none. A count is 0.002467 mV, 125 of them a second (LepuDemo, README.md, "ER1" and "ER2").
"""

from __future__ import annotations

from decimal import Decimal

from devicebridge.sdk import Lead, Unit, Wave, WaveFormat

from .answers import Trace

HEAD_BYTES, NO_SAMPLE = 22, 0x7FFF
OFF = (0, 7)
"""Idle, for want of electrodes, and electrodes off (LepuDemo, README.md, curStatus; VTMRunStatus for iOS)."""
FORMAT = WaveFormat(
    leads=(Lead.ECG,),
    rate_hz=Decimal(125),
    unit=Unit.MILLIVOLT,
    scale=Decimal("0.002467"),
    lowest=-(1 << 15),
    highest=NO_SAMPLE - 1,
)


def read(raw: bytes, data: bytes, number: int | None) -> Trace | None:
    """None where the length is not that of the samples."""
    count = int.from_bytes(data[HEAD_BYTES - 2 : HEAD_BYTES], "little")
    if len(data) != HEAD_BYTES + 2 * count:
        return None
    state = data[8] & 0x0F
    is_on = state not in OFF
    places = range(HEAD_BYTES, len(data), 2)
    samples = [int.from_bytes(data[at : at + 2], "little", signed=True) for at in places]
    rows = tuple((None if sample == NO_SAMPLE else sample,) for sample in samples)
    wave = Wave(format=FORMAT, first_index=0, rows=rows, leads_off=frozenset(() if is_on else FORMAT.leads))
    return Trace(
        raw=raw,
        wave=wave if rows else None,
        seq=number,
        is_on=is_on,
        state=state,
        heart_rate_per_min=int.from_bytes(data[:2], "little"),
        battery=data[3],
    )
