"""A GE DINAMAP monitor (V100, ProCare) on a serial line, after GE 2010566 Rev. E as quoted in public clients.

It answers when it is asked: " NA" for blood pressure, " OA" for oximetry, " RA" and " RC" for the pulse rate, " TC" for
temperature. With each " NA" a second has passed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, Origin, SerialSpec, Status
from devicebridge.sdk.simulation import Expected, SerialPort, SerialScenario, SerialSimulator, Vitals

BUSY, DONE, FAILED, PUMP_UP_TIMEOUT = 0, 1, 3, 4
OXIMETER_OK, OXIMETER_NO_DATA, OXIMETER_UNPLUGGED = 1, 3, 6
FROM_OXIMETER, FROM_CUFF = 2, 3
T_DONE, T_BUSY, T_LOST, T_ABORTED = 0, 1, 3, 4
NEVER, NEVER_T = 9999, 99999
NO_NUMBER = "-99"
INFLATION_S = 6
Run = Callable[[SerialPort], Awaitable[None]]
Answer = Callable[[bytes, int], bytes]


@dataclass(frozen=True)
class Second:
    """What the monitor has to say for one second. `rate`: from the cuff; `pulse`: from the oximeter."""

    bp_state: int = DONE
    bp_age_s: int = NEVER
    systolic: int = 0
    diastolic: int = 0
    mean: int = 0
    rate: int = 0
    oximeter: int | None = OXIMETER_UNPLUGGED
    spo2: int = 0
    pulse: int = 0
    t_state: int | None = T_DONE
    t_counter: str = "A"
    t_age_s: int = NEVER_T
    t_tenths: int = 0
    t_mode: int = 0


IDLE = Second()


def message(body: str) -> bytes:
    """Two characters of checksum: each character less 31, twelve bits with the carry brought round."""
    total = 0
    for character in body:
        total += ord(character) - 31
        if total > 4095:
            total -= 4095
    high, low = divmod(total, 64)
    return f"{body}{chr(32 + high)}{chr(32 + low)}\r".encode("ascii")


def answer_to(request: str, now: Second) -> bytes:
    """What is not there is refused with a message of its own."""
    return message(_body(request, now) or " *N2")


def _body(request: str, now: Second) -> str | None:
    match request[1:3]:
        case "NA":
            pressures = f"{now.systolic:03}{now.diastolic:03}{now.mean:03}"
            return f" NA{now.bp_state}10{now.bp_age_s:04}{pressures}"
        case "NC":
            return " NC0"
        case "OA" if now.oximeter is not None:
            return f" OA{now.oximeter}{now.spo2 or NO_NUMBER:>03}508"
        case "RA":
            source, rate = (FROM_OXIMETER, now.pulse) if now.pulse else (FROM_CUFF, now.rate)
            return f" RA{source}{rate or NO_NUMBER:>03}"
        case "RC":
            return f" RC{FROM_CUFF}{now.rate or NO_NUMBER:>03}"
        case "TC" if now.t_state is not None:
            return f" TC{now.t_state}{now.t_mode}{now.t_counter}{now.t_age_s:05}{now.t_tenths:04}1"
    return None


def answering(seconds: Iterable[Second], fault: Answer | None = None, started: Iterable[Second] = ()) -> Run:
    """A monitor that goes through the seconds. fault: what it sends in place of an answer, given it and its number.
    started: what it goes through once the host has started the cuff."""
    plan, after_start = _ticking(seconds), _ticking(started)

    async def run(port: SerialPort) -> None:
        seconds, text, second, sent = list(plan), "", -1, 0
        while True:
            text += (await port.read()).decode("latin-1")
            *requests, text = text.split("\r")
            for request in requests:
                second += request[1:3] == "NA"
                if request[1:3] == "NC":
                    seconds.extend(after_start)
                plain = answer_to(request, seconds[min(max(second, 0), len(seconds) - 1)])
                await port.write(fault(plain, sent) if fault else plain)
                sent += 1
                if second == len(seconds):
                    return

    return run


def idle(now: Second, count: int = 2) -> list[Second]:
    """Time goes by."""
    return [now] * count


def cuff(now: Second, systolic: int, diastolic: int, mean: int, rate: int, state: int = DONE) -> list[Second]:
    """A determination: busy, with the numbers of before, then done, or failed, with them still."""
    busy = [replace(now, bp_state=BUSY)] * INFLATION_S
    if state != DONE:
        return busy + idle(replace(now, bp_state=state), 3)
    fresh = replace(now, systolic=systolic, diastolic=diastolic, mean=mean, rate=rate, bp_age_s=1, bp_state=DONE)
    return busy + idle(fresh, 3)


def finger(now: Second, spo2: int, pulse: int) -> list[Second]:
    on = replace(now, oximeter=OXIMETER_OK, spo2=spo2, pulse=pulse)
    settling = [replace(on, spo2=spo2 - 6), replace(on, spo2=spo2 - 3)]
    return [*settling, *idle(on, 8), *idle(replace(now, oximeter=OXIMETER_NO_DATA), 2)]


def probe(now: Second, tenths: int, counter: str, state: int = T_DONE) -> list[Second]:
    """tenths: of a degree Fahrenheit."""
    busy = [replace(now, t_state=T_BUSY, t_counter=counter)] * 4
    result = replace(now, t_state=state, t_counter=counter, t_tenths=tenths, t_age_s=1)
    return busy + idle(result, 3)


def _ticking(seconds: Iterable[Second]) -> list[Second]:
    """With the times since the last results as they go on from second to second until there is a new one."""
    ticking: list[Second] = []
    for now in seconds:
        before = ticking[-1] if ticking else now
        bp_s = 1 if before.bp_state == BUSY and now.bp_state == DONE else _next(before.bp_age_s, now.bp_age_s, NEVER)
        is_new = before.t_state == T_BUSY and now.t_state == T_DONE
        t_s = 1 if is_new else _next(before.t_age_s, now.t_age_s, NEVER_T)
        ticking.append(replace(now, bp_age_s=bp_s, t_age_s=t_s) if ticking else now)
    return ticking


def _next(before_s: int, now_s: int, never: int) -> int:
    return never if now_s == never else now_s if before_s == never else before_s + 1


def expect_bp(*numbers: int, origin: Origin = Origin.LIVE) -> Expected:
    names = (Name.SYSTOLIC, Name.DIASTOLIC, Name.MEAN, Name.PULSE_RATE)
    values = {name: Decimal(number) for name, number in zip(names, numbers, strict=False)}
    return Expected(kind=Kind.BLOOD_PRESSURE, values=values, origin=origin)


def expect_failure() -> Expected:
    values = dict.fromkeys((Name.SYSTOLIC, Name.DIASTOLIC, Name.MEAN), Absent.ERROR)
    return Expected(kind=Kind.BLOOD_PRESSURE, values=values, status=frozenset({Status.DEVICE_ERROR}))


def expect_spo2(spo2: int, pulse: int) -> Expected:
    values = {Name.SPO2: Decimal(spo2), Name.PULSE_RATE: Decimal(pulse)}
    return Expected(kind=Kind.PULSE_OXIMETRY, values=values)


def expect_temperature(value: str | Absent, *status: Status) -> Expected:
    number = value if isinstance(value, Absent) else Decimal(value)
    return Expected(kind=Kind.TEMPERATURE, values={Name.TEMPERATURE: number}, status=frozenset(status))


def measure(vitals: Vitals) -> SerialScenario:
    """Cuff, finger and probe, as in a row of vitals."""
    bp = (vitals.systolic_mmhg, vitals.diastolic_mmhg, vitals.mean_mmhg, vitals.pulse_per_min)
    tenths = int((vitals.temperature_cel * Decimal("1.8") + 32).quantize(Decimal("0.1")) * 10)
    after_cuff = cuff(IDLE, *bp)
    seconds = [*idle(IDLE), *after_cuff, *finger(after_cuff[-1], vitals.spo2_percent, vitals.pulse_per_min)]
    counter = chr(0x41 + tenths % 26) if tenths % 26 else "Z"  # another than at rest
    seconds += probe(replace(seconds[-1], t_counter=counter), tenths, counter)
    return SerialScenario(
        title=f"{bp[0]}/{bp[1]} mmHg, {vitals.spo2_percent} %, {Decimal(tenths) / 10} [degF]",
        run=answering(seconds),
        expected=(
            expect_bp(*bp),
            expect_spo2(vitals.spo2_percent, vitals.pulse_per_min),
            expect_temperature(f"{Decimal(tenths) / 10:.1f}"),
        ),
    )


def _scenario(
    title: str, run: Run, *expected: Expected, faulty: bool = False, start_on_connect: bool = False
) -> SerialScenario:
    options = {"poll_s": 0, "reply_timeout_s": 0.05 if faulty else 2, "start_on_connect": start_on_connect}
    return SerialScenario(title=title, run=run, expected=expected, options=options, faulty=faulty)


def _damaged(sent: bytes, number: int) -> bytes:
    return sent.replace(b"1", b"7") if number > 12 else sent


def _broken_off(sent: bytes, number: int) -> bytes:
    return sent[:5] if number > 12 else sent


async def _silent(port: SerialPort) -> None:
    await port.read()
    await port.pause(60)


async def _binary(port: SerialPort) -> None:
    """A PRO 1000 in native binary mode: its blocks, whatever it is asked (Zeriam/dinamap-reader, dinamap_data.txt)."""
    await port.read()
    for _ in range(60):
        await port.write(bytes.fromhex("000e600006019c7f1fc7f1fc000000f609ff"))
        await port.pause(0.02)


_BEFORE = Second(bp_age_s=2207, systolic=118, diastolic=80, mean=91, rate=72)
_FRESH = replace(_BEFORE, bp_age_s=20)
_BARE = replace(IDLE, oximeter=None, t_state=None)

SIMULATOR = SerialSimulator(
    id="dinamap",
    line=SerialSpec(baud=9600),
    scenarios={
        "cuff": _scenario(
            "a determination", answering([*idle(IDLE), *cuff(IDLE, 127, 73, 91, 64)]), expect_bp(127, 73, 91, 64)
        ),
        "two-patients": _scenario(
            "two patients, one after the other",
            answering(
                [*idle(IDLE), *cuff(IDLE, 127, 73, 91, 64), *cuff(replace(IDLE, bp_age_s=99), 162, 101, 121, 58)]
            ),
            expect_bp(127, 73, 91, 64),
            expect_bp(162, 101, 121, 58),
        ),
        "same-again": _scenario(
            "the same numbers twice are two readings",
            answering([*idle(_BEFORE), *cuff(_BEFORE, 118, 80, 91, 72)]),
            expect_bp(118, 80, 91, 72),
        ),
        "stale": _scenario("a determination of earlier stands when the host connects", answering(idle(_BEFORE, 6))),
        "just-finished": _scenario(
            "a determination is twenty seconds old when the host connects",
            answering(idle(_FRESH, 4)),
            expect_bp(118, 80, 91, 72),
        ),
        "failed": _scenario(
            "a determination fails, the numbers of before stay",
            answering([*idle(_BEFORE), *cuff(_BEFORE, 0, 0, 0, 0, FAILED)]),
            expect_failure(),
        ),
        "no-air": _scenario(
            "the cuff does not fill",
            answering([*idle(IDLE), *cuff(IDLE, 0, 0, 0, 0, PUMP_UP_TIMEOUT)]),
            expect_failure(),
        ),
        "bare": _scenario(
            "a monitor with a cuff only",
            answering([*idle(_BARE, 4), *cuff(_BARE, 127, 73, 91, 64)]),
            expect_bp(127, 73, 91, 64),
        ),
        "finger": _scenario(
            "a finger in the oximeter", answering([*idle(IDLE), *finger(IDLE, 97, 72)]), expect_spo2(97, 72)
        ),
        "probe": _scenario(
            "a temperature", answering([*idle(IDLE), *probe(IDLE, 986, "B")]), expect_temperature("98.6")
        ),
        "probe-slips": _scenario(
            "the probe loses contact",
            answering([*idle(IDLE), *probe(IDLE, 0, "B", T_LOST)]),
            expect_temperature(Absent.ERROR, Status.DEVICE_ERROR),
        ),
        "probe-put-back": _scenario(
            "the probe is put back early",
            answering([*idle(IDLE), *probe(IDLE, 0, "B", T_ABORTED)]),
            expect_temperature(Absent.NOT_PERFORMED),
        ),
        "started": _scenario(
            "started by the host, which was told that it may",
            answering(idle(IDLE), started=cuff(IDLE, 127, 73, 91, 64)),
            expect_bp(127, 73, 91, 64),
            start_on_connect=True,
        ),
        "native-binary": _scenario("a PRO 1000 that was set to binary", _binary, faulty=True),
        "checksum-errors": _scenario(
            "wrong sums from the middle of a determination on",
            answering([*idle(IDLE), *cuff(IDLE, 127, 73, 91, 64)], _damaged),
            faulty=True,
        ),
        "half-an-answer": _scenario(
            "answers break off from the middle of a determination on",
            answering([*idle(IDLE), *cuff(IDLE, 127, 73, 91, 64)], _broken_off),
            faulty=True,
        ),
        "silence": _scenario("no request is answered", _silent, faulty=True),
    },
    measure=measure,
    rest=SerialScenario(title="nothing is measured", run=answering([IDLE])),
)
