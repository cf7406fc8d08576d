"""A laboratory analyzer, or a Contour meter, as the sender of ASTM E1381 (LIS1-A) and E1394 (LIS2-A2).

Written from the standards; the records as senaite/senaite.astm has recorded them of an Afinion 2 and a DCA Vantage, and
tidepool-org/uploader (lib/drivers/bayer) describes them of Contour meters. The sender offers a message with ENQ, sends
a frame, waits for ACK, repeats it on NAK up to six times, and ends with EOT.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, Origin, SerialSpec, Status
from devicebridge.sdk.simulation import Expected, SerialPort, SerialScenario, SerialSimulator

ENQ, ACK, NAK, EOT, STX, ETX, ETB = b"\x05", b"\x06", b"\x15", b"\x04", b"\x02", b"\x03", b"\x17"
TRIES = 7  # a frame and its six repeats
BUSY_S = 10.0  # after a NAK to ENQ
CLOCK = datetime(2026, 11, 21, 14, 6, 15)
NAME, PATIENT = "DOE^JANE", "3643"  # as somebody typed it at the instrument: never to be believed
AFINION = "Afinion 2 Analyzer^^AF20052397"
DCA = "DCA VANTAGE^04.04.00.00^S067337"
CONTOUR = "Bayer7390^01.24\\01.04\\09.02.20^7390-2336773^7403-"
CONTOUR_SETTINGS = "A=1^C=63^G=1^I=0200^R=0^S=1^U=0^V=10600^Z=1"
STRIP_READER = "LUP2^UA301000462^1.0.11^E77_int"

Run = Callable[[SerialPort], Awaitable[None]]


def frame(number: int, text: str, end: bytes = ETX) -> bytes:
    """STX, frame number, text, ETX or ETB, sum, CR, LF."""
    summed = f"{number % 8}{text}".encode("latin-1") + end
    return STX + summed + f"{sum(summed) % 256:02X}".encode() + b"\r\n"


def frame_each(records: Sequence[str]) -> list[bytes]:
    """A frame for each record."""
    return [frame(n, record + "\r") for n, record in enumerate(records, 1)]


def frame_as_meter(records: Sequence[str]) -> list[bytes]:
    """A frame for each record; all but the last end in ETB."""
    return [frame(n, r + "\r", ETX if n == len(records) else ETB) for n, r in enumerate(records, 1)]


def frame_whole(records: Sequence[str]) -> list[bytes]:
    """One frame for all, as the Afinion 2 does it."""
    return [frame(1, "".join(record + "\r" for record in records))]


def frame_pieces(records: Sequence[str], size: int) -> list[bytes]:
    """Cut every `size` characters, wherever that is, as a long message must be."""
    text = "".join(record + "\r" for record in records)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return [frame(n, piece, ETX if n == len(pieces) else ETB) for n, piece in enumerate(pieces, 1)]


def timed(when: datetime, seconds: bool = True) -> str:
    return when.strftime("%Y%m%d%H%M%S" if seconds else "%Y%m%d%H%M")


def afinion(
    value: str, *, unit: str = "%", flag: str = "", test: str = "HbA1c", when: str = timed(CLOCK), processing: str = "P"
) -> list[str]:
    sent = timed(CLOCK + timedelta(seconds=20))
    return [
        rf"H|\^&|||{AFINION}|||||||{processing}|1|{sent}",
        f"P|1||{PATIENT}|||||U",
        f"O|1||5|^^^{test}|||||||N||||^C||||||||^10124809||F",
        f"R|1|^^^{test}|{value}|{unit}||{flag}||F||{PATIENT}||{when}",
        "L|1|N",
    ]


def dca(results: Sequence[tuple[str, str, str]], *, action: str = "") -> list[str]:
    """Results as (test, value, unit), each with the comment that the DCA Vantage adds."""
    records = [
        rf"H|\^&|||{DCA}|||||||P||{timed(CLOCK + timedelta(minutes=1))}",
        f"P|1|{PATIENT}|||{NAME}",
        f"O|1||660^0090||||||||{action}||||||||||||||F",
    ]
    for number, (test, value, unit) in enumerate(results, 1):
        records += [f"R|{number}|^^^{test}|{value}|{unit}||||F|||{timed(CLOCK)}", f"C|1|I|1.000^0.0 {unit}|G"]
    return [*records, "L|1|N"]


def contour(entries: Sequence[tuple[str, str, str, str, datetime]], *, now: datetime = CLOCK) -> list[str]:
    """Entries of a meter's memory as (test, value, unit, markers, time), oldest first."""
    header = rf"H|\^&||7w3LBL|{CONTOUR}|{CONTOUR_SETTINGS}|{len(entries)}||||||1|{timed(now, seconds=False)}"
    records = [
        f"R|{n}|^^^{test}|{value}|{unit}||{markers}||{timed(when, seconds=False)}"
        for n, (test, value, unit, markers, when) in enumerate(entries, 1)
    ]
    return [header, "P|1", *records, "L|1||N"]


