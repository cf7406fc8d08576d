"""A barcode scanner on a serial line: the code as text, with the prefix and the suffix it is set up for.

The prefix STX SOH DC2 is that of the Welch Allyn Spot Vital Signs LXi (Service Manual, p. 39).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from devicebridge.sdk import SerialSpec
from devicebridge.sdk.simulation import SerialPort, SerialScenario, SerialSimulator

WRISTBAND, SLIP = "MRN0012345", "V-2026-11-21-0042"
LXI_PREFIX = b"\x02\x01\x12"
CR, LF, CR_LF = b"\r", b"\n", b"\r\n"


def plain(code: str, suffix: bytes = CR_LF) -> bytes:
    return code.encode("ascii") + suffix


def lxi(code: str) -> bytes:
    return LXI_PREFIX + plain(code)


def scanning(*codes: bytes) -> Callable[[SerialPort], Awaitable[None]]:
    """One code every other second."""

    async def run(port: SerialPort) -> None:
        for code in codes:
            await port.write(code)
            await port.pause(2.0)

    return run


SIMULATOR = SerialSimulator(
    id="barcode",
    line=SerialSpec(baud=9600),
    scenarios={
        "wristband": SerialScenario(title="a wristband is scanned", run=scanning(plain(WRISTBAND))),
        "two-codes": SerialScenario(title="a wristband, then a slip", run=scanning(plain(WRISTBAND), plain(SLIP))),
        "cr": SerialScenario(title="codes that end in CR alone", run=scanning(plain(WRISTBAND, CR), plain(SLIP, CR))),
        "lf": SerialScenario(title="codes that end in LF alone", run=scanning(plain(WRISTBAND, LF), plain(SLIP, LF))),
        "lxi": SerialScenario(
            title="in the frame of the Spot Vital Signs LXi", run=scanning(lxi(WRISTBAND), lxi(SLIP))
        ),
        "too-long": SerialScenario(title="a text that is no code", run=scanning(plain("0" * 500)), faulty=True),
        "half-a-code": SerialScenario(
            title="a code without its end, then a whole one", run=scanning(b"MRN00", plain(SLIP)), faulty=True
        ),
        "noise": SerialScenario(
            title="a code with a damaged character", run=scanning(b"MRN\x9212\r\n", plain(SLIP)), faulty=True
        ),
        "silence": SerialScenario(title="nothing is scanned", run=scanning(b""), faulty=True),
    },
    rest=SerialScenario(title="nothing is scanned", run=scanning(b"")),
)
