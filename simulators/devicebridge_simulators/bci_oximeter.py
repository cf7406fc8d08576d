"""A finger oximeter that streams five-byte packets, written from Shanghai Berry's "BCI Protocol V1.2".

It speaks a hundred times a second (sixty where it is a Contec), and takes no commands. Over Bluetooth LE it says the
same in Microchip's Transparent UART, four packets in a value (com.berry_med.bci.blutooth, Model.java).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from devicebridge.sdk import Kind, Name, Parity, SerialSpec, Status
from devicebridge.sdk.peripheral import Uart, device_information
from devicebridge.sdk.simulation import (
    DualSimulator,
    Expected,
    GattSimulator,
    SerialPort,
    SerialScenario,
    SerialSimulator,
    Vitals,
)

UART = Uart(
    service="49535343-fe7d-4ae5-8fa9-9fafd205e455",
    notify="49535343-1e4d-4bd9-ba61-23c647249616",
    write="49535343-8841-43f4-a8d4-ecbe34729bb3",
    others=(device_information("BM1000C", "SIM-BM-1"),),
)
NO_SPO2, NO_PULSE = 127, 255
PACKETS_PER_WRITE = 10
GARBAGE = bytes.fromhex("0d0a4f4b00ff8080c1330a5a")
Run = Callable[[SerialPort], Awaitable[None]]


@dataclass(frozen=True)
class Moment:
    """What the sensor sees in one packet's time."""

    spo2: int = NO_SPO2
    pulse: int = NO_PULSE
    signal: int = 7
    no_signal: bool = False
    unplugged: bool = False
    no_finger: bool = False
    searching: bool = False


NO_FINGER = Moment(signal=0, no_finger=True)
UNPLUGGED = Moment(signal=0, unplugged=True)
SEARCHING = Moment(searching=True)


def packet(moment: Moment, number: int = 0) -> bytes:
    """`number` is the packet's place in the stream, for the pulse wave."""
    has_pulse = moment.pulse != NO_PULSE
    wave = round(50 + 40 * math.sin(number / 8)) if has_pulse else 0
    return bytes(
        (
            0x80 + moment.signal + 0x10 * moment.no_signal + 0x20 * moment.unplugged + 0x40 * (number % 80 == 1),
            wave,
            wave // 8 + 0x10 * moment.no_finger + 0x20 * moment.searching + 0x40 * (moment.pulse > 127),
            moment.pulse % 128,
            moment.spo2,
        )
    )


def finger(spo2: int, pulse: int, *, packets_per_s: int = 100, steady_s: float = 6) -> list[Moment]:
    """A finger goes in; the search ends; the values settle and hold still."""
    tenth = packets_per_s // 10
    settling = [Moment(max(spo2 - 8 + n, 1), pulse + 24 - 2 * n) for n in range(6) for _ in range(tenth)]
    return [
        *[NO_FINGER] * (2 * tenth),
        *[SEARCHING] * (3 * tenth),
        *settling,
        *[Moment(spo2, pulse)] * round(steady_s * packets_per_s),
    ]


def whole(spo2: int, pulse: int, *, packets_per_s: int = 100, steady_s: float = 6) -> list[Moment]:
    """The same, and the finger out again: for a moment the last numbers stay."""
    tenth = packets_per_s // 10
    gone = [Moment(spo2, pulse, no_finger=True)] * tenth + [NO_FINGER] * (3 * tenth)
    return finger(spo2, pulse, packets_per_s=packets_per_s, steady_s=steady_s) + gone


def stream(moments: Sequence[Moment], packets_per_s: int = 100) -> Run:
    packets = [packet(moment, number) for number, moment in enumerate(moments)]
    pieces = [b"".join(packets[n : n + PACKETS_PER_WRITE]) for n in range(0, len(packets), PACKETS_PER_WRITE)]
    return sending(pieces, PACKETS_PER_WRITE / packets_per_s)


def sending(pieces: Iterable[bytes], every_s: float) -> Run:
    pieces = list(pieces)

    async def run(port: SerialPort) -> None:
        for piece in pieces:
            await port.write(piece)
            await port.pause(every_s)

    return run


def expect(spo2: int, pulse: int, *status: Status) -> Expected:
    return Expected(
        kind=Kind.PULSE_OXIMETRY,
        values={Name.SPO2: Decimal(spo2), Name.PULSE_RATE: Decimal(pulse)},
        status=frozenset(status),
    )


