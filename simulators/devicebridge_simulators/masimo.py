"""A Masimo oximeter with its serial output set to ASCII 1, written from the Rad-8 Operator's Manual (pp. 4-24, 7-3).

It says one line a second for as long as it is switched on, sensor or no sensor, and takes no commands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, SerialSpec, Status
from devicebridge.sdk.simulation import Expected, SerialPort, SerialScenario, SerialSimulator, Vitals

STEADY_S = 5
CLOCK = datetime(2026, 11, 21, 14, 30, 15)
SET = 0x800
NO_SENSOR, DEFECTIVE, LOW_PERFUSION, SEARCH, SENSOR_OFF, LOW_SIQ = 0x001, 0x002, 0x004, 0x008, 0x020, 0x400
LOW_BATTERY_ALARM = 0x0040
GARBAGE = bytes.fromhex("00ff5a0d0a410142018033c4a5")
CO_OXIMETRY = "SPCO=01.0% SPMET=00.5% DESAT=01 PIDELTA=-02 PVI=027"
NO_CO_OXIMETRY = "SPCO=--.-% SPMET=--.-% DESAT=-- PIDELTA=+--"
Run = Callable[[SerialPort], Awaitable[None]]


@dataclass(frozen=True)
class Second:
    """What the monitor shows for one second; None is a dash."""

    spo2: int | None = None
    pulse: int | None = None
    perfusion: str | None = None
    exceptions: int = SET
    alarms: int = 0
    more: str = NO_CO_OXIMETRY


OFF = Second(exceptions=SET | SENSOR_OFF)


def line(second: Second, when: datetime, serial: str = "0000056661") -> bytes:
    """An ASCII 1 line."""
    spo2 = "---" if second.spo2 is None else f"{second.spo2:03d}"
    pulse = "---" if second.pulse is None else f"{second.pulse:03d}"
    return (
        f"{when:%m/%d/%y %H:%M:%S} SN={serial} SPO2={spo2}% BPM={pulse} PI={second.perfusion or '--.--'}% "
        f"{second.more} ALARM={second.alarms:04X} EXC={second.exceptions:06X}\r\n"
    ).encode()


def trend(second: Second, when: datetime) -> bytes:
    """A line of the trend download: three digits of exceptions, zeros for what is not known."""
    words = ",".join(word for bit, word in ((SEARCH, "Search"), (SENSOR_OFF, "OffPat")) if second.exceptions & bit)
    return (
        f"{when:%m/%d/%y %H:%M:%S} SpO2={second.spo2 or 0:03d} PR={second.pulse or 0:03d} "
        f"PI={second.perfusion or '00.00'} EXC={second.exceptions:03X}:{words + ',' if words else ''}SET\r\n"
    ).encode()


def put_on(shown: Second) -> list[Second]:
    """The sensor is put on, the monitor searches, and the values hold still."""
    searching = [Second(exceptions=SEARCH), replace(shown, spo2=88, exceptions=shown.exceptions | SEARCH)]
    return [OFF, *searching, *[shown] * STEADY_S]


def whole(shown: Second) -> list[Second]:
    """The sensor is put on and taken off again: for a while the monitor goes on showing the last numbers."""
    return [*put_on(shown), *[replace(shown, exceptions=SET | SENSOR_OFF)] * 3, OFF]


def lines(seconds: Sequence[Second], start: datetime = CLOCK) -> list[bytes]:
    return [line(second, start + timedelta(seconds=n)) for n, second in enumerate(seconds)]


def sending(pieces: Iterable[bytes], every_s: float = 1.0) -> Run:
    pieces = list(pieces)

    async def run(port: SerialPort) -> None:
        for piece in pieces:
            await port.write(piece)
            await port.pause(every_s)

    return run


def expect(shown: Second, start: datetime, *status: Status) -> Expected:
    """The reading of a sensor put on at `start`: it stands with the last of the steady seconds."""
    assert shown.spo2 is not None and shown.pulse is not None
    perfusion = Absent.UNKNOWN if shown.perfusion is None else Decimal(shown.perfusion)
    values: dict[Name, Decimal | Absent] = {
        Name.SPO2: Decimal(shown.spo2),
        Name.PULSE_RATE: Decimal(shown.pulse),
        Name.PERFUSION_INDEX: perfusion,
    }
    seconds = len(put_on(shown)) - 1
    return Expected(
        kind=Kind.PULSE_OXIMETRY,
        values=values,
        status=frozenset(status),
        device_time=start + timedelta(seconds=seconds),
    )


def one(title: str, shown: Second, *status: Status, start: datetime = CLOCK) -> SerialScenario:
    return SerialScenario(
        title=title,
        run=sending(lines(whole(shown), start)),
        expected=(expect(shown, start, *status),),
    )


def measure(vitals: Vitals) -> SerialScenario:
    shown = Second(vitals.spo2_percent, vitals.pulse_per_min, "03.60")
    return one(f"{shown.spo2} %, {shown.pulse}/min", shown, start=vitals.local_time.replace(microsecond=0))


def _two_sensors() -> SerialScenario:
    first, second = whole(USUAL), whole(replace(USUAL, spo2=91, pulse=110))
    later = CLOCK + timedelta(seconds=len(first))
    return SerialScenario(
        title="two patients, one after the other",
        run=sending(lines(first + second)),
        expected=(expect(USUAL, CLOCK), expect(replace(USUAL, spo2=91, pulse=110), later)),
    )


USUAL = Second(97, 72, "03.60")

SIMULATOR = SerialSimulator(
    id="masimo",
    line=SerialSpec(baud=9600),
    scenarios={
        "spot": one("a sensor is put on, the values settle and hold, it is taken off", USUAL),
        "radical-7": one("the same with CO-oximetry and PVI in the line", replace(USUAL, more=CO_OXIMETRY)),
        "no-perfusion-index": one("the same without a perfusion index", Second(98, 101)),
        "low-signal": one(
            "low signal IQ and low perfusion",
            Second(93, 118, "00.21", exceptions=SET | LOW_SIQ | LOW_PERFUSION),
            Status.POOR_SIGNAL,
            Status.LOW_PERFUSION,
        ),
        "low-battery": one("the battery is low", replace(USUAL, alarms=LOW_BATTERY_ALARM), Status.LOW_BATTERY),
        "wrong-clock": one("its clock is five hours behind", USUAL, start=CLOCK - timedelta(hours=5)),
        "clock-unset": one("its clock was never set", USUAL, Status.CLOCK_UNSET, start=datetime(2000, 1, 1, 0, 0, 9)),
        "two-sensors": _two_sensors(),
        "stopped": SerialScenario(
            title="switched off between two patients, neither of whom was measured for five seconds",
            run=sending(
                [
                    *lines(put_on(USUAL)[:-1]),
                    *lines([replace(USUAL, spo2=96, pulse=76)] * 4, CLOCK + timedelta(minutes=30)),
                ]
            ),
        ),
        "shivering": SerialScenario(
            title="the pulse rate never holds still",
            run=sending(lines([OFF, *(Second(94, 60 + 15 * (n % 3), "01.10") for n in range(20)), OFF])),
        ),
        "taken-off-early": SerialScenario(
            title="the sensor leaves before five seconds; the numbers stay for a while",
            run=sending(lines([OFF, *[USUAL] * 3, *[replace(USUAL, exceptions=SET | SENSOR_OFF)] * 8])),
        ),
        "defective-sensor": SerialScenario(
            title="a defective sensor, then none",
            run=sending(
                lines([*[replace(USUAL, exceptions=SET | DEFECTIVE)] * 8, *[Second(exceptions=NO_SENSOR)] * 3])
            ),
        ),
        "trend": SerialScenario(
            title="a trend download, every two seconds: a recording and no spot check",
            run=sending([trend(s, CLOCK + timedelta(seconds=2 * n)) for n, s in enumerate([OFF, *[USUAL] * 12, OFF])]),
        ),
        "garbage": SerialScenario(
            title="noise in the midst of the steady seconds",
            run=sending([*lines(put_on(USUAL)[:5]), GARBAGE, *lines(whole(USUAL), CLOCK + timedelta(seconds=6))]),
            expected=(expect(USUAL, CLOCK + timedelta(seconds=6)),),
            faulty=True,
        ),
        "half-a-line": SerialScenario(
            title="joined in the middle of a line, and unplugged in one",
            run=sending([line(USUAL, CLOCK)[40:], line(USUAL, CLOCK + timedelta(seconds=1))[:60]]),
            faulty=True,
        ),
        "silence": SerialScenario(title="switched off", run=sending([b""], 60.0), faulty=True),
    },
    measure=measure,
    rest=SerialScenario(title="no sensor on a patient", run=sending([line(OFF, CLOCK)])),
)
