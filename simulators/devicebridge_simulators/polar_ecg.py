"""A Polar H10 on a synthetic heart, from Polar's measurement data specification and what a real one was seen to do.

(github.com/phdiethelm/h10_ecg, exploration/gatttool.md.) It streams once it is told to: 73 samples a frame.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from devicebridge.sdk import Lead
from devicebridge.sdk.heart import Heart
from devicebridge.sdk.peripheral import Inbox, battery, device_information
from devicebridge.sdk.simulation import (
    Access,
    Characteristic,
    GattPort,
    GattScenario,
    GattSimulator,
    Service,
    Vitals,
)
from devicebridge.sdk.wave import Row

SERVICE = "fb005c80-02e7-f387-1cad-8acd2d8df0c8"
CONTROL = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"
BEGIN, STOP = bytes.fromhex("02000001820001010e00"), bytes.fromhex("0300")
BEGUN, ALREADY, STOPPED = bytes.fromhex("f00200000000"), bytes.fromhex("f00200060000"), bytes.fromhex("f0030000")
FEATURES = bytes.fromhex("0f05000000000000000000000000000000")
RATE_HZ, PER_FRAME, EPOCH_NS = 130, 73, 599_616_000_000_000_000
"""The strap's clock begins in 2019."""


def frame(number: int, microvolts: Sequence[int], rate_hz: float = RATE_HZ) -> bytes:
    """number: of its last sample, from 1 on."""
    time_ns = EPOCH_NS + round(number / rate_hz * 1e9)
    samples = b"".join(sample.to_bytes(3, "little", signed=True) for sample in microvolts)
    return b"\x00" + time_ns.to_bytes(8, "little") + b"\x00" + samples


def heart(pulse_per_min: int, frames: int) -> list[int]:
    beating = Heart(pulse_per_min)
    return [round(beating.millivolts(Lead.II, n / RATE_HZ) * 1000) for n in range(frames * PER_FRAME)]


def scenario(
    title: str,
    samples: Sequence[int],
    *,
    lost: Collection[int] = (),
    doubled: Collection[int] = (),
    rate_hz: float = RATE_HZ,
    is_running: bool = False,
    strange: bytes = b"",
) -> GattScenario:
    """lost, doubled: frames by number. rate_hz: of the strap itself. strange: notified before the third frame."""
    inbox = Inbox()
    pieces = [samples[at : at + PER_FRAME] for at in range(0, len(samples), PER_FRAME)]

    def services() -> tuple[Service, ...]:
        inbox.clear()
        control = Access.READ | Access.WRITE | Access.INDICATE
        own = (
            Characteristic(uuid=CONTROL, access=control, value=FEATURES, written=inbox.written),
            Characteristic(uuid=DATA, access=Access.NOTIFY),
        )
        return (Service(SERVICE, own), device_information("H10", "SIM-ECG-1"), battery(80))

    async def run(port: GattPort) -> None:
        running = is_running
        while (command := await inbox.next()) != BEGIN or running:
            running = running and command != STOP
            await port.indicate(CONTROL, ALREADY if command == BEGIN else STOPPED)
        await port.indicate(CONTROL, BEGUN)
        for number, piece in enumerate(pieces):
            await port.pause(len(piece) / rate_hz)
            if number == 2 and strange:
                await port.notify(DATA, strange)
            for _ in range(0 if number in lost else 2 if number in doubled else 1):
                await port.notify(DATA, frame(number * PER_FRAME + len(piece), piece, rate_hz))

    rows: list[Row] = []
    for number, piece in enumerate(pieces):
        rows += [(None if number in lost else sample,) for sample in piece]
    return GattScenario(title=title, services=services, run=run, rows=tuple(rows))


def _measure(vitals: Vitals) -> GattScenario:
    """The strap is worn for a quarter of a minute."""
    return scenario(f"{vitals.pulse_per_min}/min", heart(vitals.pulse_per_min, 27))


_OFF = [0, 8_388_607, -8_388_608] * PER_FRAME
"""What an electrode without contact picks up: the ends of what 24 bits can say."""

SIMULATOR = GattSimulator(
    id="polar-ecg",
    name="Polar H10 12345678",
    advertised=(SERVICE,),
    measure=_measure,
    scenarios={
        "trace": scenario("worn for three seconds", heart(72, 6)),
        "no-contact": scenario("an electrode without contact", _OFF),
        "lost-frames": scenario("frames lost on the way", heart(72, 8), lost=(2, 5, 6)),
        "doubled-frames": scenario("frames that come twice", heart(72, 5), doubled=(1, 3)),
        "quick-crystal": scenario("a strap whose clock is half a percent quick", heart(72, 8), rate_hz=130.65),
        "running": scenario("a stream that an earlier session left running", heart(72, 3), is_running=True),
        "acceleration": scenario(
            "other data between", heart(72, 4), strange=bytes((2, *bytes(8), 1, 1, 2, 3, 4, 5, 6))
        ),
        "half-a-sample": scenario("a frame that breaks off", heart(72, 4), strange=frame(146, [5, 6])[:-1]),
    },
)
