"""LifeScan meters on a cable: a Verio IQ, from the trace in Doume/Glucometer (Documents/trace_verio.txt), and an
UltraMini, from Daniel Thompson's ue_link.c and tidepool-org/uploader's oneTouchUltraMini.js.

A meter answers until the host has read so many records from the newest on, and answered for the last one; then it is
taken off the cable. A Verio Flex does the same over Bluetooth LE, in fragments with receipts (dezi/xavaro,
BlueToothGlucoseOneTouch.java; Gadgetbridge, OneTouchSupport.kt), and then hangs up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, Origin, SerialSpec, Status
from devicebridge.sdk.peripheral import Inbox, device_information
from devicebridge.sdk.simulation import (
    Access,
    Characteristic,
    DualSimulator,
    Expected,
    GattPort,
    GattScenario,
    GattSimulator,
    SerialPort,
    SerialScenario,
    SerialSimulator,
    Service,
    Vitals,
)

CLOCK = datetime(2026, 11, 21, 14, 30, 15)
VERIO_EPOCH, MINI_EPOCH = datetime(2000, 1, 1), datetime(1970, 1, 1)
ANSWER_DELAY_S = 0.015
GARBAGE = bytes.fromhex("0211ff000209") * 3
HI = 0xFFFF
Run = Callable[[SerialPort], Awaitable[None]]
Answer = Callable[[bytes], bytes | None]


@dataclass(frozen=True)
class Result:
    mg_dl: int
    when: datetime
    meal: int = 0
    control: int = 0


def packet(message: bytes, link: int = 0) -> bytes:
    head = bytes((0x02, 6 + len(message), link)) + message + b"\x03"
    crc = 0xFFFF
    for bit in "".join(f"{byte:08b}" for byte in head):
        crc = crc << 1 ^ (0x1021 if (crc >> 15) ^ int(bit) else 0)
        crc &= 0xFFFF
    return head + bytes((crc % 256, crc // 256))


def seconds(when: datetime, epoch: datetime) -> bytes:
    return int((when - epoch).total_seconds()).to_bytes(4, "little")


def verio_record(result: Result) -> bytes:
    flags = bytes((result.control, result.meal, 0, 0))
    return b"\x03\x06" + seconds(result.when, VERIO_EPOCH) + result.mg_dl.to_bytes(2, "little") + flags


def mini_record(result: Result) -> bytes:
    return b"\x05\x06" + seconds(result.when, MINI_EPOCH) + result.mg_dl.to_bytes(4, "little")


def packets(heard: bytearray) -> Iterator[tuple[int, bytes]]:
    """Link and message of each whole packet; what is none is passed over."""
    while len(heard) > 1:
        size = heard[1]
        if heard[0] != 0x02 or size < 6:
            del heard[0]
        elif len(heard) < size:
            return
        else:
            raw = bytes(heard[:size])
            del heard[:size]
            yield raw[2], raw[3:-3]


def verio(results: Sequence[Result], clock: datetime = CLOCK, *, needed: int, noise: bytes = b"") -> Run:
    """needed: after so many records, and the next question, the meter is taken away. noise: before the first record."""
    answers = {
        b"\x03\x0b\x01\x02": b"\x03\x06TCFPQRMG\x00",
        b"\x03\x20\x02": b"\x03\x06" + seconds(clock, VERIO_EPOCH),
        b"\x03\x27\x00": b"\x03\x06" + len(results).to_bytes(2, "little"),
    }

    async def run(port: SerialPort) -> None:
        heard, served = bytearray(), 0
        while True:
            heard += await port.read()
            for _, message in packets(heard):
                await port.pause(ANSWER_DELAY_S)
                if message[:2] == b"\x03\x21":
                    served += 1
                    record = packet(verio_record(results[int.from_bytes(message[2:], "little")]))
                    await port.write((noise if served == 1 else b"") + record)
                elif message in answers:
                    await port.write(packet(answers[message]))
                    if served >= needed:
                        return

    return run


class _Link:
    """The UltraMini's side of the link: its counts, and what was sent last."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0

    @property
    def bits(self) -> int:
        return self.sent + 2 * self.received


