"""Five-byte packets: what a packet says, and the rule by which a stream becomes a reading."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicebridge.sdk import DeviceIdentity, Frame, InProgress, Loss, Name, Noise, Parity, Status
from devicebridge.sdk.simulation import SerialPort, SerialScenario
from devicebridge_drivers.bci_oximeter import DRIVER
from devicebridge_drivers.bci_oximeter.codec import Packet, codec
from devicebridge_drivers.bci_oximeter.session import BciOptions
from devicebridge_simulators.bci_oximeter import NO_FINGER, SIMULATOR, UART, Moment, packet
from support.cable import Heard, hear
from support.radio import play as play_over_radio

GOOD = Moment(97, 72)
SECOND = 60


def play(pieces: Sequence[bytes | float], **options: object) -> Heard:
    """The last packet is held back until the next one proves it, so one more is sent."""
    options = {"packets_per_s": SECOND, "steady_s": 1, **options}
    kept = hear(DRIVER, [*pieces, packet(Moment())], Heard(), **options)
    assert kept.writes == [], "it takes no commands"
    return kept


def packets(moments: Sequence[Moment]) -> list[bytes]:
    return [packet(moment, number) for number, moment in enumerate(moments)]


def decode(data: bytes, size: int | None = None) -> list[Frame | Noise]:
    one = codec()
    pieces = [data[i : i + size] for i in range(0, len(data), size)] if size else [data]
    return [*(item for piece in pieces for item in one.feed(piece)), *one.close()]


moments = st.builds(
    Moment,
    spo2=st.integers(0, 127),
    pulse=st.integers(0, 255),
    signal=st.integers(0, 15),
    no_signal=st.booleans(),
    unplugged=st.booleans(),
    no_finger=st.booleans(),
    searching=st.booleans(),
)


@given(st.lists(st.builds(packet, moments) | st.binary(max_size=12), max_size=12), st.integers(1, 9))
def test_every_byte_is_in_one_item_however_they_are_cut(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    whole = decode(data)
    assert b"".join(item.raw for item in whole) == data
    assert decode(data, size) == whole


@given(moments)
def test_what_is_sent_is_said_unless_the_device_says_it_is_no_measurement(moment: Moment) -> None:
    (item,) = decode(packet(moment))
    assert isinstance(item, Packet)
    assert (item.spo2, item.pulse, item.signal) == (moment.spo2, moment.pulse, moment.signal)
    values = {v.name: v.value for v in item.group[0].values}
    measures = not moment.no_finger and not moment.no_signal
    assert values[Name.SPO2] == (moment.spo2 if measures and 1 <= moment.spo2 <= 100 else None)
    assert values[Name.PULSE_RATE] == (moment.pulse if measures and 1 <= moment.pulse <= 254 else None)


@given(st.lists(moments, min_size=2, max_size=8), st.integers(0, 4))
def test_joined_anywhere_only_what_was_sent_is_said(said: list[Moment], joined: int) -> None:
    items = decode(b"".join(map(packet, said))[joined:])
    got = [(i.spo2, i.pulse) for i in items if isinstance(i, Packet)]
    assert got == [(m.spo2, m.pulse) for m in said][len(said) - len(got) :]
    assert len(got) >= len(said) - 1


@given(st.integers(0, 4), st.integers(2, 12))
def test_a_lost_byte_costs_two_packets_and_invents_none(at: int, number: int) -> None:
    said = [Moment(90 + n % 8, 60 + n) for n in range(16)]
    sent = list(map(packet, said))
    sent[number] = sent[number][:at] + sent[number][at + 1 :]
    got = [(i.spo2, i.pulse) for i in decode(b"".join(sent)) if isinstance(i, Packet)]
    assert set(got) <= {(m.spo2, m.pulse) for m in said}
    assert len(got) >= 14


@pytest.mark.parametrize("seed", range(3))
def test_f02_line_noise_makes_no_reading(seed: int) -> None:
    assert play([random.Random(seed).randbytes(60_000)]).groups == []


def test_a_steady_second_makes_a_reading_and_no_second_one() -> None:
    assert play(packets([NO_FINGER, *[GOOD] * (SECOND - 1)])).numbers == []
    assert play(packets([NO_FINGER, *[GOOD] * SECOND])).numbers == [(97, 72)]
    assert play(packets([NO_FINGER, *[GOOD] * SECOND * 20])).numbers == [(97, 72)]


def test_five_seconds_at_a_hundred_packets_are_the_default() -> None:
    assert BciOptions().steady_s * BciOptions().packets_per_s == 500


@pytest.mark.parametrize("away", [NO_FINGER, Moment(), replace(GOOD, no_finger=True), replace(GOOD, no_signal=True)])
def test_the_next_reading_needs_the_finger_gone_and_steady_again(away: Moment) -> None:
    other = Moment(91, 110)
    assert play(packets([*[GOOD] * 90, away, *[other] * (SECOND - 1)])).numbers == [(97, 72)]
    assert play(packets([*[GOOD] * 90, away, *[other] * SECOND])).numbers == [(97, 72), (91, 110)]


def test_a_search_starts_the_seconds_anew() -> None:
    lost = replace(GOOD, searching=True)
    assert play(packets([*[GOOD] * 50, lost, *[GOOD] * (SECOND - 1)])).numbers == []
    assert play(packets([*[GOOD] * 50, lost, *[GOOD] * SECOND])).numbers == [(97, 72)]


def test_noise_starts_the_seconds_anew() -> None:
    kept = play([*packets([GOOD] * 50), b"\x00", *packets([GOOD] * (SECOND - 1))])
    assert kept.numbers == []
    assert any(isinstance(event, Noise) for event in kept.events)


OTHER = Moment(96, 76)


def test_packets_that_stop_end_the_finger_so_that_two_patients_are_never_one_reading() -> None:
    hundreds = {"packets_per_s": 100, "steady_s": 5}
    assert play([*packets([GOOD] * 490), 1.5, *packets([OTHER] * 12)], **hundreds).numbers == []
    assert play([*packets([GOOD] * 490), 0.5, *packets([GOOD] * 12)], **hundreds).numbers == [(97, 72)]


def test_the_patient_after_packets_that_stopped_is_read() -> None:
    assert play([*packets([GOOD] * 90), 1.5, *packets([OTHER] * SECOND)]).numbers == [(97, 72), (96, 76)]


def test_a_flipped_bit_in_the_numbers_changes_nothing() -> None:
    steady = packets([GOOD] * SECOND)
    steady[30] = bytes((*steady[30][:4], 96))
    assert play(steady).numbers == [(97, 72)]


def test_a_falling_spo2_is_read_with_the_bit_that_says_so() -> None:
    """BCI calls it an unplugged probe, Contec a falling SpO2."""
    ((reading,),) = play(packets([Moment(84, 96, unplugged=True)] * SECOND)).groups
    assert [int(v.value or 0) for v in reading.values] == [84, 96]
    assert reading.status == frozenset()


def test_an_unplugged_probe_without_numbers_is_named() -> None:
    (item,) = decode(packet(Moment(unplugged=True)))
    assert isinstance(item, Packet)
    assert item.group[0].status == {Status.SENSOR_DISCONNECTED}


def test_a_finger_is_noted_once() -> None:
    assert play(packets([NO_FINGER, *[GOOD] * 90, NO_FINGER])).events == [InProgress()]


def test_the_line_of_each_model_is_named() -> None:
    lines = {(link.baud, link.parity) for link in DRIVER.manifest.links if hasattr(link, "baud")}
    assert lines == {(115_200, Parity.NONE), (19_200, Parity.ODD), (4_800, Parity.ODD)}


def test_over_radio_a_finger_is_one_reading() -> None:
    kept, lost = play_over_radio(DRIVER, SIMULATOR.gatt, "ble-spot")
    assert lost is Loss.DISCONNECTED
    assert len(kept.observations) == 1
    assert [i.model for i in kept.noted(DeviceIdentity)] == ["BM1000C"]


def test_over_radio_another_protocol_of_the_same_maker_gives_nothing() -> None:
    """Twenty bytes with the head FF AA, in the same service; for thirty seconds."""

    async def other(port: SerialPort) -> None:
        for number in range(3_000):
            await port.write(bytes((0xFF, 0xAA, number % 256, 0, 98, 98, 130, 70, 48, 0, 20, 20, 80, 100, 0, 0, 0)))

    scenario = UART.scenario(SerialScenario(title="Berry Protocol V1.5", run=other))
    assert play_over_radio(DRIVER, SIMULATOR.gatt, scenario)[0].observations == []
