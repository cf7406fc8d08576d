"""Abbott's meters on their cable, written from glucometers-tech/glucometer-protocols (freestyle-lite.md and
freestyle-optium.md) and the flags in tidepool-org/uploader's abbottPrecisionXtra.js.

A Precision Xtra answers `$colq` and `$xmem`, a Lite `mem`; each is taken off the cable after it has given its memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, Origin, SerialSpec, Status
from devicebridge.sdk.simulation import Expected, SerialPort, SerialScenario, SerialSimulator, Vitals

CLOCK = datetime(2026, 11, 21, 14, 30, 15)
XTRA_SERIAL, LITE_SERIAL = "XCGM123-A1234", "DAMH042-B5678"
ANSWER_DELAY_S = 0.05
PIECE_BYTES, PIECE_S = 96, 0.05  # 19,200 baud
MONTHS = ("Jan ", "Feb ", "Mar ", "Apr ", "May ", "June", "July", "Aug ", "Sep ", "Oct ", "Nov ", "Dec ")
GARBAGE = b"\xff\x00\x7fCMD\x00\r\n\x13"
Run = Callable[[SerialPort], Awaitable[None]]


@dataclass(frozen=True)
class Result:
    """shown: three characters."""

    shown: str
    when: datetime
    is_ketone: bool = False
    flags: int = 0


def date(when: datetime) -> str:
    return f"{MONTHS[when.month - 1]} {when:%d %Y %H:%M}"


def xtra_row(result: Result) -> str:
    return f"{result.shown}  {date(result.when)} {'K' if result.is_ketone else 'G'} 0x{result.flags:02X}"


def lite_row(result: Result) -> str:
    return f"{result.shown}  {date(result.when)} 20 0x{result.flags:02X}"


def memory(serial: str, version: str, clock: datetime, rows: Sequence[str], *, gap: str = "") -> bytes:
    head = f"\r\n{serial}\r\n{version}\r\n{date(clock)}:{clock:%S}\r\n"
    text = head + f"{len(rows):03d}\r\n{gap}" + "".join(f"{row}\r\n" for row in rows)
    return f"{text}0x{sum(text.encode()) % 65_536:04X}  END\r\n".encode()


def information(clock: datetime, count: int) -> bytes:
    lines = (
        f"S/N:\t{XTRA_SERIAL}",
        "Ver:\t0.22\tMG/DL",
        f"Clock:\t{MONTHS[clock.month - 1][:3]}  {clock:%d %Y}\t{clock:%H:%M:%S}",
        "Market:\t1\t2",
        "ROM:\t0\t1\t2\t3",
        f"Usage:\t{count}",
        "CMD OK",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()


def meter(answers: Mapping[bytes, bytes], last: bytes, *, deaf_to: int = 0) -> Run:
    """Answers until it has answered `last`. deaf_to: so many first commands are ignored."""

    async def run(port: SerialPort) -> None:
        heard, ignored = b"", 0
        while True:
            heard += await port.read()
            command = next((command for command in answers if command in heard), None)
            if command is None:
                continue
            heard = b""
            ignored += 1
            if ignored <= deaf_to:
                await port.write(b"\r\n")
                continue
            await port.pause(ANSWER_DELAY_S)
            await _send(port, answers[command])
            if command == last:
                return

    return run


async def _send(port: SerialPort, answer: bytes) -> None:
    for start in range(0, len(answer), PIECE_BYTES):
        await port.write(answer[start : start + PIECE_BYTES])
        await port.pause(PIECE_S)


def xtra(results: Sequence[Result], clock: datetime = CLOCK, *, spoil: Callable[[bytes], bytes] = bytes) -> Run:
    dump = spoil(memory(XTRA_SERIAL, "0.22", clock, list(map(xtra_row, results))))
    return meter({b"$colq\r\n": information(clock, len(results)), b"$xmem\r\n": dump}, b"$xmem\r\n")


def lite(results: Sequence[Result], clock: datetime = CLOCK) -> Run:
    dump = memory(LITE_SERIAL, "4.10     -P", clock, list(map(lite_row, results)), gap="\n")
    return meter({b"mem": dump}, b"mem")


def expect(value: str | Absent, when: datetime | None, *status: Status, name: Name = Name.GLUCOSE) -> Expected:
    return Expected(
        kind=Kind.GLUCOSE,
        values={name: value if isinstance(value, Absent) else Decimal(value)},
        status=frozenset(status),
        device_time=when,
        origin=Origin.STORED,
    )


def ago(minutes: int, now: datetime = CLOCK) -> datetime:
    """The meters keep whole minutes."""
    return (now - timedelta(minutes=minutes)).replace(second=0, microsecond=0)


def measure(vitals: Vitals) -> SerialScenario:
    """A test a minute ago, then onto the cable with the meter. A patient's glucose is not among the vitals."""
    value, now = 70 + vitals.systolic_mmhg // 2, vitals.local_time.replace(microsecond=0)
    results = [Result(f"{value:03d}", ago(1, now)), Result("141", ago(240, now))]
    return SerialScenario(
        title=f"{value} mg/dL a minute ago", run=xtra(results, now), expected=(expect(str(value), ago(1, now)),)
    )


