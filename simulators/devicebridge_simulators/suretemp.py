"""A Welch Allyn SureTemp Plus module, written from its OEM implementation manual (71332-0000B).

It answers when it is asked. With each request for the temperature record it goes one step on, as if the host asked as
often as the record changes. The host's own packets and those it does not know are answered as the manual says.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, SerialSpec, Status
from devicebridge.sdk.simulation import Expected, SerialPort, SerialScenario, SerialSimulator, Vitals

PREAMBLE = b"\x03\x02\x10"
SERIAL_NUMBER, TEMPERATURE = b"\x29\x00", b"\x94\x1c"
GOOD, REFUSED = 2, 3
SERIAL = b"0306100500"
IDLE, NOT_READY, READY, PREDICT, PREDICT_DISPLAY, FINAL, FINAL_POSITION = 0, 1, 2, 3, 4, 6, 7
FINAL_OVER, FINAL_UNDER_POSITION, MONITOR, END, ERROR = 8, 11, 12, 13, 20
ORAL, RECTAL, PEDIATRIC_AXILLARY, KEY, ADULT_AXILLARY = 0, 1, 2, 3, 4
ORAL_PROBE, KEY_PROBE, RECTAL_PROBE = 0, 1, 2
HOLD = 6  # how many requests a final temperature stands
Run = Callable[[SerialPort], Awaitable[None]]
Answer = Callable[[bytes, int], bytes]


@dataclass(frozen=True)
class Step:
    """What the record says at one moment."""

    state: int
    final_cel: Decimal | None = None
    probe_cel: Decimal = Decimal("24.10")
    algorithm: int = ORAL
    probe: int = ORAL_PROBE
    method: int = 0
    error: int = 0
    active: bool = True


WELL = Step(IDLE, active=False)


def packet(command: bytes, kind: int, data: bytes = b"") -> bytes:
    body = PREAMBLE + command + bytes((kind,)) + len(data).to_bytes(2, "little") + data
    return body + bytes((-sum(body) % 256,))


def record(step: Step, sample: int, *, is_long: bool = False) -> bytes:
    """The answer to 941C: 19 bytes, or the 33 that a host may have switched to."""
    temperatures = kelvin(step.final_cel) + kelvin(step.probe_cel)
    count = struct.pack("<HH", 78, sample) if is_long else struct.pack("<I", sample)
    rest = struct.pack("<BBBhBB", step.method, step.algorithm, step.state, step.error, step.active, step.probe)
    tail = struct.pack("<fffH", 13479.7, 296.6, 12100.5, 445) if is_long else b""
    return packet(TEMPERATURE, GOOD, temperatures + count + rest + tail)


def kelvin(celsius: Decimal | None) -> bytes:
    return struct.pack("<f", float(celsius + Decimal("273.15")) if celsius is not None else 0.0)


def use(
    final: Decimal | None, state: int = FINAL, *, algorithm: int = ORAL, probe: int = ORAL_PROBE, error: int = 0
) -> list[Step]:
    """The probe is pulled, warms up, predicts, stands at its result, and goes back."""
    out = Step(NOT_READY, probe_cel=Decimal(26), algorithm=algorithm, probe=probe)
    warming = [out, replace(out, state=READY), replace(out, state=PREDICT), replace(out, state=PREDICT_DISPLAY)]
    settled = replace(out, state=state, final_cel=final, probe_cel=Decimal("36.2"), error=error)
    return [WELL, WELL, *warming, *[settled] * HOLD, WELL]


def answering(steps: Iterable[Step], answer: Answer | None = None, *, is_long: bool = False) -> Run:
    """A module that goes through the steps. answer: what it sends in place of the record, given it and its number."""
    steps = list(steps)

    async def run(port: SerialPort) -> None:
        buffer, asked = b"", 0
        while True:
            buffer += await port.read()
            buffer = buffer[max(buffer.find(PREAMBLE[:1]), 0) :]
            while (request := _first(buffer)) is not None:
                buffer = buffer[len(request) :]
                if request[3:5] != TEMPERATURE:
                    await port.write(_plain_answer(request))
                    continue
                sent = record(steps[min(asked, len(steps) - 1)], asked, is_long=is_long)
                await port.write(answer(sent, asked) if answer else sent)
                asked += 1
                if asked > len(steps):
                    return

    return run


def _first(buffer: bytes) -> bytes | None:
    size = 9 + int.from_bytes(buffer[6:8], "little")
    return buffer[:size] if len(buffer) >= max(9, size) else None


def _plain_answer(request: bytes) -> bytes:
    command = request[3:5]
    return packet(command, GOOD, SERIAL + b"\0") if command == SERIAL_NUMBER else packet(command, REFUSED)


def expect(value: Decimal | Absent, *status: Status) -> Expected:
    return Expected(kind=Kind.TEMPERATURE, values={Name.TEMPERATURE: value}, status=frozenset(status))


def measure(vitals: Vitals) -> SerialScenario:
    value = vitals.temperature_cel.quantize(Decimal("0.01"))
    return SerialScenario(title=f"{value} Cel, oral", run=answering(use(value)), expected=(expect(value),))


def _damaged(sent: bytes, number: int) -> bytes:
    return sent if number < 5 else sent[:-1] + bytes((sent[-1] ^ 0x55,))


def _broken_off(sent: bytes, number: int) -> bytes:
    return sent[:17] if number > 5 else sent


async def _silent(port: SerialPort) -> None:
    await port.read()
    await port.pause(60)


def _scenario(title: str, run: Run, *expected: Expected, faulty: bool = False) -> SerialScenario:
    options = {"poll_s": 0, "reply_timeout_s": 0.05 if faulty else 1}
    return SerialScenario(title=title, run=run, expected=expected, options=options, faulty=faulty)


_FEVER, _NORMAL = Decimal("39.14"), Decimal("36.95")
_STALE = Step(FINAL, _FEVER, active=False)

SIMULATOR = SerialSimulator(
    id="suretemp",
    line=SerialSpec(baud=9600),
    scenarios={
        "oral": _scenario("a probe in a mouth", answering(use(_NORMAL)), expect(_NORMAL)),
        "axillary": _scenario(
            "a probe under an arm", answering(use(_NORMAL, algorithm=ADULT_AXILLARY)), expect(_NORMAL)
        ),
        "rectal": _scenario(
            "a red probe", answering(use(_FEVER, algorithm=RECTAL, probe=RECTAL_PROBE)), expect(_FEVER)
        ),
        "two-patients": _scenario(
            "two patients, one after the other",
            answering(use(_NORMAL) + use(_FEVER)),
            expect(_NORMAL),
            expect(_FEVER),
        ),
        "same-again": _scenario(
            "the same temperature twice is two readings",
            answering(use(_NORMAL) + use(_NORMAL)),
            expect(_NORMAL),
            expect(_NORMAL),
        ),
        "lost-contact": _scenario(
            "final, but the probe does not touch as it should",
            answering(use(_NORMAL, FINAL_POSITION)),
            expect(_NORMAL, Status.IMPROPER_POSITION),
        ),
        "position-comes-and-goes": _scenario(
            "a final temperature that changes between its two states is one reading",
            answering(use(_NORMAL)[:-4] + use(_NORMAL, FINAL_POSITION)[-4:]),
            expect(_NORMAL),
        ),
        "long-records": _scenario("records of 33 bytes", answering(use(_NORMAL), is_long=True), expect(_NORMAL)),
        "too-hot": _scenario(
            "above what the module measures",
            answering(use(Decimal("44.2"), FINAL_OVER)),
            expect(Absent.ERROR, Status.RESULT_ABOVE_RANGE),
        ),
        "too-cold": _scenario(
            "below what the module measures, and badly placed",
            answering(use(Decimal("24.0"), FINAL_UNDER_POSITION)),
            expect(Absent.ERROR, Status.RESULT_BELOW_RANGE, Status.IMPROPER_POSITION),
        ),
        "error": _scenario(
            "the module fails", answering(use(_NORMAL, ERROR, error=12)), expect(Absent.ERROR, Status.DEVICE_ERROR)
        ),
        "calibration-key": _scenario(
            "a calibration key in place of a probe",
            answering(use(Decimal("36.30"), algorithm=KEY, probe=KEY_PROBE)),
            expect(Decimal("36.30"), Status.TEST_DATA),
        ),
        "given-up": _scenario("the probe goes back before there is a result", answering([*use(None)[:6], WELL, WELL])),
        "monitor-mode": _scenario(
            "monitor mode never concludes",
            answering([WELL, *[Step(MONITOR, _NORMAL, method=1)] * 9, Step(END, _NORMAL, method=1), WELL]),
        ),
        "connected-late": _scenario(
            "the probe is out and its result stands when the host connects",
            answering([*[Step(FINAL, _FEVER)] * HOLD, WELL]),
            expect(_FEVER),
        ),
        "stale": _scenario(
            "a result of earlier stands when the host connects, the probe is in its well", answering([_STALE] * 5)
        ),
        "checksum-errors": _scenario(
            "wrong sums from the middle of the use on",
            answering(use(_NORMAL), _damaged),
            faulty=True,
        ),
        "half-a-packet": _scenario(
            "answers break off before there is a result", answering(use(_NORMAL), _broken_off), faulty=True
        ),
        "silence": _scenario("no request is answered", _silent, faulty=True),
    },
    measure=measure,
    rest=SerialScenario(title="the probe is in its well", run=answering([WELL])),
)
