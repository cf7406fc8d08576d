"""The other end of the wire, with an encoder of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

from devicebridge.sdk import Kind, Name, SerialSpec
from devicebridge.sdk.simulation import Expected, SerialPort, SerialScenario, SerialSimulator, Vitals


def line(record: int, grams: int) -> bytes:
    return f"#{record:04d};{grams // 1000:03d}.{grams % 1000 // 10:02d};kg\r\n".encode()


def weighings(*grams: int, first_record: int = 1) -> Callable[[SerialPort], Awaitable[None]]:
    """Each is sent until it is acknowledged."""

    async def run(port: SerialPort) -> None:
        for record, weight in enumerate(grams, first_record):
            await port.write(line(record, weight))
            await _acknowledged(port, record)

    return run


async def _acknowledged(port: SerialPort, record: int) -> None:
    heard = b""
    wanted = f"ACK {record:04d}\r\n".encode()
    while wanted not in heard:
        heard = (heard + await port.read())[-64:]


def weights(*kilograms: str) -> Sequence[Expected]:
    return [Expected(kind=Kind.WEIGHT, values={Name.WEIGHT: Decimal(text)}) for text in kilograms]


def _measure(vitals: Vitals) -> SerialScenario:
    """A patient's weight has nothing to do with the vitals; it only has to differ from the last one's."""
    grams = 60_000 + 100 * vitals.systolic_mmhg
    expected = weights(f"{grams // 1000:03d}.{grams % 1000 // 10:02d}")
    return SerialScenario(title="one weighing", run=weighings(grams), expected=tuple(expected))


async def _garbage(port: SerialPort) -> None:
    await port.write(b"\xff\x00#00;;\r\n")
    await weighings(82_500)(port)


SIMULATOR = SerialSimulator(
    id="acme-scale",
    line=SerialSpec(baud=9600),
    scenarios={
        "two-weighings": SerialScenario(
            title="two weighings", run=weighings(82_500, 61_250), expected=tuple(weights("82.50", "61.25"))
        ),
        "garbage": SerialScenario(
            title="garbage in front", run=_garbage, expected=tuple(weights("82.50")), faulty=True
        ),
    },
    measure=_measure,
)
