"""SureTemp Plus: the temperature record field by field, and one reading for each use of the probe."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Iterable
from decimal import Decimal

import pytest

from devicebridge.readings import normalize
from devicebridge.sdk import Absent, Context, DeviceIdentity, InProgress, Loss, Status, Unit
from devicebridge_drivers.suretemp import DRIVER
from devicebridge_drivers.suretemp.codec import Packet, Record, State, codec, kelvin
from support.asked import Asked, Kept, run

SERIAL = bytes.fromhex("0302102900020b00303330363130303500000026")  # manual p. 57
GET_SERIAL, GET_RECORD = bytes.fromhex("030210290001010000c0"), bytes.fromhex("030210941c0100003a")  # pp. 57, 63
TEMPERATURE = bytes.fromhex("941c")


def packet(command: bytes, kind: int, data: bytes = b"") -> bytes:
    body = b"\x03\x02\x10" + command + bytes((kind,)) + struct.pack("<H", len(data)) + data
    return body + bytes((-sum(body) & 0xFF,))


def record(
    state: int, celsius: float = 37.0, *, active: bool = True, algorithm: int = 0, probe: int = 0, error: int = 0
) -> bytes:
    """By the table on p. 36."""
    data = struct.pack("<ffIBBBhBB", celsius + 273.15, 308.0, 7, 0, algorithm, state, error, active, probe)
    return packet(TEMPERATURE, 2, data)


def decoded(data: bytes) -> Packet:
    (item,) = codec().feed(data)
    assert isinstance(item, Packet)
    return item


def play(*records: bytes, memory: dict[str, str] | None = None) -> Kept:
    """A session that is given these records, an empty one being no answer, then loses its line."""
    waiting = [SERIAL, *records]

    def answer(request: bytes) -> Iterable[bytes | None]:
        piece = waiting.pop(0) if waiting else None
        return [] if piece == b"" else [piece]

    return run(DRIVER, Asked(answer), Kept(memory), poll_s=0, reply_timeout_s=0.02)


WELL, READY, PREDICT = record(0, -273.15, active=False), record(2), record(3)


@pytest.mark.parametrize(
    ("algorithm", "probe", "site"),
    [
        (0, 0, {Context.ORAL}),
        (1, 2, {Context.RECTAL}),
        (2, 0, {Context.AXILLARY}),
        (4, 0, {Context.AXILLARY}),
        (0, 2, set()),  # the probe is red, the algorithm is not: nobody knows
        (1, 0, set()),
        (0, 3, set()),
        (9, 0, set()),
    ],
)
def test_the_site_is_said_where_probe_and_algorithm_agree(algorithm: int, probe: int, site: set[Context]) -> None:
    assert decoded(record(6, algorithm=algorithm, probe=probe)).group[0].context == site


@pytest.mark.parametrize("state", range(256))
def test_only_a_final_state_has_a_number(state: int) -> None:
    item = decoded(record(state))
    numbers = [value.value for observation in item.group for value in observation.values]
    assert numbers == {6: [Decimal("310.15")], 7: [Decimal("310.15")]}.get(
        state, [None] if state in (8, 9, 10, 11, 20) else []
    )


def test_f10_no_number_is_made_of_what_is_none() -> None:
    for bits in ("0000807f", "000080ff", "0000c07f", "0100807f"):
        data = bytes.fromhex(bits) + record(6)[12:27]
        (value,) = decoded(packet(TEMPERATURE, 2, data)).group[0].values
        assert value.absent is Absent.NOT_A_NUMBER
    for celsius in (-273.15, -300.0):
        assert decoded(record(6, celsius)).group[0].values[0].absent is Absent.ERROR
    assert decoded(record(6, error=1)).group[0].values[0].absent is Absent.ERROR


def test_the_digits_are_those_of_the_float_and_no_more() -> None:
    assert kelvin(bytes.fromhex("76af9943")) == Decimal("307.3708")  # 307.370789 (p. 63) to within half a float
    rng = random.Random(1)
    for _ in range(2000):
        data = struct.pack("<f", rng.uniform(290, 320))
        number = kelvin(data)
        assert number is not None
        assert struct.pack("<f", float(number)) == data


def test_every_hundredth_comes_out_as_it_went_in() -> None:
    for hundredths in range(2600, 4501):
        value = Decimal(hundredths) / 100
        (wire,) = decoded(record(6, float(value))).group[0].values
        assert wire.unit is Unit.KELVIN
        assert normalize(wire).value == value


def test_the_record_of_33_bytes_says_the_same() -> None:
    data = struct.pack("<ffHHBBBhBBfffH", 310.15, 308.0, 500, 35, 0, 4, 6, 0, 1, 0, 1e4, 296.6, 1e4, 445)  # p. 35
    item = decoded(packet(TEMPERATURE, 2, data))
    assert isinstance(item, Record)
    assert (item.state, item.sample, item.algorithm) == (State.FINAL, 35, "adult-axillary")
    assert item.group[0].values[0].value == Decimal("310.15")


def test_a_use_is_one_reading_however_long_its_result_stands() -> None:
    kept = play(WELL, READY, PREDICT, *[record(6, 37.2)] * 20, record(7, 37.2), record(6, 37.3), WELL)
    assert kept.numbers == [["310.35"]]
    assert kept.events == [
        DeviceIdentity(manufacturer="Welch Allyn", model="SureTemp Plus module", serial="03061005"),
        InProgress(),
    ]


@pytest.mark.parametrize("between", [[WELL], [record(1)], [READY], [PREDICT], [record(4)]])
def test_the_next_reading_needs_another_use(between: list[bytes]) -> None:
    first, second = [PREDICT, record(6, 36.5)], record(6, 38.5)
    assert play(*first, *between, second).numbers == [["309.65"], ["311.65"]]
    assert play(*first, record(5), second).numbers == [["309.65"]]


def test_the_next_patient_is_not_lost_in_a_short_silence() -> None:
    first = [PREDICT, record(6, 36.5)]
    assert play(*first, b"", b"", PREDICT, record(6, 38.5)).numbers == [["309.65"], ["311.65"]]
    assert play(*first, b"", record(6, 38.5), record(6, 38.5)).numbers == [["309.65"], ["311.65"]]
    assert play(*first, b"", record(6, 36.5), b"", record(7, 36.5), record(6, 36.5)).numbers == [["309.65"]]
    assert play(*first, b"", record(6, 38.5, active=False)).numbers == [["309.65"]]


@pytest.mark.parametrize("failure", [record(20, error=5), record(8, 44.0)])
@pytest.mark.parametrize("between", [[], [PREDICT], [record(4)]])
def test_a_final_temperature_after_a_failure_in_the_same_use_is_a_reading(failure: bytes, between: list[bytes]) -> None:
    assert play(PREDICT, failure, *between, record(6, 36.5), failure, record(6, 36.6)).numbers == [
        ["error"],
        ["309.65"],
    ]


def test_monitor_mode_after_a_result_is_not_another() -> None:
    assert play(PREDICT, record(6, 36.5), record(12, 36.9), record(13, 36.9), record(6, 36.9)).numbers == [["309.65"]]
    assert play(WELL, record(12, 36.9), record(12, 37.0), record(13, 37.0), WELL).numbers == []


def test_a_failure_is_a_reading_without_a_number() -> None:
    kept = play(PREDICT, record(20, error=5), WELL, PREDICT, record(8, 44.0))
    assert kept.numbers == [["error"], ["error"]]
    assert [group[0].status for group in kept.groups] == [{Status.DEVICE_ERROR}, {Status.RESULT_ABOVE_RANGE}]
    assert play(WELL, record(20, active=False), WELL).numbers == []  # the module is unwell, nobody was measured


def test_f20_what_stands_at_the_beginning_is_read_once() -> None:
    memory: dict[str, str] = {}
    assert play(PREDICT, record(6, 38.1), memory=memory).numbers == [["311.25"]]
    assert play(record(6, 38.1), record(6, 38.1), memory=memory).numbers == []  # the line was lost meanwhile
    assert play(record(6, 38.4), memory=memory).numbers == [["311.55"]]  # measured meanwhile, still in hand
    assert play(record(6, 36.0, active=False)).numbers == []  # put away long ago


def test_f09_a_late_answer_is_not_taken_for_the_next() -> None:
    """The record of a use arrives after its time, when the probe is in its well again."""

    def answer(request: bytes) -> Iterable[bytes | None]:
        if request == GET_SERIAL:
            return [SERIAL]
        if line.written.count(GET_RECORD) == 1:
            asyncio.get_running_loop().call_later(0.03, lambda: line.send(record(6)))
            return []
        return [WELL if line.written.count(GET_RECORD) < 4 else None]

    line = Asked(answer)
    kept = run(DRIVER, line, Kept(), poll_s=0, reply_timeout_s=0.02)
    assert kept.numbers == []
    assert not [event for event in kept.events if isinstance(event, InProgress)]


def test_a_module_that_does_not_answer_is_asked_again() -> None:
    line = Asked(lambda _: [] if len(line.written) < 4 else [None])
    run(DRIVER, line, Kept(), poll_s=0, reply_timeout_s=0.01)
    assert line.written == [GET_SERIAL, *[GET_RECORD] * 3]


def test_a_module_without_its_serial_number_is_read_all_the_same() -> None:
    waiting = [packet(b"\x29\x00", 3), PREDICT, record(6)]
    kept = run(DRIVER, Asked(lambda _: [waiting.pop(0) if waiting else None]), Kept(), poll_s=0)
    assert kept.numbers == [["310.15"]]


def test_f07_what_refuses_the_record_is_another_device() -> None:
    refused = packet(TEMPERATURE, 3)
    line = Asked(lambda request: [SERIAL if request == GET_SERIAL else refused])
    run(DRIVER, line, Kept(), Loss.UNEXPECTED_DEVICE, poll_s=0)


def test_an_echo_is_passed_over() -> None:
    waiting = [SERIAL, PREDICT, record(6)]
    kept = run(DRIVER, Asked(lambda request: [request, waiting.pop(0) if waiting else None]), Kept(), poll_s=0)
    assert kept.numbers == [["310.15"]]


def test_nothing_is_asked_but_the_serial_number_and_the_record() -> None:
    line = Asked(lambda request: [SERIAL if request == GET_SERIAL else WELL], requests=20)
    run(DRIVER, line, Kept(), poll_s=0)
    assert set(line.written) == {GET_SERIAL, GET_RECORD}
