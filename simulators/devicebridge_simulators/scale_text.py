"""Scales that print a line, written from the manuals of Detecto (solo, apex), Rice Lake (350-10) and Tanita.

All but the apex speak when a weighing is finished or a key is pressed; the apex, set to continuous output, sends SMA
lines all the time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, SerialSpec, Status
from devicebridge.sdk.simulation import Expected, SerialPort, SerialScenario, SerialSimulator, Vitals

CLOCK = datetime(2026, 11, 21, 14, 30)
SMA_EVERY_S = 0.25
GARBAGE = b"\x00\xff 5.0 lb\xf8{0,16\x0b"
Run = Callable[[SerialPort], Awaitable[None]]


def solo(pounds: str, feet: int, inches: str, bmi: str, when: datetime = CLOCK) -> bytes:
    """Time, date, BMI, height, weight."""
    return f"{when:%H:%M},{when:%m/%d/%y},{bmi},{feet}'{inches}\",{pounds}lb\r".encode()


def rice_lake(weight: str, unit: str = "lb", mode: str = "Gross") -> bytes:
    """Nine characters of weight, two of unit, five of mode."""
    return f"{weight:>9} {unit} {mode:^5} \r\n".encode()


def rice_lake_bmi(weight: str, tare: str, net: str, height: str, bmi: str) -> list[bytes]:
    lines = (
        f"GROSS WEIGHT {weight} LB",
        f"TARE WEIGHT {tare} LB",
        f"NET WEIGHT {net} LB",
        f"PATIENT HEIGHT {height} FT",
        f"PATIENT BMI {bmi}",
    )
    return [line.encode() + b"\r\n" for line in lines]


def tanita(model: str, *fields: str) -> bytes:
    """Keys and values, then the sum of every character before the key CS."""
    text = ",".join(("{0,16,~0,1,~1,1,~2,1,MO", f'"{model}"', *fields, ""))
    return text.encode() + b"CS,%02X\r\n" % (sum(text.encode()) % 256)


def sma(weight: str, *, state: str = " ", mode: str = "G", motion: str = " ", unit: str = "lb") -> bytes:
    return f"\n{state}1{mode}{motion} {weight:>10}{unit:<3}\r".encode()


def stepping_on(weight: str) -> list[bytes]:
    """The apex: empty, moving, settled, moving, empty."""
    empty, moving = sma("0.0", state="Z"), [sma(text, motion="M") for text in ("41.6", "160.2", "183.0")]
    return [empty] * 4 + moving + [sma(weight)] * 12 + moving[::-1] + [empty] * 4


def sending(pieces: Iterable[bytes], every_s: float) -> Run:
    pieces = list(pieces)

    async def run(port: SerialPort) -> None:
        for piece in pieces:
            await port.write(piece)
            await port.pause(every_s)

    return run


def weight(value: str | Absent, bmi: str | None = None, *status: Status, when: datetime | None = None) -> Expected:
    values: dict[Name, Decimal | Absent] = {Name.WEIGHT: value if isinstance(value, Absent) else Decimal(value)}
    if bmi:
        values[Name.BMI] = Decimal(bmi)
    return Expected(kind=Kind.WEIGHT, values=values, status=frozenset(status), device_time=when)


def height(value: str | Absent, when: datetime | None = None) -> Expected:
    number = value if isinstance(value, Absent) else Decimal(value)
    return Expected(kind=Kind.HEIGHT, values={Name.HEIGHT: number}, device_time=when)


def measure(vitals: Vitals) -> SerialScenario:
    """A weight that has nothing to do with the vitals, but differs from the last patient's."""
    pounds = f"{vitals.systolic_mmhg + 60}.{vitals.pulse_per_min % 10}"
    when = vitals.local_time.replace(second=0, microsecond=0)
    bmi = f"{float(pounds) * 703.07 / 67.5**2:.1f}"
    line = solo(pounds, 5, "07.5", bmi, when)
    expected = (weight(pounds, bmi, when=when), height("67.5", when))
    return SerialScenario(title=f"solo: {pounds} lb", run=sending([line], 2.0), expected=expected)


def _prints(title: str, pieces: Iterable[bytes], *expected: Expected, faulty: bool = False) -> SerialScenario:
    return SerialScenario(title=title, run=sending(pieces, 1.0), expected=expected, faulty=faulty)


def _stream(title: str, pieces: Iterable[bytes], *expected: Expected, faulty: bool = False) -> SerialScenario:
    return SerialScenario(title=title, run=sending(pieces, SMA_EVERY_S), expected=expected, faulty=faulty)


