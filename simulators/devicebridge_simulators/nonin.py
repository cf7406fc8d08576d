"""A Nonin pulse oximeter on a serial line, written from Nonin 6470-000-01 (9560) and 7970-000-05 (3150).

It speaks once a second (formats 1 and 8), 75 times a second in packets of 25 frames (formats 2 and 7), or once for each
finished spot check (format 13), and takes a command to select the format.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from devicebridge.sdk import Absent, Kind, Name, Origin, SerialSpec, Status
from devicebridge.sdk.simulation import Expected, SerialPort, SerialScenario, SerialSimulator, Vitals

NO_SPO2, NO_PULSE = 127, 511
SETTLE_S, STEADY_S, HELD_S = 3, 8, 10
ACK, SELECT_FORMAT_8, GET_TIME = b"\x06", bytes.fromhex("027002020803"), bytes.fromhex("02720003")
CLOCK = datetime(2026, 11, 21, 14, 30, 15)
GARBAGE = bytes.fromhex("5a0d0a410142018033c4a5") * 3


@dataclass(frozen=True)
class Signal:
    """What the sensor sees for one second."""

    spo2: int = NO_SPO2
    pulse: int = NO_PULSE
    sensor_alarm: bool = False
    out_of_track: bool = False
    artifact: bool = False
    low_perfusion: bool = False
    smart_point: bool = False
    low_battery: bool = False
    display: tuple[int, int] | None = None
    """The display values of formats 2 and 7 where they differ: (SpO2, pulse rate)."""


NO_FINGER = Signal(sensor_alarm=True)
Encoder = Callable[[Signal], bytes]
Run = Callable[[SerialPort], Awaitable[None]]


def format_1(signal: Signal) -> bytes:
    """Three bytes: status with the two high bits of the pulse rate, its seven low bits, SpO2."""
    status = (
        0x80
        + 0x40 * signal.sensor_alarm
        + 0x20 * signal.out_of_track
        + 0x10 * signal.low_perfusion
        + 0x04 * signal.artifact
        + signal.pulse // 128
    )
    return bytes((status, signal.pulse % 128, signal.spo2))


def format_8(signal: Signal) -> bytes:
    """As format 1, where the sensor alarm has moved to a second status byte."""
    status_2 = 0x20 * signal.smart_point + 0x08 * signal.sensor_alarm + 0x01 * signal.low_battery
    return format_1(replace(signal, sensor_alarm=False)) + bytes((status_2,))


def format_2(signal: Signal) -> bytes:
    """One second: three packets of 25 frames of five bytes."""
    return b"".join(_with_sum(bytes((1, *frame))) for frame in _frames(signal, lambda pleth: (pleth >> 8,)))


def format_7(signal: Signal) -> bytes:
    """As format 2, with 16 bits of pleth and no start byte."""
    return b"".join(_with_sum(bytes(frame)) for frame in _frames(signal, lambda pleth: (pleth >> 8, pleth & 0xFF)))


def format_13(signal: Signal, when: datetime | bytes, *, stored: bool = False, serial: str = "") -> bytes:
    """A spot check: header, BCD time (or eight bytes in its stead), status, pulse rate, SpO2, serial, sum, ETX."""
    time = when if isinstance(when, bytes) else bytes.fromhex(when.strftime("%Y%m%d%H%M%S") + "00")
    missing = signal.spo2 == NO_SPO2 or signal.pulse == NO_PULSE
    status = bytes((0x02 * signal.smart_point + missing, 0x10 * stored + signal.low_battery))
    data = time + status + signal.pulse.to_bytes(2, "big") + bytes((0, signal.spo2)) + serial.encode()
    return b"\x00\x02\x00\x0d" + len(data).to_bytes(2, "big") + data + bytes((sum(data) % 256, 3))


def _frames(signal: Signal, pleth_bytes: Callable[[int], tuple[int, ...]]) -> Iterable[tuple[int, ...]]:
    """Status, pleth and payload of 75 frames."""
    payloads = _payloads(signal)
    for number in range(75):
        place = number % 25
        in_pulse = number % 62 < 12 and not signal.sensor_alarm  # perfusion shows for 12 frames of each pulse
        status = (
            0x80
            + 0x20 * (signal.artifact and in_pulse)
            + 0x10 * signal.out_of_track
            + 0x08 * signal.sensor_alarm
            + (0x04 if signal.low_perfusion else 0x02) * in_pulse
            + (place == 0)
        )
        pleth = 0x8000 + 500 * (number % 62 if in_pulse else 0)
        yield (status, *pleth_bytes(pleth), payloads[place])


def _payloads(signal: Signal) -> list[int]:
    spo2_d, pulse_d = signal.display or (signal.spo2, signal.pulse)
    payloads = [0] * 25
    payloads[0:4] = [signal.pulse // 128, signal.pulse % 128, signal.spo2, 0x30]
    payloads[7] = 0x20 * signal.smart_point + signal.low_battery
    payloads[8:11] = [spo2_d, signal.spo2, signal.spo2]
    payloads[13:17] = [signal.pulse // 128, signal.pulse % 128, signal.spo2, spo2_d]
    payloads[19:23] = [pulse_d // 128, pulse_d % 128] * 2
    return payloads


def _with_sum(frame: bytes) -> bytes:
    return frame + bytes((sum(frame) % 256,))


def finger(spo2: int, pulse: int) -> list[Signal]:
    """The finger goes in, the values settle and hold still."""
    settled = Signal(spo2, pulse, smart_point=True)
    settling = [Signal(spo2 - 8, pulse + 24, out_of_track=True), Signal(spo2 - 5, pulse + 15), Signal(spo2 - 3, pulse)]
    return [NO_FINGER, Signal(), *settling[:SETTLE_S], *[settled] * STEADY_S]


def removed(spo2: int, pulse: int) -> list[Signal]:
    """The finger is gone; the display shows its last values for ten seconds more."""
    return [replace(NO_FINGER, display=(spo2, pulse))] * HELD_S + [NO_FINGER] * 2


def whole(spo2: int, pulse: int) -> list[Signal]:
    return finger(spo2, pulse) + removed(spo2, pulse)


def stream(signals: Iterable[Signal], encode: Encoder) -> Run:
    """Sends the signals, one a second."""
    return sending(list(map(encode, signals)), 1.0)


def sending(pieces: Iterable[bytes], every_s: float) -> Run:
    pieces = list(pieces)

    async def run(port: SerialPort) -> None:
        for piece in pieces:
            await port.write(piece)
            await port.pause(every_s)

    return run


def expect(
    spo2: int | Absent,
    pulse: int | Absent,
    *status: Status,
    when: datetime | None = None,
    origin: Origin = Origin.LIVE,
) -> Expected:
    values = {Name.SPO2: spo2, Name.PULSE_RATE: pulse}
    return Expected(
        kind=Kind.PULSE_OXIMETRY,
        values={name: v if isinstance(v, Absent) else Decimal(v) for name, v in values.items()},
        status=frozenset(status),
        device_time=when,
        origin=origin,
    )


def measure(vitals: Vitals) -> SerialScenario:
    return _one(f"{vitals.spo2_percent} %, {vitals.pulse_per_min}/min", vitals.spo2_percent, vitals.pulse_per_min)


def _one(title: str, spo2: int, pulse: int, encode: Encoder = format_8) -> SerialScenario:
    status = () if encode is format_1 else (Status.VALIDATED,)
    return SerialScenario(title=title, run=stream(whole(spo2, pulse), encode), expected=(expect(spo2, pulse, *status),))


def _never_steady() -> list[Signal]:
    return [NO_FINGER, *(Signal(90 + 3 * (n % 3), 60 + 20 * (n % 4)) for n in range(30)), NO_FINGER]


def _spot_checks(count: int) -> list[tuple[Signal, datetime]]:
    """`count` in memory, oldest first, and a live one."""
    return [
        (Signal(93 + n % 6, 60 + n, smart_point=True), CLOCK - timedelta(hours=count - n)) for n in range(count + 1)
    ]


def _backlog(count: int) -> SerialScenario:
    checks = _spot_checks(count)
    pieces = [format_13(s, when, stored=n < count, serial="501493200") for n, (s, when) in enumerate(checks)]
    return SerialScenario(
        title=f"format 13: {count} spot checks from memory, then a live one",
        run=sending(pieces, 0.2),
        expected=tuple(
            expect(s.spo2, s.pulse, Status.VALIDATED, when=when, origin=Origin.STORED if n < count else Origin.LIVE)
            for n, (s, when) in enumerate(checks)
        ),
    )


def _with_bad_sums(signals: list[Signal]) -> list[bytes]:
    """Format 2, where every tenth packet's first frame has a wrong sum."""
    stream_bytes = bytearray(b"".join(map(format_2, signals)))
    for start in range(0, len(stream_bytes), 1250):
        stream_bytes[start + 4] ^= 0x40
    return [bytes(stream_bytes[i : i + 375]) for i in range(0, len(stream_bytes), 375)]


