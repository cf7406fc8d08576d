"""A OneTouch Ultra2 on its cable, written from the trace of an Ultra (Doume/Glucometer, Documents/trace_ultra.txt), the
records of an Ultra2 (tidepool-org/uploader, oneTouchUltra2.js) and the fields in glucometerutils' otultra2.py.

It answers DM@, DMF, DMP and DM?, dumps its memory newest first, and is taken off the cable after the dump.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, Origin, SerialSpec, Status
from devicebridge.sdk.simulation import Expected, SerialPort, SerialScenario, SerialSimulator, Vitals

CLOCK = datetime(2026, 11, 21, 14, 30, 15)
SERIAL = "GMF600DCY"
ANSWER_DELAY_S = 0.1
SECONDS_PER_RECORD = 0.065  # 62 characters at 9600 baud
DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
GARBAGE = b"\x00\xfe\x11P \x0d" * 4
COMMANDS = (b"\x11\rDM@", b"\x11\rDMF", b"\x11\rDMP", b"\x11\rDM?")
Run = Callable[[SerialPort], Awaitable[None]]


@dataclass(frozen=True)
class Result:
    """One record. `shown`: six characters. `when` None: the meter's clock was not set."""

    shown: str
    when: datetime | None
    meal: str = "N"
    comment: str = "00"


def line(text: str) -> bytes:
    return f"{text} {sum(map(ord, text)) % 65_536:04X}\r\n".encode()


def stamp(when: datetime | None) -> str:
    """Day, date and time, as quoted fields."""
    if when is None:
        return '"   ","00/00/00","00:00:00   "'
    return f'"{DAYS[when.weekday()]}",{when:"%m/%d/%y","%H:%M:%S   "}'


def record(result: Result) -> bytes:
    return line(f'P {stamp(result.when)},"{result.shown}","{result.meal}","{result.comment}", 00')


def dump(results: Sequence[Result]) -> list[bytes]:
    """Header and records, newest first."""
    return [line(f'P {len(results):03d},"{SERIAL}","MG/DL "'), *map(record, results)]


def meter(lines: Sequence[bytes], clock: datetime | None = CLOCK, *, serial: str = SERIAL) -> Run:
    """Answers until it has dumped its memory."""
    answers = {
        COMMANDS[0]: line(f'@ "{serial}"'),
        COMMANDS[1]: line(f"F {stamp(clock)}"),
        COMMANDS[3]: line("?P02.00.00 30/08/06"),
    }

    async def run(port: SerialPort) -> None:
        heard = b""
        while True:
            heard += await port.read()
            command = next((command for command in COMMANDS if command in heard), None)
            if command is None:
                continue
            heard = heard.partition(command)[2]
            await port.pause(ANSWER_DELAY_S)
            if command == COMMANDS[2]:
                await _send(port, lines)
                return
            await port.write(answers[command])

    return run


async def _send(port: SerialPort, lines: Sequence[bytes]) -> None:
    for piece in lines:
        await port.write(piece)
        await port.pause(SECONDS_PER_RECORD)


def glucose(value: int | Absent, *status: Status, when: datetime | None = CLOCK) -> Expected:
    return Expected(
        kind=Kind.GLUCOSE,
        values={Name.GLUCOSE: value if isinstance(value, Absent) else Decimal(value)},
        status=frozenset(status),
        device_time=when,
        origin=Origin.STORED,
    )


def minutes_ago(minutes: int, now: datetime = CLOCK) -> datetime:
    return now - timedelta(minutes=minutes)


def mg_dl(value: int, when: datetime | None, meal: str = "N") -> Result:
    return Result(f"  {value:03d} ", when, meal)


def measure(vitals: Vitals) -> SerialScenario:
    """A test a minute ago, then onto the cable with the meter. A patient's glucose is not among the vitals."""
    value, when = 60 + vitals.systolic_mmhg // 2, vitals.local_time.replace(microsecond=0) - timedelta(minutes=1)
    results = [mg_dl(value, when), mg_dl(101, when - timedelta(hours=3))]
    return SerialScenario(
        title=f"{value} mg/dL a minute ago",
        run=meter(dump(results), vitals.local_time),
        expected=(glucose(value, when=when),),
    )