_VISIT = [Result("105", ago(2)), Result("003", ago(4), is_ketone=True), Result("098", ago(9)), Result("140", ago(300))]
_XTRA_SENT = (expect("98", ago(9)), expect("0.2", ago(4), name=Name.KETONE), expect("105", ago(2)))
_LITE_VISIT = [result for result in _VISIT if not result.is_ketone]
_LITE_SENT = (expect("98", ago(9)), expect("105", ago(2)))
_BACKLOG = [Result(f"{90 + n:03d}", ago(60 * n)) for n in range(1, 61)]
_ODD = [
    Result("HI ", ago(1)),
    Result("LO ", ago(2)),
    Result("HI ", ago(3), is_ketone=True),
    Result("104", ago(4), flags=1),
    Result("103", ago(5), flags=2),
]
_ODD_SENT = (
    expect("103", None, Status.CLOCK_UNSET),
    expect("104", ago(4), Status.CONTROL_SOLUTION),
    expect("8.0", ago(3), Status.RESULT_ABOVE_RANGE, name=Name.KETONE),
    expect("20", ago(2), Status.RESULT_BELOW_RANGE),
    expect("500", ago(1), Status.RESULT_ABOVE_RANGE),
)
_LITE, _XTRA, _ALL = {"family": "lite"}, {"family": "precision"}, {"first_download": "all"}
_EMPTY = f"\r\n{LITE_SERIAL}\r\n4.10     -P\r\n{date(CLOCK)}:15\r\nLog Empty END"
_EARLY = datetime(2003, 1, 1, 0, 30, 0)

SIMULATOR = SerialSimulator(
    id="freestyle",
    line=SerialSpec(baud=19_200),
    scenarios={
        "xtra-visit": SerialScenario(
            title="Precision Xtra: glucose, ketone, glucose of this visit; an older one stays",
            run=xtra(_VISIT),
            expected=_XTRA_SENT,
        ),
        "lite-visit": SerialScenario(
            title="FreeStyle Lite: two tests of this visit", run=lite(_LITE_VISIT), expected=_LITE_SENT, options=_LITE
        ),
        "lite-backlog": SerialScenario(
            title="FreeStyle Lite: sixty stored tests, all wanted",
            run=lite(_BACKLOG),
            expected=tuple(expect(str(90 + n), ago(60 * n)) for n in range(60, 0, -1)),
            options={**_LITE, **_ALL},
        ),
        "xtra-odd-results": SerialScenario(
            title="Precision Xtra: HI, LO, ketone HI, control solution, a time that was lost",
            run=xtra(_ODD),
            expected=_ODD_SENT,
            options=_ALL,
        ),
        "xtra-wrong-clock": SerialScenario(
            title="Precision Xtra: the clock was never set",
            run=xtra([Result("105", ago(2, _EARLY))], _EARLY),
            expected=(expect("105", ago(2, _EARLY), Status.CLOCK_UNSET),),
        ),
        "xtra-empty": SerialScenario(title="Precision Xtra: no test in memory", run=xtra([])),
        "lite-empty": SerialScenario(
            title="FreeStyle Lite: no test in memory",
            run=meter(
                {b"mem": f"\r\n{LITE_SERIAL}\r\n4.10     -P\r\n{date(CLOCK)}:15\r\nLog Empty END".encode()}, b"mem"
            ),
            options=_LITE,
        ),
        "garbage": SerialScenario(
            title="Precision Xtra: noise before its memory",
            run=xtra(_VISIT, spoil=lambda dump: GARBAGE + dump),
            expected=_XTRA_SENT,
            faulty=True,
        ),
        "spoilt-digit": SerialScenario(
            title="Precision Xtra: a digit is altered on the way",
            run=xtra(_VISIT, spoil=lambda dump: dump.replace(b"105  ", b"905  ")),
            options=_XTRA,
            faulty=True,
        ),
        "half-a-frame": SerialScenario(
            title="Precision Xtra: pulled in the midst of its memory",
            run=xtra(_VISIT, spoil=lambda dump: dump[:90]),
            faulty=True,
        ),
    },
    measure=measure,
)