def _after_a_command(command: bytes, answer: bytes, then: Run) -> Run:
    """Waits for the command, answers it, and goes on."""

    async def run(port: SerialPort) -> None:
        got = b""
        while not got.endswith(command):
            got = (got + await port.read())[-len(command) :]
        await port.write(answer)
        await then(port)

    return run


def _time_reply(now: datetime) -> bytes:
    """The present time in binary."""
    return bytes((0x02, 0xF2, 6, now.year - 2000, now.month, now.day, now.hour, now.minute, now.second, 3))


_SPOT = Signal(97, 72, smart_point=True)
_WEAK = [replace(s, low_perfusion=True, smart_point=False) for s in finger(91, 118)]
_FLAT_BATTERY = [replace(s, low_battery=True) for s in whole(96, 64)]
_READ = expect(97, 72, Status.VALIDATED)

SIMULATOR = SerialSimulator(
    id="nonin",
    line=SerialSpec(baud=9600),
    scenarios={
        "spot": _one("format 8: a finger in, values settle and hold, finger out", 97, 72),
        "format1": _one("format 1: the same", 97, 72, format_1),
        "stream2": _one("format 2: the same", 97, 72, format_2),
        "stream7": _one("format 7: the same", 98, 135, format_7),
        "spot13": SerialScenario(
            title="format 13: one spot check",
            run=sending([format_13(_SPOT, CLOCK)], 1.0),
            expected=(expect(97, 72, Status.VALIDATED, when=CLOCK),),
        ),
        "backlog13": _backlog(20),
        "no-measurement": SerialScenario(
            title="format 13: the oximeter could not measure",
            run=sending([format_13(Signal(), CLOCK)], 1.0),
            expected=(expect(Absent.NOT_PERFORMED, Absent.NOT_PERFORMED, when=CLOCK),),
        ),
        "wrong-clock": SerialScenario(
            title="format 13: the clock was never set",
            run=sending([format_13(_SPOT, bytes(8))], 1.0),
            expected=(expect(97, 72, Status.VALIDATED, Status.CLOCK_UNSET),),
        ),
        "low-battery": SerialScenario(
            title="format 8: the battery is low",
            run=stream(_FLAT_BATTERY, format_8),
            expected=(expect(96, 64, Status.VALIDATED, Status.LOW_BATTERY),),
        ),
        "low-perfusion": SerialScenario(
            title="format 2: cold finger",
            run=stream(_WEAK, format_2),
            expected=(expect(91, 118, Status.LOW_PERFUSION),),
        ),
        "finger-off": SerialScenario(
            title="format 2: the finger leaves before the values settle, the display holds them",
            run=stream([NO_FINGER, *[_SPOT] * 3, *removed(97, 72)], format_2),
        ),
        "never-steady": SerialScenario(title="format 8: shivering", run=stream(_never_steady(), format_8)),
        "two-fingers": SerialScenario(
            title="format 8: two patients, one after the other",
            run=stream(whole(97, 72) + whole(88, 104), format_8),
            expected=(_READ, expect(88, 104, Status.VALIDATED)),
        ),
        "select-format": SerialScenario(
            title="format 8, when told to",
            run=_after_a_command(SELECT_FORMAT_8, ACK, stream(whole(97, 72), format_8)),
            expected=(_READ,),
            options={"data_format": "8", "select_format": True},
        ),
        "read-clock": SerialScenario(
            title="format 13, after it was asked for its time",
            run=_after_a_command(GET_TIME, _time_reply(CLOCK), sending([format_13(_SPOT, CLOCK)], 1.0)),
            expected=(expect(97, 72, Status.VALIDATED, when=CLOCK),),
            options={"read_clock": True},
        ),
        "held-values": SerialScenario(
            title="format 8: the numbers stay for ten seconds after the finger is gone",
            run=stream([NO_FINGER, *[_SPOT] * 3, *[replace(_SPOT, sensor_alarm=True)] * HELD_S], format_8),
        ),
        "garbage": SerialScenario(
            title="format 2 with noise before it and in the midst",
            run=sending([GARBAGE, *map(format_2, finger(97, 72)[:7]), GARBAGE, *map(format_2, whole(97, 72))], 1.0),
            expected=(_READ,),
            faulty=True,
        ),
        "checksum-errors": SerialScenario(
            title="format 2 with wrong sums",
            run=sending(_with_bad_sums(finger(97, 72)), 1.0),
            faulty=True,
        ),
        "half-a-frame": SerialScenario(
            title="format 13: a spot check that breaks off",
            run=sending([format_13(_SPOT, CLOCK)[:15]], 1.0),
            faulty=True,
        ),
        "silence": SerialScenario(title="nothing is sent", run=sending([b""], 60.0), faulty=True),
    },
    measure=measure,
    rest=SerialScenario(title="format 8: no finger", run=stream([NO_FINGER], format_8)),
)