def ultramini(results: Sequence[Result], clock: datetime = CLOCK, *, needed: int, repeats: bool = False) -> Run:
    """needed: after so many records, the last acknowledged, the meter is taken away. repeats: it sends all twice."""

    async def run(port: SerialPort) -> None:
        heard, served, link = bytearray(), 0, _Link()
        while True:
            heard += await port.read()
            for control, message in packets(heard):
                await port.pause(ANSWER_DELAY_S)
                if control & 0x08:
                    link = _Link()
                    await port.write(packet(b"", 0x0C))
                elif control & 0x04:
                    if served >= needed:
                        return
                elif reply := _mini_reply(message, results, clock):
                    link.received ^= 1
                    await port.write(packet(b"", 0x04 | link.bits))
                    for _ in range(2 if repeats else 1):
                        await port.write(packet(reply, link.bits))
                    link.sent ^= 1
                    served += len(reply) == 10

    return run


def _mini_reply(message: bytes, results: Sequence[Result], clock: datetime) -> bytes | None:
    if message.startswith(b"\x05\x0b\x02"):
        return b"\x05\x06C176SA00F"
    if message.startswith(b"\x05\x20\x02"):
        return b"\x05\x06" + seconds(clock, MINI_EPOCH)
    if message == b"\x05\x1f\xf5\x01":
        return b"\x05\x0f" + len(results).to_bytes(2, "little")
    if message.startswith(b"\x05\x1f"):
        return mini_record(results[int.from_bytes(message[2:], "little")])
    return None


def glucose(value: int | Absent, when: datetime, *status: Status) -> Expected:
    return Expected(
        kind=Kind.GLUCOSE,
        values={Name.GLUCOSE: value if isinstance(value, Absent) else Decimal(value)},
        status=frozenset(status),
        device_time=when,
        origin=Origin.STORED,
    )


def ago(minutes: int, now: datetime = CLOCK) -> datetime:
    return now - timedelta(minutes=minutes)


def measure(vitals: Vitals) -> SerialScenario:
    """A test a minute ago, then onto the cable with the meter. A patient's glucose is not among the vitals."""
    value, now = 65 + vitals.systolic_mmhg // 2, vitals.local_time.replace(microsecond=0)
    results = [Result(value, ago(1, now)), Result(133, ago(200, now))]
    return SerialScenario(
        title=f"{value} mg/dL a minute ago",
        run=verio(results, now, needed=2),
        expected=(glucose(value, ago(1, now)),),
    )


async def _truncated(port: SerialPort) -> None:
    await port.read()
    await port.write(packet(b"\x03\x06TCFPQRMG\x00")[:9])


_VISIT = [Result(105, ago(2), 1), Result(98, ago(9)), Result(140, ago(300), 2), Result(88, ago(900))]
_SENT = (glucose(98, ago(9)), glucose(105, ago(2)))
_BACKLOG = [Result(90 + n, ago(60 * n), n % 3) for n in range(1, 31)]
_ODD = [
    Result(HI, ago(1)),
    Result(615, ago(2)),
    Result(12, ago(3)),
    Result(0, ago(4)),
    Result(107, ago(5), control=True),
]
_ODD_SENT = (
    glucose(107, ago(5), Status.CONTROL_SOLUTION),
    glucose(Absent.ERROR, ago(4)),
    glucose(20, ago(3), Status.RESULT_BELOW_RANGE),
    glucose(600, ago(2), Status.RESULT_ABOVE_RANGE),
    glucose(600, ago(1), Status.RESULT_ABOVE_RANGE),
)
_ALL = {"first_download": "all"}
_MINI = {"family": "ultramini"}
_NEVER_SET = datetime(2000, 1, 1, 0, 20)