def measure(vitals: Vitals) -> SerialScenario:
    spo2, pulse = vitals.spo2_percent, vitals.pulse_per_min
    return SerialScenario(
        title=f"{spo2} %, {pulse}/min", run=stream(whole(spo2, pulse)), expected=(expect(spo2, pulse),)
    )


def _contec(title: str, moments: Sequence[Moment], *expected: Expected) -> SerialScenario:
    """Sixty packets a second, and one second of steadiness asked for."""
    return SerialScenario(title=title, run=stream(moments, 60), expected=expected, options=dict(CONTEC))


def _brief(spo2: int, pulse: int) -> list[Moment]:
    return whole(spo2, pulse, packets_per_s=60, steady_s=1.5)


def _missing_bytes() -> list[bytes]:
    """Each eleventh packet has lost a byte, so that nothing holds for a second."""
    packets = [packet(moment, number) for number, moment in enumerate(_brief(97, 72))]
    return [data if n % 11 else data[:2] + data[3:] for n, data in enumerate(packets)]


CONTEC = {"packets_per_s": 60, "steady_s": 1}
_HELD = [replace(m, no_finger=m.spo2 != NO_SPO2) for m in _brief(97, 72)]

_SERIAL = SerialSimulator(
    id="bci-oximeter",
    line=SerialSpec(baud=115_200, parity=Parity.NONE),
    scenarios={
        "spot": SerialScenario(
            title="a finger in, the values settle and hold, finger out",
            run=stream(whole(97, 72)),
            expected=(expect(97, 72),),
        ),
        "contec": _contec("the same at sixty packets a second", _brief(98, 64), expect(98, 64)),
        "fast-pulse": _contec("a pulse rate above 127", _brief(93, 152), expect(93, 152)),
        "two-fingers": _contec(
            "two patients, one after the other", _brief(97, 72) + _brief(88, 104), expect(97, 72), expect(88, 104)
        ),
        "falling-spo2": _contec(
            "the bit that is an unplugged probe here and a falling SpO2 there, with good numbers",
            [replace(m, unplugged=m.spo2 == 84) for m in _brief(84, 96)],
            expect(84, 96),
        ),
        "finger-off": _contec("the finger leaves before a second is over", _brief(97, 72)[:80] + [NO_FINGER] * 30),
        "held-values": _contec("numbers without a finger", _HELD),
        "searching": _contec("numbers while it searches", [replace(m, searching=True) for m in _brief(97, 72)]),
        "unplugged": _contec("the probe is not plugged in", [UNPLUGGED] * 120),
        "no-signal": _contec("numbers without a signal", [replace(m, no_signal=True) for m in _brief(97, 72)]),
        "shivering": _contec("the pulse rate never holds still", [Moment(95, 60 + 7 * (n % 5)) for n in range(200)]),
        "garbage": SerialScenario(
            title="noise before it and in the midst",
            run=sending(
                [
                    GARBAGE,
                    *(packet(m, n) for n, m in enumerate(finger(97, 72, packets_per_s=60, steady_s=0.4))),
                    GARBAGE,
                    *(packet(m, n) for n, m in enumerate(_brief(97, 72))),
                ],
                1 / 60,
            ),
            expected=(expect(97, 72),),
            options=dict(CONTEC),
            faulty=True,
        ),
        "missing-bytes": SerialScenario(
            title="bytes are lost all the time",
            run=sending(_missing_bytes(), 1 / 60),
            options=dict(CONTEC),
            faulty=True,
        ),
        "half-a-packet": SerialScenario(
            title="one packet that breaks off", run=sending([packet(Moment(97, 72))[:3]], 1.0), faulty=True
        ),
        "silence": SerialScenario(title="nothing is sent", run=sending([b""], 60.0), faulty=True),
    },
    measure=measure,
    rest=SerialScenario(title="no finger", run=stream([NO_FINGER] * 100)),
)

_OVER_RADIO = ("spot", "fast-pulse", "two-fingers", "finger-off", "searching", "garbage", "missing-bytes")

SIMULATOR = DualSimulator(
    serial=_SERIAL,
    gatt=GattSimulator(
        id="bci-oximeter",
        name="BerryMed",
        advertised=(UART.service,),
        scenarios={f"ble-{name}": UART.scenario(_SERIAL.scenarios[name]) for name in _OVER_RADIO},
        measure=lambda vitals: UART.scenario(measure(vitals)),
    ),
)
