"""ProtoCentral boards on a synthetic heart: the other end of `healthypi`, from the firmware's own packet builders.

(github.com/Protocentral: protocentral_healthypi_5_firmware, src/HPIOpenView.cpp; protocentral_healthypi_v4,
Healthypiv4_Arduino.ino; protocentral-ads1292r-arduino, 02.OpenView.ino; protocentral-ads1293-arduino, 03-5-lead-ECG.)
They speak by themselves as long as they have power.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal

from devicebridge.sdk import Lead, SerialSpec
from devicebridge.sdk.heart import Heart
from devicebridge.sdk.simulation import Expected, SerialPort, SerialScenario, SerialSimulator, Vitals
from devicebridge.sdk.values import Absent, Kind, Name
from devicebridge.sdk.wave import Row

PER_WRITE = 8
COUNTS_PER_MV = {"healthypi5": 10_485.76, "healthypi4": 40.62, "ads1292r": 2599.8, "ads1293": 6116.7}
RATE_HZ = {"healthypi5": 128, "healthypi4": 125, "ads1292r": 125, "ads1293": 100}
RAIL = 131_071
Counts = Sequence[int]
Run = Callable[[SerialPort], Awaitable[None]]


def packet(payload: bytes, kind: int = 2) -> bytes:
    return struct.pack("<HHB", 0xFA0A, len(payload), kind) + payload + b"\x00\x0b"


def healthypi5(ecg: int, spo2: int = 0, rate: int = 0, hundredths_cel: int = 0) -> bytes:
    return packet(struct.pack("<iiBiihBBB", ecg, -3000, 0, 81_234, 95_432, hundredths_cel, spo2, rate, 14))


def healthypi5_eight(ecg: Counts) -> bytes:
    return packet(struct.pack("<8i4iBB", *ecg, -3000, -3001, -3002, -3003, 71, 14), 3)


def pulse_wave(spo2: int) -> bytes:
    return packet(struct.pack("<8hBBB", *range(8), spo2, 0x0D, 0x0D), 4)


def healthypi4(ecg: int, spo2: int = 0, rate: int = 0, hundredths_cel: int = 0, off: int = 0) -> bytes:
    return packet(struct.pack("<hhiihBBBBBB", ecg, 12, 95_432, 81_234, hundredths_cel, 14, spo2, rate, 80, 120, off))


def ads1292r(ecg: int, rate: int = 0, respiration: int = 25) -> bytes:
    return packet(struct.pack("<hhhh", ecg, respiration, rate, 0))


def ads1293(ecg: Counts) -> bytes:
    return packet(struct.pack("<3i", *ecg))


def heart(board: str, pulse_per_min: int, seconds: float, lead: Lead = Lead.II) -> list[int]:
    beating, rate = Heart(pulse_per_min), RATE_HZ[board]
    return [round(beating.millivolts(lead, n / rate) * COUNTS_PER_MV[board]) for n in range(round(seconds * rate))]


def streaming(pieces: Sequence[bytes], pause_s: float) -> Run:
    async def run(port: SerialPort) -> None:
        for start in range(0, len(pieces), PER_WRITE):
            part = pieces[start : start + PER_WRITE]
            await port.write(b"".join(part))
            await port.pause(pause_s * len(part))

    return run


def scenario(
    title: str,
    pieces: Sequence[bytes],
    rows: Sequence[Row],
    *,
    board: str = "healthypi5",
    crystal: float = 1.0,
    expected: Sequence[Expected] = (),
    options: Mapping[str, object] | None = None,
    faulty: bool = False,
) -> SerialScenario:
    """crystal: how much longer the board's second is than a second."""
    pause_s = crystal * len(rows) / len(pieces) / RATE_HZ[board]
    return SerialScenario(
        title=title,
        run=streaming(pieces, pause_s),
        rows=tuple(rows),
        expected=tuple(expected),
        options={"board": board, **(options or {})},
        faulty=faulty,
    )


def _single(counts: Counts) -> list[Row]:
    return [(count,) for count in counts]


def trace(title: str, counts: Counts, crystal: float = 1.0) -> SerialScenario:
    return scenario(title, [healthypi5(count) for count in counts], _single(counts), crystal=crystal)


def _reading(kind: Kind, name: Name, value: str) -> Expected:
    values: dict[Name, Decimal | Absent | str] = {name: Decimal(value)}
    return Expected(kind=kind, values=values)


