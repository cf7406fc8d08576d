"""The other end of the wire. Lead V6 counts the samples, so that whoever receives them can tell where they belong."""

from __future__ import annotations

from collections.abc import Sequence

from devicebridge.sdk import Lead, SerialSpec
from devicebridge.sdk.heart import Heart
from devicebridge.sdk.simulation import SerialPort, SerialScenario, SerialSimulator

RATE_HZ, PER_WRITE, COUNTS_PER_MV, COUNTED_TO = 500, 10, 400, 30_000
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5")
_HEART = Heart(60)
_BEAT = [tuple(round(_HEART.millivolts(Lead(n), i / RATE_HZ) * COUNTS_PER_MV) for n in LEADS) for i in range(RATE_HZ)]


def row(number: int) -> tuple[int, ...]:
    return (*_BEAT[number % RATE_HZ], number % COUNTED_TO)


def frame(number: int, samples: Sequence[int]) -> bytes:
    words = b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)
    body = b"EK" + number.to_bytes(4, "little") + words + b"\x00"
    return body + bytes((sum(body) % 256,))


def trace(seconds: float) -> SerialScenario:
    count = round(seconds * RATE_HZ)

    async def run(port: SerialPort) -> None:
        for start in range(0, count, PER_WRITE):
            await port.write(b"".join(frame(n, row(n)) for n in range(start, min(start + PER_WRITE, count))))
            await port.pause(PER_WRITE / RATE_HZ)

    return SerialScenario(title=f"{seconds:g} s", run=run, rows=tuple(map(row, range(min(count, RATE_HZ)))))


SIMULATOR = SerialSimulator(id="acme-ekg", line=SerialSpec(baud=230_400), scenarios={"trace": trace(0.2)})
