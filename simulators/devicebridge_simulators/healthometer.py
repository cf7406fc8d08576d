"""A Health o meter Professional scale, written from Pelstar's "Communication Protocols" (2023-07-11).

It repeats its ESC packet once a second while the weight is locked; older firmware and the baby scales (binary frames at
2400 baud, each value twice) speak every second whatever is on them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, SerialSpec, Status
from devicebridge.sdk.simulation import Expected, SerialPort, SerialScenario, SerialSimulator, Vitals

LOCKED_S = 8
SECOND_S = 1.0
GARBAGE = bytes.fromhex("1b5736ff00361b1b450d0a028000")
Run = Callable[[SerialPort], Awaitable[None]]


@dataclass(frozen=True)
class Shown:
    """What the display shows, as the packet's fields. metric: kg and cm, else lb and in. digits: decimals of each."""

    weight: str = "0.0"
    height: str = "0.0"
    bmi: str = "0.0"
    tare: str | None = "0.0"
    patient: str = "0000000000"
    metric: bool = False


EMPTY = Shown()


def packet(shown: Shown, *, first: bytes = b"\x1b") -> bytes:
    """R, I, W, H, B, T (not all models), N, E, each behind an ESC; the first may be another character."""
    fields = ["R", "I" + shown.patient, "W" + shown.weight, "H" + shown.height, "B" + shown.bmi]
    if shown.tare is not None:
        fields.append("T" + shown.tare)
    fields += ["Nm" if shown.metric else "Nc", "E"]
    return first + b"\x1b".join(field.encode() for field in fields)


def binary(weight: str, *, metric: bool = False, start: int = 2) -> bytes:
    return bytes((start, 0x82 if metric else 0x80, 0xD7, 0xE4)) + weight.encode() + b"\r"


def sending(pieces: Iterable[bytes], every_s: float = SECOND_S) -> Run:
    pieces = list(pieces)

    async def run(port: SerialPort) -> None:
        for piece in pieces:
            await port.write(piece)
            await port.pause(every_s)

    return run


def locked(shown: Shown, seconds: int = LOCKED_S) -> list[bytes]:
    return [packet(shown)] * seconds


def numbered(shown: Shown) -> list[bytes]:
    """A scale with an L in its serial number: from the second packet on a 6 stands for the first ESC."""
    return [packet(shown), *[packet(shown, first=b"6")] * (LOCKED_S - 1)]


def before_lock(shown: Shown) -> list[bytes]:
    """Older firmware: the empty scale, the weight on its way up, the weight, the empty scale."""
    rising = [Shown(weight=text) for text in ("12.4", "88.8", "190.2", "183.9")]
    return [packet(s) for s in (EMPTY, *rising, *[shown] * LOCKED_S, EMPTY, EMPTY)]


def baby(*weights: str, metric: bool = False) -> list[bytes]:
    """One value a second, each sent twice."""
    return [binary(weight, metric=metric) * 2 for weight in weights]


def weight(value: str | Absent, bmi: str | None = None, *status: Status) -> Expected:
    values: dict[Name, Decimal | Absent] = {Name.WEIGHT: value if isinstance(value, Absent) else Decimal(value)}
    if bmi:
        values[Name.BMI] = Decimal(bmi)
    return Expected(kind=Kind.WEIGHT, values=values, status=frozenset(status))


def bmi(value: str) -> Expected:
    return Expected(kind=Kind.WEIGHT, values={Name.BMI: Decimal(value)})


def height(value: str | Absent) -> Expected:
    return Expected(kind=Kind.HEIGHT, values={Name.HEIGHT: value if isinstance(value, Absent) else Decimal(value)})


def measure(vitals: Vitals) -> SerialScenario:
    """A weight that has nothing to do with the vitals, but differs from the last patient's."""
    text = f"{vitals.systolic_mmhg + 60}.{vitals.pulse_per_min % 10}"
    return _scenario(f"{text} lb", locked(Shown(weight=text)), weight(text))


def _scenario(title: str, pieces: Iterable[bytes], *expected: Expected, faulty: bool = False) -> SerialScenario:
    return SerialScenario(title=title, run=sending(pieces), expected=expected, faulty=faulty)


