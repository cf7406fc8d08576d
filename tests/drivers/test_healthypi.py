"""ProtoCentral boards: what conformance and vectors do not try."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError

from devicebridge.sdk import DeviceIdentity, InProgress, UnexpectedDevice
from devicebridge.sdk.framer import NOISE_BYTES
from devicebridge_drivers.healthypi import DRIVER
from devicebridge_drivers.healthypi.options import HealthyPiOptions
from devicebridge_drivers.healthypi.session import QUIET_S, STRANGER_BYTES
from devicebridge_drivers.healthypi.vitals import BREATHS_STALE_S, STALE_S
from devicebridge_simulators.healthypi import ads1292r, healthypi4, healthypi5, healthypi5_eight, packet, pulse_wave
from support.asked import Asked, Kept
from support.traced import Traced
from support.virtual_time import run

HEALTHYPI4: dict[str, object] = {"board": "healthypi4", "steady_s": 2}


async def _played(pieces: list[bytes], options: dict[str, object], pause_s: float) -> Traced:
    board, kept = Asked(lambda _: []), Traced()
    session = asyncio.ensure_future(DRIVER.session(board, kept, HealthyPiOptions.model_validate(options)))
    for piece in pieces:
        await asyncio.sleep(pause_s)
        board.send(piece)
    await asyncio.sleep(0.1)
    session.cancel()
    await asyncio.gather(session, return_exceptions=True)
    assert not board.written
    return kept


def played(*pieces: bytes, options: dict[str, object] | None = None, pause_s: float = 0.1) -> Traced:
    return run(_played(list(pieces), options or {}, pause_s))


def seconds(count: int, one: bytes) -> list[bytes]:
    """Of a board with 125 packets a second."""
    return [one * 125] * count


def values(kept: Traced) -> list[tuple[str, str]]:
    return [(o.kind.value, str(o.values[0].value)) for group in kept.groups for o in group]


def test_it_says_which_board_it_is() -> None:
    assert played(healthypi5(1) * 3).events == [DeviceIdentity(manufacturer="ProtoCentral", model="HealthyPi 5")]


def test_after_a_silence_nobody_knows_how_many_samples_are_missing() -> None:
    kept = played(healthypi5(1), healthypi5(2), pause_s=QUIET_S * 1.1)
    assert [(w.first_index, w.after_unknown_gap) for w in kept.waves] == [(0, False), (1, True)]
    kept = played(healthypi5(1), healthypi5(2), pause_s=QUIET_S * 0.9)
    assert not any(w.after_unknown_gap for w in kept.waves)


def test_the_pulse_wave_does_not_hide_that_the_ekg_stopped() -> None:
    ekg, light = healthypi5_eight(range(8)), pulse_wave(97)
    kept = played(ekg, *[light] * 3, ekg, pause_s=QUIET_S * 0.5)
    assert kept.places == [(0, 8, False), (8, 8, True)]


def test_a_rate_that_was_found_on_somebody_else_is_not_read() -> None:
    """A HealthyPi 4 goes on with the last rate when electrodes are put on: Healthypiv4_Arduino.ino, loop."""
    before, off, now = healthypi4(5, rate=120), healthypi4(0, off=0x0C), healthypi4(5, rate=61)
    kept = played(*seconds(30, off), *seconds(STALE_S - 1, before), *seconds(6, now), options=HEALTHYPI4)
    assert values(kept) == [("heart-rate", "61")]


def test_each_time_that_electrodes_are_on_is_one_rate() -> None:
    on, off = healthypi4(5, rate=72), healthypi4(0, off=0x03)
    kept = played(*seconds(STALE_S + 20, on), *seconds(2, off), *seconds(STALE_S + 20, on), options=HEALTHYPI4)
    assert values(kept) == [("heart-rate", "72")] * 2
    assert kept.events.count(InProgress()) == 2


def test_a_rate_beside_zeros_is_of_nobody() -> None:
    """The first library sends the last rate without electrodes, and zeros for the EKG."""
    assert not played(*seconds(40, ads1292r(0, 72)), options={"board": "ads1292r", "steady_s": 2}).groups


def test_a_healthypi_5s_rate_is_not_read() -> None:
    assert not played(*seconds(60, healthypi5(5, rate=72))).groups


def test_the_blood_pressure_of_every_healthypi_4_is_not_read() -> None:
    assert {kind for kind, _ in values(played(*seconds(30, healthypi4(5, 97, 72)), options=HEALTHYPI4))} == {
        "heart-rate",
        "pulse-oximetry",
    }


def test_a_temperature_sensor_on_the_table_is_nobodys() -> None:
    options: dict[str, object] = {"board": "healthypi4", "temperature_steady_s": 5}
    assert not played(*seconds(30, healthypi4(5, hundredths_cel=2999)), options=options).groups
    warming = [healthypi4(5, hundredths_cel=3300 + 20 * n) * 125 for n in range(10)]
    held = seconds(5, healthypi4(5, hundredths_cel=3655))
    assert values(played(*warming, *held, options=options)) == [("temperature", "36.55")]


def test_another_finger_follows_a_silence() -> None:
    finger = seconds(4, healthypi5(5, 97) + healthypi5(6, 97))
    assert values(played(*finger, *finger, options={"steady_s": 2})) == [("pulse-oximetry", "97")]

    async def interrupted() -> Traced:
        board, kept = Asked(lambda _: []), Traced()
        session = asyncio.ensure_future(DRIVER.session(board, kept, HealthyPiOptions(steady_s=2)))
        for _ in range(2):
            for piece in finger:
                board.send(piece)
            await asyncio.sleep(QUIET_S * 1.5)
        session.cancel()
        await asyncio.gather(session, return_exceptions=True)
        return kept

    assert values(run(interrupted())) == [("pulse-oximetry", "97")] * 2


def test_something_else_on_the_line() -> None:
    line = Asked(lambda _: [])
    line.send(b"U" * (STRANGER_BYTES + 2 * NOISE_BYTES))
    with pytest.raises(UnexpectedDevice):
        run(DRIVER.session(line, Kept(), HealthyPiOptions()))
    rebooting = played(b"Setting up Healthy pI V4...\r\n" * 20, healthypi5(1), packet(bytes(22)))
    assert len(rebooting.waves) == 2


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"board": "ads1293"}, "needs rate_hz and microvolts_per_count"),
        ({"board": "ads1293", "rate_hz": "100"}, "needs rate_hz and microvolts_per_count"),
        ({"leads": ["I", "II"]}, "has 1 channels"),
        ({"board": "ads1293", "rate_hz": 100, "microvolts_per_count": 1, "leads": ["I", "I", "V1"]}, "of its own"),
    ],
)
def test_options_that_are_wrong(options: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        HealthyPiOptions.model_validate(options)


@pytest.mark.parametrize(
    ("board", "kind", "length", "full_scale_uv"),
    [
        ("healthypi5", 2, 22, 1_000_000 / 80),  # MAX30001 data sheet, ECG voltage: VREF / gain at 2^17
        ("healthypi4", 2, 20, 2_420_000 / 12 / (2**23 - 1) * 2**25),  # SBAS502, 8.3.8: VREF / gain at 2^23 - 1
        ("ads1292r", 2, 8, 2_420_000 / 12 / (2**23 - 1) * 2**19),
    ],
)
def test_the_scale_is_that_of_the_converter(board: str, kind: int, length: int, full_scale_uv: float) -> None:
    _, format_ = HealthyPiOptions.model_validate({"board": board}).layouts[kind, length]
    assert format_ is not None
    assert float(format_.scale * -format_.lowest) == pytest.approx(full_scale_uv)


def test_the_respiration_rate_counts_from_a_minute_of_electrodes_on() -> None:
    """A HealthyPi 4's byte 14: 14 breaths a minute in the simulator's packets."""
    options = HEALTHYPI4 | {"steady_s": 2}
    early = played(*seconds(BREATHS_STALE_S, healthypi4(40)), options=options)
    assert ("respiration-rate", "14") not in values(early)
    kept = played(*seconds(BREATHS_STALE_S + 4, healthypi4(40)), options=options)
    assert values(kept).count(("respiration-rate", "14")) == 1
    off = played(*seconds(BREATHS_STALE_S + 4, healthypi4(40, off=0x0C)), options=options)
    assert not values(off)