def glucose(value: str, markers: str, minutes_ago: int) -> tuple[str, str, str, str, datetime]:
    return "Glucose", value, "mg/dL^P", markers, CLOCK.replace(second=0) - timedelta(minutes=minutes_ago)


@dataclass
class Sender:
    """The sender's side of the link, with what it has heard and not yet used."""

    port: SerialPort
    heard: bytes = b""

    async def reply(self) -> bytes:
        while not (found := [byte for byte in self.heard if bytes((byte,)) in (ACK, NAK, EOT)]):
            self.heard = await self.port.read()
        reply = bytes((found[0],))
        self.heard = self.heard[self.heard.index(reply) + 1 :]
        return reply

    async def send(self, frames: Sequence[bytes]) -> bool:
        """One message; False where the receiver would not have it."""
        await self.port.write(ENQ)
        while await self.reply() == NAK:
            await self.port.pause(BUSY_S)
            await self.port.write(ENQ)
        done = all([await self._deliver(frame) for frame in frames])
        await self.port.write(EOT)
        return done

    async def _deliver(self, frame: bytes) -> bool:
        for _ in range(TRIES):
            await self.port.write(frame)
            if await self.reply() == ACK:
                return True
        return False


def sending(*messages: Sequence[bytes]) -> Run:
    async def run(port: SerialPort) -> None:
        sender = Sender(port)
        for message in messages:
            await sender.send(message)
            await port.pause(1.0)

    return run


def when_asked(frames: Sequence[bytes]) -> Run:
    """A meter that begins when the host sends EOT."""

    async def run(port: SerialPort) -> None:
        sender = Sender(port)
        while await sender.reply() != EOT:
            pass
        await port.write(EOT)
        await sender.send(frames)

    return run


def with_a_bad_copy(frames: Sequence[bytes]) -> Run:
    """Each frame is damaged on its first way, and comes whole when it was refused."""

    async def run(port: SerialPort) -> None:
        sender = Sender(port)
        await port.write(ENQ)
        await sender.reply()
        for whole in frames:
            await port.write(whole[:3] + bytes((whole[3] ^ 0x01,)) + whole[4:])
            while await sender.reply() != ACK:
                await port.write(whole)
        await port.write(EOT)

    return run


def saying(*pieces: bytes) -> Run:
    """Sends, and waits for nothing."""

    async def run(port: SerialPort) -> None:
        for piece in pieces:
            await port.write(piece)
            await port.pause(1.0)

    return run


def expect(
    value: str | Absent,
    *status: Status,
    name: Name = Name.HBA1C,
    when: datetime | None = CLOCK,
    kind: Kind = Kind.LAB,
    origin: Origin = Origin.LIVE,
) -> Expected:
    known = value if isinstance(value, Absent) else Decimal(value)
    return Expected(kind=kind, values={name: known}, status=frozenset(status), device_time=when, origin=origin)


def expect_glucose(value: str, minutes_ago: int, *status: Status) -> Expected:
    when = CLOCK.replace(second=0) - timedelta(minutes=minutes_ago)
    return expect(value, *status, name=Name.GLUCOSE, when=when, kind=Kind.GLUCOSE, origin=Origin.STORED)


ACR = [("Alb", "63.7", "mg/L"), ("Crt", "230.8", "mg/dL"), ("Ratio", "27.6", "mg/g")]
STRIP = [
    ("Bil", "neg", "mg/dl"),
    ("Pro", "30", "mg/dl"),
    ("Ery", "300", "Ery/ul"),
    ("pH", "5.5", ""),
    ("Nit", "pos", ""),
]
MEMORY = [
    glucose("133", "B/X", 3000),
    glucose("98", "F/M0/T1", 1440),
    glucose("601", ">/M0/T1", 8),
    glucose("112", "A", 2),
]
DIARY = [("Carb", "8", "3^", "", CLOCK - timedelta(minutes=1)), ("Insulin", "80", "1^", "", CLOCK)]


def strip_records() -> list[str]:
    """A urine strip, as the readers of 77 Elektronika send it."""
    first, done = timed(CLOCK - timedelta(minutes=1)), timed(CLOCK)
    results = [
        f"R|{n}|{n}^^^{test}|{value}|{unit}||||||autologin|{first}|{done}"
        for n, (test, value, unit) in enumerate(STRIP, 1)
    ]
    return [rf"H|\^&|||{STRIP_READER}|||||||P|LIS2-A2|{done}", "P|1", f"O|1|{PATIENT}|^^^^SAMPLE", *results, "L|1|N"]


_STRIP_SAYS: tuple[str | Decimal, ...] = ("neg", Decimal(30), "300 Ery/ul", Decimal("5.5"), "pos")
URINE = SerialScenario(
    title="a urine strip: results in words and numbers",
    run=sending(frame_each(strip_records())),
    expected=tuple(Expected(kind=Kind.LAB, values={Name.ANALYTE: said}, device_time=CLOCK) for said in _STRIP_SAYS),
)

