"""An OpenBCI Cyton with electrodes on a synthetic heart, from docs.openbci.com, "Cyton Data Format" and "Cyton SDK".

It is silent until it is told to begin, and then speaks 250 times a second.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from devicebridge.sdk import Lead, SerialSpec
from devicebridge.sdk.heart import Heart
from devicebridge.sdk.simulation import SerialPort, SerialScenario, SerialSimulator, Vitals
from devicebridge.sdk.wave import Row

RATE_HZ, PER_WRITE = 250, 5
COUNTS_PER_MV = 44_739.24  # 24 * 8388607 / 4500
LEADS = (Lead.I, Lead.II, Lead.V1, Lead.V2, Lead.V3, Lead.V4, Lead.V5, Lead.V6)
RAIL = 2**23 - 1
BANNER = (
    b"OpenBCI V3 8-16 channel\r\nOn Board ADS1299 Device ID: 0x3E\r\nLIS3DH Device ID: 0x33\r\nFirmware: v3.1.2\r\n$$$"
)
Run = Callable[[SerialPort], Awaitable[None]]
Counts = tuple[int, ...]


def frame(number: int, counts: Counts, aux: bytes = bytes(6)) -> bytes:
    channels = b"".join(count.to_bytes(3, "big", signed=True) for count in counts)
    return bytes((0xA0, number % 256)) + channels + aux + b"\xc0"


def heart(pulse_per_min: int, seconds: float, offset: int = 0) -> list[Counts]:
    """Standard leads of one heart. offset: of the electrodes, in counts."""
    beating = Heart(pulse_per_min)
    return [
        tuple(round(beating.millivolts(lead, n / RATE_HZ) * COUNTS_PER_MV) + offset for lead in LEADS)
        for n in range(round(seconds * RATE_HZ))
    ]


def streaming(pieces: Sequence[bytes], pause_s: float = 1 / RATE_HZ) -> Run:
    """Answers the reset, and sends the pieces once it is told to begin."""

    async def run(port: SerialPort) -> None:
        heard = b""
        while b"v" not in heard:
            heard += await port.read()
        await port.write(BANNER)
        while not heard.endswith(b"b"):
            heard += await port.read()
        for start in range(0, len(pieces), PER_WRITE):
            part = pieces[start : start + PER_WRITE]
            await port.write(b"".join(part))
            await port.pause(pause_s * len(part))

    return run


def scenario(title: str, sent: Sequence[Counts], *, first_number: int = 0) -> SerialScenario:
    pieces = [frame(first_number + n, counts) for n, counts in enumerate(sent)]
    return SerialScenario(title=title, run=streaming(pieces), rows=tuple(sent))


def _measure(vitals: Vitals) -> SerialScenario:
    """Leads on for a quarter of a minute."""
    return scenario(f"{vitals.pulse_per_min}/min", heart(vitals.pulse_per_min, 15))


def _lossy(lost: Sequence[range], doubled: Sequence[int] = ()) -> tuple[list[bytes], tuple[Row, ...]]:
    """What is sent of half a second's samples, and where they belong."""
    sent = heart(72, 0.5)
    gone = {n for each in lost for n in each}
    kept = [n for n in range(len(sent)) if n not in gone]
    pieces = [frame(n, sent[n]) * (1 + (n in doubled)) for n in kept]
    return pieces, tuple((None,) * len(LEADS) if n in gone else sent[n] for n in range(len(sent)))


def _with_losses(title: str, lost: Sequence[range], doubled: Sequence[int] = ()) -> SerialScenario:
    pieces, rows = _lossy(lost, doubled)
    return SerialScenario(title=title, run=streaming(pieces), rows=rows)


def _railed() -> list[Counts]:
    """The first electrode off, the second at the other end of the converter for a while."""
    return [(RAIL, -RAIL - 1 if 40 <= n < 80 else counts[1], *counts[2:]) for n, counts in enumerate(heart(72, 0.5))]


def _garbage() -> SerialScenario:
    sent = heart(72, 0.4)
    pieces = [frame(n, counts) for n, counts in enumerate(sent)]
    pieces[50] = bytes.fromhex("00a0ff17") + pieces[50]
    return SerialScenario(title="garbage in the midst", run=streaming(pieces), rows=tuple(sent), faulty=True)


async def _silent(port: SerialPort) -> None:
    await port.pause(1)


SIMULATOR = SerialSimulator(
    id="openbci",
    line=SerialSpec(baud=115_200),
    scenarios={
        "trace": scenario("a heart at 72/min for a second", heart(72, 1)),
        "number-comes-round": scenario("the sample number goes from 255 to 0", heart(72, 0.4), first_number=200),
        "electrode-offset": scenario("electrodes with 100 mV between them", heart(72, 0.2, 4_473_924)),
        "railed": scenario("an electrode off, and one that saturates", _railed()),
        "lost-frames": _with_losses("frames lost on the radio", (range(20, 21), range(60, 100))),
        "doubled-frames": _with_losses("frames that come twice", (), (7, 30, 31)),
        "slow-crystal": SerialScenario(
            title="a board whose clock is 1 % slow",
            run=streaming([frame(n, counts) for n, counts in enumerate(heart(72, 0.2))], 1.01 / RATE_HZ),
            rows=tuple(heart(72, 0.2)),
        ),
        "garbage": _garbage(),
        "no-answer": SerialScenario(title="nobody answers", run=_silent, faulty=True),
    },
    measure=_measure,
)