_SOLO = solo("184.5", 5, "10.0", "26.5")
_WB_3000 = tanita("WB-3000", "Hm", "177.8", "Wk", "83.7", "MI", "26.5")
_CHILD = tanita("WB-3000", "Hm", "135.5", "Wk", "31.2", "MI", "17.0")
_SC_330 = tanita(
    "SC-330", "SN", '"00000007"', "ID", '"0000000042"', "Da", '"21/11/2026"', "TI", '"14:30"', "Wk", "61.4"
)

SIMULATOR = SerialSimulator(
    id="scale-text",
    line=SerialSpec(baud=9600),
    scenarios={
        "solo": _prints("Detecto solo", [_SOLO], weight("184.5", "26.5", when=CLOCK), height("70.0", CLOCK)),
        "solo-weight-only": _prints(
            "Detecto solo: no height was typed in", [solo("184.5", 0, "00.0", "0.0")], weight("184.5", when=CLOCK)
        ),
        "solo-empty": _prints(
            "Detecto solo: the key was pressed, and nobody stood on it",
            [solo("0.0", 0, "00.0", "0.0")],
            weight(Absent.ERROR, when=CLOCK),
        ),
        "wrong-clock": _prints(
            "Detecto solo: the clock says a day that there is none",
            [_SOLO.replace(b"11/21/26", b"00/00/00")],
            weight("184.5", "26.5", Status.CLOCK_UNSET),
            height("70.0"),
        ),
        "rice-lake": _prints(
            "Rice Lake 350-10: two patients in pounds, one in kilograms",
            [rice_lake("184.5"), rice_lake("215.0"), rice_lake("97.5", "kg")],
            weight("184.5"),
            weight("215.0"),
            weight("97.5"),
        ),
        "rice-lake-net": _prints(
            "Rice Lake 350-10: with the wheelchair's tare, and without anybody in it",
            [rice_lake("151.0", mode="Net"), rice_lake("-10.0", mode="Net")],
            weight("151.0", None, Status.TARED),
            weight(Absent.ERROR, None, Status.TARED),
        ),
        "rice-lake-bmi": _prints(
            "Rice Lake 350-10: while the body-mass index is shown",
            rice_lake_bmi("215.0", "0.0", "215.0", "6-01.0", "28.4"),
            weight("215.0", "28.4"),
            height("73.0"),
        ),
        "tanita": _prints(
            "Tanita WB-3000, with the signal it sends by mistake",
            [_WB_3000, b"\xf0", _CHILD, b"\xf0"],
            weight("83.7", "26.5"),
            height("177.8"),
            weight("31.2", "17.0"),
            height("135.5"),
        ),
        "tanita-clock": _prints("Tanita SC-330, which has a clock", [_SC_330], weight("61.4", when=CLOCK)),
        "tanita-stones": _prints("Tanita HD-351BT in stones", [tanita("HD-351BT", "Ws", "12.05.5")], weight("173.5")),
        "apex": _stream(
            "Detecto apex, all the time: two patients",
            stepping_on("184.5") + stepping_on("140.0"),
            weight("184.5"),
            weight("140.0"),
        ),
        "apex-moving": _stream(
            "Detecto apex: the patient will not stand still", [sma(f"18{n % 5}.0", motion="M") for n in range(30)]
        ),
        "apex-over-capacity": _stream(
            "Detecto apex: more than it can weigh",
            [sma("605.0", state="O")] * 6 + [sma("0.0", state="Z")] * 2,
            weight(Absent.ERROR, None, Status.OVERLOAD),
        ),
        "checksum-errors": _prints(
            "Tanita: a digit is not what the sum says", [_WB_3000.replace(b"83.7", b"88.7")], faulty=True
        ),
        "garbage": _prints(
            "noise before a line",
            [GARBAGE, _WB_3000],
            weight("83.7", "26.5"),
            height("177.8"),
            faulty=True,
        ),
        "missing-digits": _prints(
            "Detecto solo and Tanita BD-815, which have no checksum: a digit of the weight is lost",
            [_SOLO.replace(b"184.5", b"84.5"), b'{0,16,~0,1,MO,"BD-815",Wg,972\r\n'],
            faulty=True,
        ),
        "half-a-line": _prints("a line that breaks off", [_SOLO[:27]], faulty=True),
        "silence": SerialScenario(title="nothing is sent", run=sending([b""], 60.0), faulty=True),
    },
    measure=measure,
)