_STORED = [mg_dl(90 + n, minutes_ago(60 * n), "NBA"[n % 3]) for n in range(1, 41)]
_VISIT = [mg_dl(105, minutes_ago(2), "B"), mg_dl(98, minutes_ago(9)), *_STORED[:3]]
_ALL = {"first_download": "all"}
_ODD = [
    Result(" HIGH ", minutes_ago(1)),
    Result("  018 ", minutes_ago(2)),
    Result("C 108 ", minutes_ago(3)),
    Result("  105?", minutes_ago(4)),
    Result("! 000 ", minutes_ago(5)),
]
_EARLY = datetime(2006, 1, 1, 0, 12, 0)

SIMULATOR = SerialSimulator(
    id="onetouch-ultra2",
    line=SerialSpec(baud=9600),
    scenarios={
        "visit": SerialScenario(
            title="two tests of this visit and three of last night: only this visit's are sent",
            run=meter(dump(_VISIT)),
            expected=(glucose(98, when=minutes_ago(9)), glucose(105, when=minutes_ago(2))),
        ),
        "backlog": SerialScenario(
            title="forty stored tests, all wanted",
            run=meter(dump(_STORED)),
            expected=tuple(glucose(90 + n, when=minutes_ago(60 * n)) for n in range(40, 0, -1)),
            options=_ALL,
        ),
        "nothing-recent": SerialScenario(title="forty stored tests, none of this visit", run=meter(dump(_STORED))),
        "odd-results": SerialScenario(
            title="high, low, control solution, a record with a parity error, a strip that was not read",
            run=meter(dump(_ODD)),
            expected=(
                glucose(Absent.ERROR, Status.DEVICE_ERROR, when=minutes_ago(5)),
                glucose(Absent.ERROR, Status.DEVICE_ERROR, when=minutes_ago(4)),
                glucose(108, Status.CONTROL_SOLUTION, when=minutes_ago(3)),
                glucose(20, Status.RESULT_BELOW_RANGE, when=minutes_ago(2)),
                glucose(600, Status.RESULT_ABOVE_RANGE, when=minutes_ago(1)),
            ),
            options=_ALL,
        ),
        "wrong-clock": SerialScenario(
            title="the clock stands in 2006: the meter's own times tell that the test is of this visit",
            run=meter(dump([mg_dl(105, minutes_ago(2, _EARLY))]), _EARLY),
            expected=(glucose(105, Status.CLOCK_UNSET, when=minutes_ago(2, _EARLY)),),
        ),
        "unset-clock": SerialScenario(
            title="the clock was never set",
            run=meter(dump([mg_dl(105, None)]), None),
            expected=(glucose(105, Status.CLOCK_UNSET, when=None),),
            options=_ALL,
        ),
        "empty": SerialScenario(title="no test in memory", run=meter(dump([]))),
        "garbage": SerialScenario(
            title="noise while the plug goes in and within the dump",
            run=meter([GARBAGE, *dump(_VISIT)]),
            expected=(glucose(98, when=minutes_ago(9)), glucose(105, when=minutes_ago(2))),
            faulty=True,
        ),
        "spoilt-line": SerialScenario(
            title="a digit of one record is altered on the way",
            run=meter([*dump(_VISIT)[:2], record(_VISIT[1]).replace(b"098", b"998"), *map(record, _VISIT[2:])]),
            faulty=True,
        ),
        "half-a-frame": SerialScenario(
            title="pulled in the midst of a record", run=meter([*dump(_VISIT)[:2], record(_VISIT[1])[:30]]), faulty=True
        ),
        "another-meter": SerialScenario(
            title="the dump is of another meter than was asked for its serial number",
            run=meter(dump(_VISIT), serial="ABC123XYY"),
            faulty=True,
        ),
    },
    measure=measure,
)