BARE = SerialScenario(
    title="an instrument without a data link: records on lines of their own",
    run=saying("\r\n".join([*dca([("HbA1c", "6.6", "%")]), ""]).encode()),
    expected=(expect("6.6"),),
    options={"data_link": False},
)

_HBA1C_FRAMES = frame_whole(afinion("5.9"))

SIMULATOR = SerialSimulator(
    id="astm",
    line=SerialSpec(baud=9600),
    scenarios={
        "urine-strip": URINE,
        "hba1c": SerialScenario(
            title="Afinion 2: an HbA1c in one frame", run=sending(_HBA1C_FRAMES), expected=(expect("5.9"),)
        ),
        "acr": SerialScenario(
            title="DCA Vantage: albumin, creatinine and their ratio, a frame for each record",
            run=sending(frame_each(dca(ACR))),
            expected=tuple(expect(value, name=Name.ANALYTE) for _, value, _ in ACR),
        ),
        "long-message": SerialScenario(
            title="DCA Vantage: the message is cut into frames in the midst of its records",
            run=sending(frame_pieces(dca([("HbA1c", "7.2", "%")]), 37)),
            expected=(expect("7.2"),),
        ),
        "two-messages": SerialScenario(
            title="Afinion 2: two results, one after the other",
            run=sending(_HBA1C_FRAMES, frame_whole(afinion("8.4", when=timed(CLOCK + timedelta(minutes=9))))),
            expected=(expect("5.9"), expect("8.4", when=CLOCK + timedelta(minutes=9))),
        ),
        "above-range": SerialScenario(
            title="Afinion 2: more than can be measured",
            run=sending(frame_whole(afinion(">15.0", flag=">"))),
            expected=(expect("15.0"),),
        ),
        "not-measurable": SerialScenario(
            title="Afinion 2: dashes instead of a ratio",
            run=sending(frame_whole(afinion("--- ", unit="mg/g", test="ACR"))),
            expected=(expect(Absent.UNKNOWN, name=Name.ANALYTE),),
        ),
        "ambiguous": SerialScenario(
            title="Afinion 2: the instrument calls its result ambiguous",
            run=sending(frame_whole(afinion("6.1", flag="!"))),
            expected=(expect("6.1", Status.QUESTIONABLE_MEASUREMENT),),
        ),
        "quality-control": SerialScenario(
            title="Afinion 2: control solution, said in the header",
            run=sending(frame_whole(afinion("6.4", processing="Q"))),
            expected=(expect("6.4", Status.CONTROL_SOLUTION),),
        ),
        "control-order": SerialScenario(
            title="DCA Vantage: a control, said in the order",
            run=sending(frame_each(dca([("HbA1c", "5.3", "%")], action="Q"))),
            expected=(expect("5.3", Status.CONTROL_SOLUTION),),
        ),
        "wrong-clock": SerialScenario(
            title="Afinion 2: a time that is none",
            run=sending(frame_whole(afinion("5.9", when="00000000000000"))),
            expected=(expect("5.9", Status.CLOCK_UNSET, when=None),),
        ),
        "meter": SerialScenario(
            title="Contour: the first meeting takes the last ten minutes of the memory, HI among them",
            run=sending(frame_as_meter(contour([*MEMORY, *DIARY]))),
            expected=(expect_glucose("600", 8, Status.RESULT_ABOVE_RANGE), expect_glucose("112", 2)),
        ),
        "meter-backlog": SerialScenario(
            title="Contour: all of the memory, when it is asked for",
            run=when_asked(frame_as_meter(contour([*MEMORY, glucose("101", "C", 1)]))),
            expected=(
                expect_glucose("133", 3000),
                expect_glucose("98", 1440),
                expect_glucose("600", 8, Status.RESULT_ABOVE_RANGE),
                expect_glucose("112", 2),
                expect_glucose("101", 1, Status.CONTROL_SOLUTION),
            ),
            options={"first_download": "all", "ask_meter": True},
        ),
        "bad-sums": SerialScenario(
            title="DCA Vantage: each frame is damaged once",
            run=with_a_bad_copy(frame_each(dca([("HbA1c", "7.2", "%")]))),
            expected=(expect("7.2"),),
            faulty=True,
        ),
        "no-enquiry": SerialScenario(
            title="Afinion 2: a frame without ENQ before it", run=saying(*_HBA1C_FRAMES), faulty=True
        ),
        "half-a-frame": SerialScenario(
            title="Afinion 2: a frame that breaks off", run=saying(ENQ, _HBA1C_FRAMES[0][:90]), faulty=True
        ),
        "silence": SerialScenario(title="nothing is sent", run=saying(b""), faulty=True),
    },
)