_SERIAL = SerialSimulator(
    id="lifescan",
    line=SerialSpec(baud=38_400),
    scenarios={
        "verio-visit": SerialScenario(
            title="Verio IQ: two tests of this visit, older ones stay", run=verio(_VISIT, needed=3), expected=_SENT
        ),
        "verio-backlog": SerialScenario(
            title="Verio IQ: thirty stored tests, all wanted",
            run=verio(_BACKLOG, needed=30),
            expected=tuple(glucose(90 + n, ago(60 * n)) for n in range(30, 0, -1)),
            options=_ALL,
        ),
        "verio-odd-results": SerialScenario(
            title="Verio IQ: high, low, nothing, control solution",
            run=verio(_ODD, needed=5),
            expected=_ODD_SENT,
            options=_ALL,
        ),
        "verio-wrong-clock": SerialScenario(
            title="Verio IQ: the clock was never set and counts from 2000",
            run=verio([Result(105, ago(2, _NEVER_SET))], _NEVER_SET, needed=1),
            expected=(glucose(105, ago(2, _NEVER_SET), Status.CLOCK_UNSET),),
        ),
        "ultramini-visit": SerialScenario(
            title="UltraMini: two tests of this visit, older ones stay",
            run=ultramini(_VISIT, needed=3),
            expected=_SENT,
            options=_MINI,
        ),
        "ultramini-backlog": SerialScenario(
            title="UltraMini: thirty stored tests, all wanted",
            run=ultramini(_BACKLOG, needed=30),
            expected=tuple(glucose(90 + n, ago(60 * n)) for n in range(30, 0, -1)),
            options={**_MINI, **_ALL},
        ),
        "ultramini-repeats": SerialScenario(
            title="UltraMini: it sends each message twice",
            run=ultramini(_VISIT, needed=3, repeats=True),
            expected=_SENT,
            options=_MINI,
        ),
        "garbage": SerialScenario(
            title="Verio IQ: noise before a record",
            run=verio(_VISIT, needed=3, noise=GARBAGE),
            expected=_SENT,
            faulty=True,
        ),
        "half-a-frame": SerialScenario(title="Verio IQ: pulled in its first answer", run=_truncated, faulty=True),
    },
    measure=measure,
)


# --- A Verio Flex ------------------------------------------------------------------------------------------------

SERVICE, WRITE, NOTIFY = (f"af9df7a{n}-e595-11e3-96b4-0002a5d5c51b" for n in (1, 2, 3))
TESTS_MADE = 731
"""The newest record's number."""
_CLOCK, _COUNT, _COUNTER, _RECORD = b"\x03\x20\x02", b"\x03\x27\x00", b"\x03\x0a\x02\x06", b"\x03\xb3"
NOT_ALLOWED, NOT_UNDERSTOOD, OK = 0x07, 0x09, 0x06


def flex_record(result: Result) -> bytes:
    flags = bytes((result.control, 0, 0, 0, 0))
    return b"\x03\x06" + seconds(result.when, VERIO_EPOCH) + result.mg_dl.to_bytes(2, "little") + flags


