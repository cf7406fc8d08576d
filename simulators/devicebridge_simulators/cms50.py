"""A Contec CMS50D+ with firmware 4.6 on its cable, from Contec's "Communication protocol of pulse oximeter V7.0".

It says nothing until it is asked for its live data, and then speaks sixty times a second, finger or no finger. Beside
it a CMS50D-BT, which does so over Bluetooth LE, once a second, as long as it hears a heartbeat now and then
(tobiasisenberg/OxiVis issue 2; icefest/pulseoxdl, src/exchange.h).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from devicebridge.sdk import Kind, Name, SerialSpec, Status
from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.peripheral import Uart
from devicebridge.sdk.simulation import (
    DualSimulator,
    Expected,
    GattScenario,
    GattSimulator,
    SerialPort,
    SerialScenario,
    SerialSimulator,
    Vitals,
)

PER_S = 60
PACKAGES_PER_WRITE = 6
NO_SPO2, NO_PULSE, NO_PERFUSION = 127, 255, 0xFFFF
LIVE, MODEL, RECORDING_DATE, FEEDBACK, DISCONNECT, RECORDED, RECORDING_TIME = 0x01, 0x02, 0x07, 0x0B, 0x0D, 0x0F, 0x12
START_LIVE, QUERY_MODEL = bytes.fromhex("7d81a1808080808080"), bytes.fromhex("7d81a8808080808080")
START_SHORT, HEARTBEAT_SHORT, HEARTBEAT_EVERY = bytes.fromhex("9b011c"), bytes.fromhex("9a1a"), 5
UART = Uart(service=uuid16(0xFF12), notify=uuid16(0xFF02), write=uuid16(0xFF01))
IS_RECORDING = 3
NIGHT = datetime(2026, 11, 20, 23, 12, 5)
GARBAGE = bytes.fromhex("0d0a4f4b00c1330a5a7e")
BRIEF = {"steady_s": 1}
Run = Callable[[SerialPort], Awaitable[None]]


@dataclass(frozen=True)
class Moment:
    """What the sensor sees in a sixtieth of a second."""

    spo2: int = 0
    pulse: int = 0
    signal: int = 5
    probe_error: bool = False
    too_long_search: bool = False
    searching: bool = False


NO_FINGER = Moment(signal=4, probe_error=True)
SEARCHING = Moment(searching=True)


def package(kind: int, data: Iterable[int]) -> bytes:
    """The type, a byte with the eighth bits, and the lower seven bits of each byte."""
    top, low = 0x80, []
    for place, byte in enumerate(data):
        top |= (byte >= 0x80) * 2**place
        low.append(0x80 | byte % 0x80)
    return bytes((kind, top, *low))


def live(moment: Moment, number: int = 0) -> bytes:
    """`number` is the package's place in the stream, for the pulse wave."""
    wave = round(60 + 50 * math.sin(number / 8)) if moment.pulse else 64
    first = (
        moment.signal + 0x10 * moment.too_long_search + 0x40 * (number % 50 == 1) + 0x80 * moment.probe_error,
        wave + 0x80 * moment.searching,
        0x10 + wave // 10,
    )
    return package(LIVE, (*first, moment.pulse, moment.spo2, NO_PERFUSION % 256, NO_PERFUSION // 256))


def model(text: str) -> bytes:
    """Two packages of six characters."""
    padded = f"{text:12}".encode()
    return package(MODEL, (0, *padded[:6])) + package(MODEL, (0xFF, *padded[6:]))


def recording(start: datetime, seconds: Sequence[tuple[int, int]]) -> bytes:
    """The answers about a recording and its seconds, three in a package."""
    day = (0, 0, start.year // 100, start.year % 100, start.month, start.day)
    time = (0, 0, start.hour, start.minute, start.second, 0)
    threes = [seconds[n : n + 3] for n in range(0, len(seconds), 3)]
    data = [package(RECORDED, [byte for second in three for byte in second]) for three in threes]
    return b"".join((package(RECORDING_DATE, day), package(RECORDING_TIME, time), *data))


def short_measurement(spo2: int, pulse: int) -> bytes:
    """A frame of the Bluetooth and HID models, once a second."""
    frame = bytes((0xEB, 1, 4 + 2 * (pulse > 127), pulse % 128, spo2, 127, 0))
    return frame + bytes((sum(frame) % 128,))


def short_wave(wave: int) -> bytes:
    frame = bytes((0xEB, 0, 3, wave, wave // 8))
    return frame + bytes((sum(frame) % 128,))


def finger(spo2: int, pulse: int, steady_s: float = 1.5) -> list[Moment]:
    """A finger goes in; the search ends; the values settle and hold still."""
    settling = [Moment(max(spo2 - 8 + n, 1), pulse + 24 - 2 * n) for n in range(6) for _ in range(6)]
    return [*[NO_FINGER] * 12, *[SEARCHING] * 12, *settling, *[Moment(spo2, pulse)] * round(steady_s * PER_S)]


def whole(spo2: int, pulse: int, steady_s: float = 1.5) -> list[Moment]:
    """The same, and the finger out again: for a moment the last numbers stay."""
    return [*finger(spo2, pulse, steady_s), *[Moment(spo2, pulse, probe_error=True)] * 6, *[NO_FINGER] * 18]


def stream(moments: Sequence[Moment], before: bytes = b"") -> Run:
    """Once it is asked; `before` comes first."""
    sent = [live(moment, number) for number, moment in enumerate(moments)]
    pieces = [b"".join(sent[n : n + PACKAGES_PER_WRITE]) for n in range(0, len(sent), PACKAGES_PER_WRITE)]
    return answering([before, *pieces] if before else pieces, PACKAGES_PER_WRITE / PER_S)


def answering(pieces: Iterable[bytes], every_s: float, start: bytes = START_LIVE) -> Run:
    """Waits for the request, answers the question for the model if there was one, and sends the pieces."""
    pieces = list(pieces)

    async def run(port: SerialPort) -> None:
        heard = b""
        while start not in heard:
            heard = (heard + await port.read())[-64:]
        if QUERY_MODEL in heard:
            await port.write(model("50D(A)+"))
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
        title=f"{spo2} %, {pulse}/min", run=stream(whole(spo2, pulse, 6)), expected=(expect(spo2, pulse),)
    )


def _brief(title: str, moments: Sequence[Moment], *expected: Expected) -> SerialScenario:
    """One second of steadiness is asked for."""
    return SerialScenario(title=title, run=stream(moments), expected=expected, options=dict(BRIEF))


def seconds(*values: tuple[int, int]) -> Run:
    """SpO2 and pulse rate of each second of a CMS50D-BT, which wants a heartbeat after every five."""

    async def run(port: SerialPort) -> None:
        assert await port.read() == START_SHORT
        for number, value in enumerate(values, 1):
            await port.write(short_measurement(*value))
            await port.pause(1.0)
            if number % HEARTBEAT_EVERY == 0:
                assert await port.read() == HEARTBEAT_SHORT

    return run


def short_finger(spo2: int, pulse: int, steady_s: int = 6) -> list[tuple[int, int]]:
    """No finger, one that settles and holds still, no finger."""
    off = (NO_SPO2, NO_PULSE)
    return [off, (spo2 - 6, pulse + 19), (spo2 - 3, pulse + 14), *[(spo2, pulse)] * steady_s, off]


def _over_radio(title: str, values: Sequence[tuple[int, int]], *expected: Expected) -> GattScenario:
    return UART.scenario(SerialScenario(title=f"CMS50D-BT: {title}", run=seconds(*values), expected=expected))


def _measure_over_radio(vitals: Vitals) -> GattScenario:
    spo2, pulse = vitals.spo2_percent, vitals.pulse_per_min
    return _over_radio(f"{spo2} %, {pulse}/min", short_finger(spo2, pulse), expect(spo2, pulse))


async def _damaged(port: SerialPort) -> None:
    """The pulse rate of every other second arrives with a bit turned over."""
    await port.read()
    for number in range(12):
        frame = short_measurement(97, 72)
        await port.write(frame if number % 2 else frame[:3] + bytes((frame[3] ^ 8,)) + frame[4:])


def _short_frames() -> list[bytes]:
    """Seven seconds: no finger, four settling and five steady, no finger."""
    seconds = [(NO_SPO2, NO_PULSE), (88, 150), (92, 145), *[(96, 131)] * 6, (NO_SPO2, NO_PULSE)]
    return [b"".join(short_wave(40 + n) for n in range(20)) + short_measurement(*second) for second in seconds]


def _missing_bytes() -> list[bytes]:
    """Each eleventh package has lost a byte, so that nothing holds for a second."""
    sent = [live(moment, number) for number, moment in enumerate(whole(97, 72))]
    return [data if n % 11 else data[:4] + data[5:] for n, data in enumerate(sent)]


_SERIAL = SerialSimulator(
    id="cms50",
    line=SerialSpec(baud=115_200),
    scenarios={
        "spot": SerialScenario(
            title="a finger in, the values settle and hold, finger out",
            run=stream(whole(97, 72, 6)),
            expected=(expect(97, 72),),
        ),
        "fast-pulse": _brief("a pulse rate above 127", whole(93, 152), expect(93, 152)),
        "two-fingers": _brief(
            "two patients, one after the other", whole(97, 72) + whole(88, 104), expect(97, 72), expect(88, 104)
        ),
        "finger-off": _brief("the finger leaves before a second is over", finger(97, 72)[:100] + [NO_FINGER] * 30),
        "held-values": _brief("numbers with a probe error", [replace(m, probe_error=True) for m in whole(97, 72)]),
        "searching": _brief("numbers while it searches", [replace(m, searching=True) for m in whole(97, 72)]),
        "long-search": _brief("it has searched too long", [replace(SEARCHING, too_long_search=True)] * 90),
        "shivering": _brief("the pulse rate never holds still", [Moment(95, 60 + 7 * (n % 5)) for n in range(180)]),
        "short-frames": SerialScenario(
            title="the frames of the Bluetooth and HID models",
            run=answering(_short_frames(), 1.0),
            expected=(expect(96, 131),),
        ),
        "echo": SerialScenario(
            title="an adapter that sends the host's own bytes back",
            run=stream(whole(97, 72), before=QUERY_MODEL + START_LIVE),
            expected=(expect(97, 72),),
            options=dict(BRIEF),
        ),
        "recording": SerialScenario(
            title="it is recording and refuses",
            run=answering([package(FEEDBACK, (0xA1, IS_RECORDING))], 1.0),
        ),
        "download": SerialScenario(
            title="a night's recording, which another program has asked for: no spot check",
            run=answering([recording(NIGHT, [(0, 0)] * 6 + [(96, 60)] * 90)], 1.0),
            options=dict(BRIEF),
        ),
        "switched-off": SerialScenario(
            title="switched off in the midst",
            run=answering([*map(live, finger(97, 72, 0.5)), package(DISCONNECT, (1,))], 1 / PER_S),
            options=dict(BRIEF),
        ),
        "garbage": SerialScenario(
            title="noise before it and in the midst",
            run=answering(
                [GARBAGE, *map(live, finger(97, 72, 0.4)), GARBAGE, *map(live, whole(97, 72))],
                1 / PER_S,
            ),
            expected=(expect(97, 72),),
            options=dict(BRIEF),
            faulty=True,
        ),
        "missing-bytes": SerialScenario(
            title="bytes are lost all the time",
            run=answering(_missing_bytes(), 1 / PER_S),
            options=dict(BRIEF),
            faulty=True,
        ),
        "half-a-package": SerialScenario(
            title="one package that breaks off",
            run=answering([live(Moment(97, 72))[:6]], 1.0),
            faulty=True,
        ),
        "silence": SerialScenario(title="nothing is sent", run=answering([b""], 60.0), faulty=True),
    },
    measure=measure,
    rest=SerialScenario(title="no finger", run=stream([NO_FINGER] * PER_S)),
)

SIMULATOR = DualSimulator(
    serial=_SERIAL,
    gatt=GattSimulator(
        id="cms50",
        name="SpO208",
        advertised=(UART.service,),
        scenarios={
            "ble-spot": _over_radio("finger in, finger out", short_finger(97, 72), expect(97, 72)),
            "ble-fast-pulse": _over_radio("a pulse rate above 127", short_finger(96, 131), expect(96, 131)),
            "ble-two-fingers": _over_radio(
                "two patients, one after the other",
                short_finger(97, 72) + short_finger(88, 104),
                expect(97, 72),
                expect(88, 104),
            ),
            "ble-long": _over_radio("a finger for half a minute", short_finger(97, 72, 30), expect(97, 72)),
            "ble-too-brief": _over_radio("four steady seconds are not enough", short_finger(97, 72, 4)),
            "ble-no-finger": _over_radio("nobody", [(NO_SPO2, NO_PULSE)] * 10),
            "ble-with-waves": UART.scenario(
                SerialScenario(
                    title="CMS50D-BT: waves between the seconds",
                    run=answering(_short_frames(), 1.0, START_SHORT),
                    expected=(expect(96, 131),),
                )
            ),
            "ble-damaged": UART.scenario(
                SerialScenario(title="CMS50D-BT: every other second damaged", run=_damaged, faulty=True)
            ),
        },
        measure=_measure_over_radio,
    ),
)