_ADULT = Shown(weight="184.5", height="70.0", bmi="26.4", patient="1234567890")
_METRIC = Shown(weight="83.70", height="177.8", bmi="26.4", tare=None, metric=True)
_TYPED_LATER = Shown(weight="184.5")
_CHILD = Shown(weight="62.2")
_BABY_UP = ("0.000", "0.000", "1.720", "5.310", "4.870")

SIMULATOR = SerialSimulator(
    id="healthometer",
    line=SerialSpec(baud=9600),
    scenarios={
        "weight-height-bmi": _scenario(
            "weight, height and BMI, with a patient's number typed in",
            locked(_ADULT),
            weight("184.5", "26.4"),
            height("70.0"),
        ),
        "weight": _scenario("weight alone", locked(_TYPED_LATER), weight("184.5")),
        "metric": _scenario("kilograms and centimetres", locked(_METRIC), weight("83.70", "26.4"), height("177.8")),
        "l-variant": _scenario(
            "a scale with an L in its serial number", numbered(_ADULT), weight("184.5", "26.4"), height("70.0")
        ),
        "height-typed-later": _scenario(
            "the height is typed in while the weight is locked",
            locked(_TYPED_LATER) + locked(_ADULT),
            weight("184.5"),
            bmi("26.4"),
            height("70.0"),
        ),
        "before-lock": _scenario(
            "older firmware, which sends before the weight is locked",
            before_lock(_ADULT),
            weight("184.5", "26.4"),
            height("70.0"),
        ),
        "two-patients": _scenario(
            "older firmware: two patients, one after the other",
            before_lock(_TYPED_LATER) + before_lock(_CHILD),
            weight("184.5"),
            weight("62.2"),
        ),
        "next-patient-at-once": _scenario(
            "another weight is locked, and the empty scale was never sent",
            locked(_TYPED_LATER) + locked(_CHILD),
            weight("184.5"),
            weight("62.2"),
        ),
        "one-foot-first": _scenario(
            "one foot rests on the scale before the other",
            locked(Shown(weight="71.0"), 4) + locked(_TYPED_LATER),
            weight("71.0"),
            weight("184.5"),
        ),
        "never-steady": _scenario(
            "the patient will not stand still", [packet(Shown(weight=f"18{n % 4}.{n % 10}")) for n in range(20)]
        ),
        "tared": _scenario(
            "with a tare", locked(Shown(weight="81.30", tare="12.40", metric=True)), weight("81.30", None, Status.TARED)
        ),
        "overload": _scenario(
            "more than the scale can weigh",
            locked(Shown(weight="999.99")),
            weight(Absent.ERROR, None, Status.OVERLOAD),
        ),
        "garbage-height": _scenario(
            "600KL with old firmware: the height is garbage, another number each time",
            [packet(Shown(weight="184.5", height=f"{37 * n % 83 + 1}.{n}")) for n in range(LOCKED_S)],
            weight("184.5"),
        ),
        "height-is-no-number": _scenario(
            "600KL with old firmware: the height is no number",
            locked(Shown(weight="184.5", height="?#")),
            weight("184.5"),
            height(Absent.ERROR),
        ),
        "baby": SerialScenario(
            title="baby scale (2400 baud): it speaks all the time, each value twice",
            run=sending(baby(*_BABY_UP, *["4.990"] * 5, "0.000", "0.000", metric=True)),
            expected=(weight("4.990"),),
        ),
        "baby-wriggles": SerialScenario(
            title="baby scale: the baby does not lie still",
            run=sending(baby("0.0", *(f"1{n % 3}.{n % 7}" for n in range(20)), "0.0")),
        ),
        "2595kl": SerialScenario(
            title="2595KL (2400 baud): one patient",
            run=sending(baby("0.0", *["123.4"] * 5, "0.0")),
            expected=(weight("123.4"),),
        ),
        "garbage": SerialScenario(
            title="noise before and in the midst",
            run=sending([GARBAGE, *locked(_ADULT, 2), GARBAGE, *locked(_ADULT)]),
            expected=(weight("184.5", "26.4"), height("70.0")),
            faulty=True,
        ),
        "half-a-packet": SerialScenario(
            title="a packet that breaks off", run=sending([packet(_ADULT)[:23]] * 5), faulty=True
        ),
        "silence": SerialScenario(title="nothing is sent", run=sending([b""], 60.0), faulty=True),
    },
    measure=measure,
)