@dataclass(frozen=True, kw_only=True)
class Flex:
    """results: None for a number without a record. needed: after so many it hangs up. times: it says each thing so
    often. fragment_bytes: how much of a packet fits beside the first byte. refused: the record it does not give now."""

    results: Sequence[Result | None]
    needed: int
    clock: datetime = CLOCK
    times: int = 1
    fragment_bytes: int = 19
    is_bonded: bool = True
    serial: str = "SIM-OT-1"
    refused: int | None = None

    def scenario(
        self, title: str, expected: Sequence[Expected] = (), options: Mapping[str, object] | None = None
    ) -> GattScenario:
        inbox = Inbox()

        def services() -> tuple[Service, ...]:
            inbox.clear()
            line = (
                Characteristic(uuid=NOTIFY, access=Access.NOTIFY),
                Characteristic(uuid=WRITE, access=Access.WRITE, written=inbox.written),
            )
            return (Service(SERVICE, line), device_information("OneTouch Verio Flex", self.serial))

        async def run(port: GattPort) -> None:
            await port.subscribed(NOTIFY)
            await self._talk(port, inbox)

        return GattScenario(
            title=f"Verio Flex: {title}", services=services, run=run, expected=tuple(expected), options=options or {}
        )

    async def _talk(self, port: GattPort, inbox: Inbox) -> None:
        served = 0
        while True:
            value = await inbox.next()
            if value[0] >= 0x80:
                continue  # for what it said a second time
            assert value[0] == 1, value.hex()
            ((_, message),) = packets(bytearray(value[1:]))
            await port.notify(NOTIFY, b"\x81")
            await port.pause(ANSWER_DELAY_S)
            await self._say(port, inbox, packet(self._answer(message)))
            served += message.startswith(_RECORD)
            if message == _COUNT and served >= self.needed:
                return

    def _answer(self, message: bytes) -> bytes:
        if not self.is_bonded:
            return bytes((3, NOT_ALLOWED))
        if message.startswith(_RECORD):
            place = TESTS_MADE - int.from_bytes(message[2:], "little")
            if place == self.refused:
                return bytes((3, NOT_UNDERSTOOD))
            result = self.results[place]
            return flex_record(result) if result else bytes((3, OK))
        there = sum(1 for result in self.results if result)
        return {
            _CLOCK: b"\x03\x06" + seconds(self.clock, VERIO_EPOCH),
            _COUNT: b"\x03\x06" + there.to_bytes(2, "little"),
            _COUNTER: b"\x03\x06" + TESTS_MADE.to_bytes(4, "little"),
        }[message]

    async def _say(self, port: GattPort, inbox: Inbox, answer: bytes) -> None:
        """The next fragment after the receipt for this one."""
        size = self.fragment_bytes
        pieces = [answer[i : i + size] for i in range(0, len(answer), size)]
        for place, piece in enumerate(pieces):
            header = 0x40 + place if place else len(pieces)
            for _ in range(self.times):
                await port.notify(NOTIFY, bytes((header,)) + piece)
            receipt = await inbox.next()
            assert receipt == bytes((0x80 + header % 0x40,)), receipt.hex()


def _flex_measure(vitals: Vitals) -> GattScenario:
    value, now = 65 + vitals.systolic_mmhg // 2, vitals.local_time.replace(microsecond=0)
    results = [Result(value, ago(1, now)), Result(133, ago(200, now))]
    meter = Flex(results=results, needed=2, clock=now)
    return meter.scenario(f"{value} mg/dL a minute ago", (glucose(value, ago(1, now)),))


SIMULATOR = DualSimulator(
    serial=_SERIAL,
    gatt=GattSimulator(
        id="lifescan",
        name="OneTouch J7RG",
        advertised=(SERVICE,),
        scenarios={
            "flex-visit": Flex(results=_VISIT, needed=3).scenario("two tests of this visit", _SENT),
            "flex-backlog": Flex(results=_BACKLOG, needed=30).scenario(
                "thirty stored tests, all wanted",
                [glucose(90 + n, ago(60 * n)) for n in range(30, 0, -1)],
                _ALL,
            ),
            "flex-odd-results": Flex(results=_ODD, needed=5).scenario(
                "high, low, nothing, control solution", _ODD_SENT, _ALL
            ),
            "flex-wrong-clock": Flex(results=[Result(105, ago(2, _NEVER_SET))], clock=_NEVER_SET, needed=1).scenario(
                "the clock was never set and counts from 2000",
                (glucose(105, ago(2, _NEVER_SET), Status.CLOCK_UNSET),),
            ),
            "flex-fragments": Flex(results=_VISIT, needed=3, fragment_bytes=7).scenario("in small fragments", _SENT),
            "flex-repeats": Flex(results=_VISIT, needed=3, times=2).scenario("it sends everything twice", _SENT),
            "flex-gap": Flex(results=[_VISIT[0], None, *_VISIT[1:]], needed=4).scenario(
                "a number without a record", _SENT
            ),
            "flex-not-bonded": Flex(results=_VISIT, needed=3, is_bonded=False).scenario("it allows nothing"),
        },
        measure=_flex_measure,
    ),
)