def _finger() -> SerialScenario:
    """No finger, and then one."""
    counts = heart("healthypi5", 72, 2.75)
    pieces = [healthypi5(c, 97 if n >= 64 else 0, 72 if n >= 64 else 0) for n, c in enumerate(counts)]
    expected = [_reading(Kind.PULSE_OXIMETRY, Name.SPO2, "97")]
    return scenario("a finger", pieces, _single(counts), expected=expected, options={"steady_s": 2})


def _skin() -> SerialScenario:
    """The temperature sensor is on a table, and then on the skin."""
    counts = heart("healthypi4", 72, 2.75)
    pieces = [healthypi4(c, hundredths_cel=3652 if n >= 64 else 2210) for n, c in enumerate(counts)]
    expected = [_reading(Kind.TEMPERATURE, Name.TEMPERATURE, "36.52")]
    options = {"temperature_steady_s": 2}
    return scenario("skin", pieces, _single(counts), board="healthypi4", expected=expected, options=options)


def _batches() -> SerialScenario:
    counts = heart("healthypi5", 72, 1)
    pieces = [healthypi5_eight(counts[n : n + 8]) + pulse_wave(97) for n in range(0, len(counts), 8)]
    return scenario("eight samples a packet, and the pulse wave between", pieces, _single(counts))


def _electrodes_off() -> SerialScenario:
    counts = [0 if 50 <= n < 100 else count for n, count in enumerate(heart("healthypi4", 72, 1))]
    pieces = [healthypi4(count, off=0x0C if 50 <= n < 100 else 0) for n, count in enumerate(counts)]
    return scenario("electrodes off and on again", pieces, _single(counts), board="healthypi4")


def _zeros() -> SerialScenario:
    counts = [0 if 30 <= n < 90 else count for n, count in enumerate(heart("ads1292r", 72, 1))]
    pieces = [ads1292r(count, respiration=25 if count else 0) for count in counts]
    return scenario("zeros in place of electrodes", pieces, _single(counts), board="ads1292r")


def _three_leads() -> SerialScenario:
    columns = [heart("ads1293", 72, 1, lead) for lead in (Lead.I, Lead.II, Lead.V1)]
    rows = list(zip(*columns, strict=True))
    options = {"rate_hz": 100, "microvolts_per_count": "0.1634871", "leads": ["I", "II", "V1"]}
    return scenario("three leads", [ads1293(row) for row in rows], rows, board="ads1293", options=options)


def _header_within() -> SerialScenario:
    counts = [0x0016_FA0A, 0xFA0A, *heart("healthypi5", 72, 0.4)]
    return trace("the first bytes of a packet within one", counts)


def _lost_bytes() -> SerialScenario:
    """Nobody can tell how many samples are missing, so none are said to be; each one that came is there."""
    counts = heart("healthypi5", 72, 0.5)
    pieces = [healthypi5(count) for count in counts]
    pieces[30] = pieces[30][:11]
    rows = _single([count for n, count in enumerate(counts) if n != 30])
    return scenario("a packet that breaks off", pieces, rows, faulty=True)


def _measure(vitals: Vitals) -> SerialScenario:
    """Electrodes, a finger and the temperature sensor for a quarter of a minute."""
    counts = heart("healthypi5", vitals.pulse_per_min, 15)
    spo2, rate, cel = vitals.spo2_percent, vitals.pulse_per_min, vitals.temperature_cel
    pieces = [healthypi5(count, spo2, rate, int(cel * 100)) for count in counts]
    expected = [
        _reading(Kind.PULSE_OXIMETRY, Name.SPO2, str(spo2)),
        _reading(Kind.TEMPERATURE, Name.TEMPERATURE, f"{cel:.2f}"),
    ]
    options = {"temperature_steady_s": 10}
    return scenario(f"{rate}/min", pieces, _single(counts), expected=expected, options=options)


async def _silent(port: SerialPort) -> None:
    await port.pause(1)


SIMULATOR = SerialSimulator(
    id="healthypi",
    line=SerialSpec(baud=115_200),
    scenarios={
        "trace": trace("a heart at 72/min for a second", heart("healthypi5", 72, 1)),
        "batches": _batches(),
        "railed": trace(
            "an input at the end of the converter",
            [-RAIL - 1 if 20 <= n < 40 else count for n, count in enumerate(heart("healthypi5", 72, 0.5))],
        ),
        "slow-crystal": trace("a board whose clock is 1 % slow", heart("healthypi5", 72, 0.4), 1.01),
        "header-within": _header_within(),
        "finger": _finger(),
        "skin": _skin(),
        "electrodes-off": _electrodes_off(),
        "zeros": _zeros(),
        "three-leads": _three_leads(),
        "lost-bytes": _lost_bytes(),
        "silent": SerialScenario(title="a board without power", run=_silent),
    },
    measure=_measure,
)
