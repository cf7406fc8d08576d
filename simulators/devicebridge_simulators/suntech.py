"""A SunTech OEM blood pressure module, after ak-git/DesktopFX (comments of the OEM manual) and 519984307/Appciton.

It answers when it is asked. With each request for the cuff pressure it goes one step on. A measurement begins by
itself here, as if somebody had pressed a button, or when the host says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, Origin, SerialSpec, Status
from devicebridge.sdk.simulation import Expected, SerialPort, SerialScenario, SerialSimulator, Vitals

HOST = b"\x3a"
GET_PRESSURE, GET_RESULT, ABORT, START = b"\x79\x05\x00", b"\x79\x03\x00", b"\x79\x01\x00", b"\x20"
RECEIVED, BUSY, NOT_DEFINED = b"O", b"B", b"N"
CURVE = (40, 110, 178, 166, 149, 133, 118, 101, 84, 66, 31)  # mmHg in the cuff, a second apart
Run = Callable[[SerialPort], Awaitable[None]]
Answer = Callable[[bytes, int], bytes]


@dataclass(frozen=True)
class Bp:
    """A result. codes: the first two of its test codes, which make two equal results two."""

    systolic: int = 0
    diastolic: int = 0
    mean: int = 0
    pulse: int = 0
    error: int = 0
    codes: int = 0
    spare: int = 0


EMPTY = Bp()


@dataclass(frozen=True)
class Step:
    """What there is at one moment: pressure in the cuff, and the last result."""

    pressure: int
    result: Bp


def packet(data: bytes) -> bytes:
    body = bytes((0x3E, len(data) + 3)) + data
    return body + bytes((-sum(body) % 256,))


def result(bp: Bp) -> bytes:
    pressures = bp.systolic.to_bytes(2, "little") + bp.diastolic.to_bytes(2, "little")
    beats = bytes((30 if bp.systolic else 0, 1 if bp.systolic else 0))
    codes = bp.codes.to_bytes(2, "little") + bytes(6)
    tail = bytes((bp.pulse, bp.spare)) + bp.mean.to_bytes(2, "little") + bytes((bp.error, 0, 0))
    return packet(pressures + beats + codes + tail)


def resting(bp: Bp, seconds: int = 2) -> list[Step]:
    return [Step(2, bp)] * seconds


def measuring(before: Bp, after: Bp, curve: Sequence[int] = CURVE) -> list[Step]:
    return [*(Step(pressure, before) for pressure in curve), *resting(after, 3)]


def answering(steps: Iterable[Step], answer: Answer | None = None, started: Iterable[Step] = ()) -> Run:
    """A module that goes through the steps. answer: what it sends in place of an answer, given it and its number.
    started: what it goes through once the host has started it."""
    plan, after_start = list(steps), list(started)

    async def run(port: SerialPort) -> None:
        steps, buffer, asked, sent = list(plan), b"", 0, 0
        while True:
            buffer += await port.read()
            buffer = buffer[buffer.find(HOST) :] if HOST in buffer else b""
            while (command := _first(buffer)) is not None:
                buffer = buffer[len(command) + 2 :]
                if command == START:
                    steps.extend(after_start)
                step = steps[min(max(asked - (command != GET_PRESSURE), 0), len(steps) - 1)]
                asked += command == GET_PRESSURE
                plain = _answer(command, step)
                await port.write(answer(plain, sent) if answer else plain)
                sent += 1
                if asked > len(steps):
                    return

    return run


def _first(buffer: bytes) -> bytes | None:
    """The command and data of the first request."""
    size = 3 if buffer[1:2] == b"\x79" else 1
    return buffer[1 : 1 + size] if len(buffer) >= size + 2 else None


def _answer(command: bytes, step: Step) -> bytes:
    if command == GET_PRESSURE:
        return packet(step.pressure.to_bytes(2, "little"))
    if command == GET_RESULT:
        return result(step.result)
    return packet(RECEIVED if command in (START, ABORT) else NOT_DEFINED)


def expect(bp: Bp, *status: Status, absent: Absent | None = None, origin: Origin = Origin.LIVE) -> Expected:
    numbers = {
        Name.SYSTOLIC: bp.systolic,
        Name.DIASTOLIC: bp.diastolic,
        Name.MEAN: bp.mean,
        Name.PULSE_RATE: bp.pulse,
    }
    return Expected(
        kind=Kind.BLOOD_PRESSURE,
        values={name: absent or Decimal(number) for name, number in numbers.items()},
        status=frozenset(status),
        origin=origin,
    )


def measure(vitals: Vitals) -> SerialScenario:
    bp = Bp(vitals.systolic_mmhg, vitals.diastolic_mmhg, vitals.mean_mmhg, vitals.pulse_per_min)
    title = f"{bp.systolic}/{bp.diastolic} mmHg, {bp.pulse}/min"
    return SerialScenario(title=title, run=answering([*resting(EMPTY), *measuring(EMPTY, bp)]), expected=(expect(bp),))


def _scenario(title: str, run: Run, *expected: Expected, faulty: bool = False, start: str = "never") -> SerialScenario:
    options = {"poll_s": 0, "start": start, "reply_timeout_s": 0.05 if faulty else 2}
    return SerialScenario(title=title, run=run, expected=expected, options=options, faulty=faulty)


def _failing(title: str, error: int, *status: Status, absent: Absent = Absent.ERROR) -> SerialScenario:
    failed = Bp(error=error)
    steps = [*resting(EMPTY), *measuring(EMPTY, failed)]
    return _scenario(title, answering(steps), expect(failed, *status, absent=absent))


def _damaged(sent: bytes, number: int) -> bytes:
    return sent[:-1] + bytes((sent[-1] ^ 0x10,)) if number > 13 else sent


def _broken_off(sent: bytes, number: int) -> bytes:
    return sent[:3] if number > 13 else sent


def _busy(sent: bytes, number: int) -> bytes:
    return packet(BUSY) if number % 5 == 3 else sent


async def _silent(port: SerialPort) -> None:
    await port.read()
    await port.pause(60)


_FIRST, _SECOND = Bp(115, 74, 88, 85, codes=0x0731), Bp(162, 101, 121, 58, codes=0x0800)

SIMULATOR = SerialSimulator(
    id="suntech",
    line=SerialSpec(baud=9600),
    scenarios={
        "one": _scenario("a measurement", answering([*resting(EMPTY), *measuring(EMPTY, _FIRST)]), expect(_FIRST)),
        "two-patients": _scenario(
            "two patients, one after the other",
            answering([*resting(EMPTY), *measuring(EMPTY, _FIRST), *measuring(_FIRST, _SECOND)]),
            expect(_FIRST),
            expect(_SECOND),
        ),
        "same-again": _scenario(
            "the module forgets its result when it begins, and measures the same",
            answering([*resting(EMPTY), *measuring(EMPTY, _FIRST), *resting(EMPTY), *measuring(EMPTY, _FIRST)]),
            expect(_FIRST),
            expect(_FIRST),
        ),
        "stale": _scenario("a result of earlier stands when the host connects", answering(resting(_FIRST, 6))),
        "connected-late": _scenario(
            "the cuff is inflated when the host connects",
            answering([*measuring(_SECOND, _FIRST, CURVE[4:]), *resting(_FIRST)]),
            expect(_FIRST),
        ),
        "after-a-stale-one": _scenario(
            "a measurement after that of an earlier patient",
            answering([*resting(_FIRST), *measuring(_FIRST, _SECOND)]),
            expect(_SECOND),
        ),
        "started": _scenario(
            "started by the host, which was told that it may",
            answering(resting(EMPTY, 1), started=measuring(EMPTY, _FIRST)),
            expect(_FIRST),
            start="adult",
        ),
        "weak-signal": _failing("no pulse found", 1, Status.DEVICE_ERROR, Status.INADEQUATE_SIGNAL),
        "movement": _failing("the arm moves", 2, Status.DEVICE_ERROR, Status.ARTIFACT),
        "loose-cuff": _failing("the cuff is loose", 87, Status.DEVICE_ERROR, Status.CUFF_TOO_LOOSE),
        "aborted": _failing("stopped by hand", 86, absent=Absent.NOT_PERFORMED),
        "unknown-error": _failing("an error that no list has", 200, Status.DEVICE_ERROR),
        "busy": _scenario(
            "too busy for every fifth answer",
            answering([*resting(EMPTY), *measuring(EMPTY, _FIRST)], _busy),
            expect(_FIRST),
        ),
        "checksum-errors": _scenario(
            "wrong sums from the middle of the measurement on",
            answering([*resting(EMPTY), *measuring(EMPTY, _FIRST)], _damaged),
            faulty=True,
        ),
        "half-a-packet": _scenario(
            "answers break off from the middle of the measurement on",
            answering([*resting(EMPTY), *measuring(EMPTY, _FIRST), *resting(_FIRST)], _broken_off),
            faulty=True,
        ),
        "silence": _scenario("no request is answered", _silent, faulty=True),
    },
    measure=measure,
    rest=SerialScenario(title="nothing in the cuff", run=answering(resting(EMPTY, 1))),
)
