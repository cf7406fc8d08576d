"""SunTech: packets, error codes, and which results are new."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from devicebridge.sdk import InProgress, LinkLost, Loss, Noise, Origin, Status, Why
from devicebridge.sdk.cuff import START_PAUSE_S, may_start
from devicebridge_drivers.suntech import DRIVER
from devicebridge_drivers.suntech.acts import Results
from devicebridge_drivers.suntech.codec import Acknowledgement, Reply, Request, Result, codec
from devicebridge_drivers.suntech.session import SunTechOptions
from support.asked import Asked, Kept, run

GET_PRESSURE, GET_RESULT = bytes.fromhex("3a79050048"), bytes.fromhex("3a7903004a")  # DesktopFX, NIBPRequest.java
START_ADULT, ABORT = bytes.fromhex("3a20a6"), bytes.fromhex("3a7901004c")
EXAMPLE = bytes.fromhex("3e1873004a001e01000000000000310755005800000000e9")  # NIBPConverterTest


def answer(*data: int) -> bytes:
    body = bytes((0x3E, len(data) + 3, *data))
    return body + bytes((-sum(body) & 0xFF,))


def pressure(mmhg: int) -> bytes:
    return answer(mmhg & 0xFF, mmhg >> 8)


def result(systolic: int, diastolic: int, mean: int, pulse: int, error: int = 0, code: int = 0) -> bytes:
    return answer(systolic, 0, diastolic, 0, 30, 1, code, *[0] * 7, pulse, 0, mean, 0, error, 0, 0)


EMPTY = result(0, 0, 0, 0)
ONE, TWO = result(115, 74, 88, 85), result(142, 91, 110, 62)
Moments = Sequence[tuple[int, bytes]]


def module(moments: Moments) -> Callable[[bytes], Iterable[bytes | None]]:
    """At each look a cuff pressure and a result; then the line is lost."""
    left = list(moments)

    def respond(request: bytes) -> Iterable[bytes | None]:
        if request == GET_PRESSURE:
            return [pressure(left[0][0]) if left else None]
        if request == GET_RESULT:
            return [left.pop(0)[1]]
        return [answer(ord("O"))]

    def inflated(request: bytes) -> Iterable[bytes | None]:
        sent = respond(request)
        if request == GET_PRESSURE and left and left[0][0] >= 15:
            left.pop(0)
        return sent

    return inflated


def play(*moments: tuple[int, bytes], memory: dict[str, str] | None = None, **options: Any) -> Kept:
    return run(DRIVER, Asked(module(moments)), Kept(memory), poll_s=0, **options)


@pytest.mark.parametrize("code", range(1, 256))
def test_no_error_code_has_a_number(code: int) -> None:
    (item,) = codec().feed(result(115, 74, 88, 85, error=code))
    assert isinstance(item, Result)
    assert all(value.value is None for value in item.group[0].values)
    assert (Status.DEVICE_ERROR in item.group[0].status) is (code != 86)
    known = {1, 2, 3, 4, 85, 86, 87, 88, 89, 90, 91, 97, 99}
    assert (item.meaning is not None) is (code in known)


def test_the_letters() -> None:
    for letter in range(256):
        (item,) = codec().feed(answer(letter))
        assert isinstance(item, Acknowledgement)
        assert item.reply == (Reply(chr(letter)) if chr(letter) in "OKABENDST" else None)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 68, 255])
def test_a_length_that_no_packet_has(size: int) -> None:
    items = [*codec().feed(bytes((0x3E, size)) + EXAMPLE), *codec().close()]
    assert items[0] == Noise(bytes((0x3E, size)), Why.BAD_FIELD)
    assert items[1].raw == EXAMPLE


def test_a_command_that_nobody_knows() -> None:
    reader = codec()
    assert [*reader.feed(bytes.fromhex("3a5571")), *reader.close()] == [Noise(bytes.fromhex("3a5571"), Why.BAD_FIELD)]
    (item,) = codec().feed(START_ADULT)
    assert isinstance(item, Request)


def test_f20_what_stands_at_the_first_meeting_is_passed_over() -> None:
    assert play((2, ONE), (2, ONE), (2, ONE)).numbers == []


def test_a_new_result_is_one_reading() -> None:
    kept = play((2, ONE), (40, ONE), (160, ONE), (90, ONE), *[(3, TWO)] * 10)
    assert kept.numbers == [["142", "91", "110", "62"]]
    assert kept.groups[0][0].origin is Origin.LIVE
    assert kept.groups[0][0].raw == TWO
    assert kept.events == [InProgress()]


def test_nothing_is_asked_of_a_cuff_under_pressure() -> None:
    line = Asked(module([(2, EMPTY), (160, ONE), (120, ONE), (2, EMPTY)]))
    run(DRIVER, line, Kept(), poll_s=0)
    look = [GET_PRESSURE, GET_RESULT]
    assert line.written == [*look, GET_PRESSURE, GET_PRESSURE, *look, GET_PRESSURE]


def test_the_same_numbers_again_are_a_reading_if_anything_lies_between() -> None:
    again = result(115, 74, 88, 85, code=1)
    assert len(play((2, EMPTY), (2, ONE), (2, again)).numbers) == 2  # other test codes
    assert len(play((2, EMPTY), (2, ONE), (2, EMPTY), (2, ONE)).numbers) == 2
    assert len(play((2, EMPTY), (2, ONE), (90, ONE), (2, ONE)).numbers) == 1  # inflated for a leak test, say


def test_what_is_measured_when_the_session_begins_is_live() -> None:
    moments = [(120, EMPTY), (100, EMPTY), (80, EMPTY), *[(0, ONE)] * 5]
    for memory in ({}, {"last": "aa"}):
        kept = play(*moments, memory=memory)
        assert [group[0].origin for group in kept.groups] == [Origin.LIVE]
        assert play((2, ONE), memory=memory).numbers == []
    late = [(120, ONE), (0, ONE), (0, TWO), (0, TWO), (0, TWO)]  # it takes the module a second
    assert play(*late).numbers == [["142", "91", "110", "62"]]
    assert play((18, ONE), *[(2, ONE)] * 5).numbers == []  # a hand on the cuff, of no account


def results(last: Result, *, inflated_s: int, mmhg: int = 150) -> list[bool]:
    """Of the looks after an inflation, with an equal result: whether it is new."""
    acts = Results(None)
    acts.next(last)
    for second in range(inflated_s + 1):
        acts.inflated(mmhg, second)
    return [acts.next(last) is not None for _ in range(5)]


def test_the_same_bytes_after_a_measurement_are_a_reading_and_after_less_are_none() -> None:
    (one,) = codec().feed(ONE)
    assert isinstance(one, Result)
    assert results(one, inflated_s=30) == [False, False, True, False, False]
    assert not any(results(one, inflated_s=12))  # stopped, and the result of before stays
    assert not any(results(one, inflated_s=90, mmhg=60))  # less than the diastolic pressure: a tourniquet
    (failed,) = codec().feed(result(0, 0, 0, 0, error=2))
    assert isinstance(failed, Result)
    assert sum(results(failed, inflated_s=30)) == 1


def test_a_session_tells_how_long_the_cuff_was_inflated() -> None:
    class Hurried(asyncio.SelectorEventLoop):
        ahead_s = 0.0

        def time(self) -> float:
            return super().time() + self.ahead_s

    respond = module([(2, ONE), *[(150, ONE)] * 30, *[(2, ONE)] * 6])

    def a_second_later(request: bytes) -> Iterable[bytes | None]:
        loop.ahead_s += request == GET_PRESSURE
        return respond(request)

    loop, kept = Hurried(), Kept()
    with asyncio.Runner(loop_factory=lambda: loop) as runner, pytest.raises(LinkLost):
        session = DRIVER.session(Asked(a_second_later), kept, SunTechOptions(poll_s=0, reply_timeout_s=30))
        runner.run(asyncio.wait_for(session, 120))
    assert kept.numbers == [["115", "74", "88", "85"]]


def test_the_result_of_before_is_not_taken_for_that_of_a_measurement_that_has_just_ended() -> None:
    (one,), (two,) = codec().feed(ONE), codec().feed(TWO)
    assert isinstance(one, Result)
    assert isinstance(two, Result)
    acts = Results(one.data.hex())
    acts.next(one)
    acts.inflated(150, 0)
    acts.inflated(90, 30)
    found = [acts.next(said) for said in (one, one, two, two, two, two)]
    assert [observation is not None for observation in found] == [False, False, True, False, False, False]


def test_a_failure_is_a_reading_without_numbers() -> None:
    kept = play((2, EMPTY), (2, result(0, 0, 0, 0, error=87)))
    assert kept.numbers == [["error"] * 4]
    assert kept.groups[0][0].status == {Status.DEVICE_ERROR, Status.CUFF_TOO_LOOSE}


def test_what_was_measured_while_nobody_listened_has_no_time() -> None:
    memory: dict[str, str] = {}
    assert len(play((2, EMPTY), (2, ONE), memory=memory).numbers) == 1
    assert play((2, ONE), memory=memory).numbers == []  # the line was lost and found
    kept = play((2, TWO), memory=memory)
    assert [group[0].origin for group in kept.groups] == [Origin.STORED]
    assert play((2, TWO), memory=memory).numbers == []


def test_the_cuff_is_never_started_unless_told() -> None:
    line = Asked(module([(2, EMPTY)] * 5))
    run(DRIVER, line, Kept(), poll_s=0)
    assert set(line.written) == {GET_PRESSURE, GET_RESULT}
    with pytest.raises(ValidationError):
        SunTechOptions.model_validate({"start": "yes"})


@pytest.mark.parametrize(("size", "command"), [("adult", "3a20a6"), ("pediatric", "3a873f"), ("neonate", "3a289e")])
def test_a_start_comes_after_the_first_look_and_once(size: str, command: str) -> None:
    memory: dict[str, str] = {}
    line = Asked(module([(2, EMPTY), (150, EMPTY), (2, ONE)]))
    kept = run(DRIVER, line, Kept(memory), poll_s=0, start=size)
    assert line.written.index(bytes.fromhex(command)) == 2
    assert kept.numbers == [["115", "74", "88", "85"]]
    again = Asked(module([(2, ONE), (2, ONE)]))
    run(DRIVER, again, Kept(memory), poll_s=0, start=size)  # the line was lost: the arm is left alone
    assert bytes.fromhex(command) not in again.written


def test_what_was_started_is_aborted_in_time() -> None:
    line = Asked(module([(2, EMPTY), *[(180, EMPTY)] * 400, (2, EMPTY)]))
    run(DRIVER, line, Kept(), poll_s=0.001, start="adult", start_timeout_s=0.02)
    assert line.written.count(ABORT) == 1


def test_a_start_is_remembered_over_restarts_of_ours() -> None:
    def ask(kept: Kept) -> bool:
        return asyncio.run(may_start(kept))

    kept = Kept()
    assert [ask(kept), ask(kept)] == [True, False]
    assert ask(Kept({"cuff-started": "9999999999"}))  # the PC was started anew: its seconds count from then
    then = str(int(kept.memory["cuff-started"]) - START_PAUSE_S - 1)
    assert ask(Kept({"cuff-started": then}))


def test_f09_a_late_answer_is_not_taken_for_the_next() -> None:
    """A result that comes late, when another has been measured, is nobody's."""

    def respond(request: bytes) -> Iterable[bytes | None]:
        if request == GET_PRESSURE:
            return [pressure(2) if len(line.written) < 9 else None]
        if line.written.count(GET_RESULT) == 2:
            asyncio.get_running_loop().call_later(0.03, lambda: line.send(ONE))
            return []
        return [EMPTY]

    line = Asked(respond)
    assert run(DRIVER, line, Kept(), poll_s=0, reply_timeout_s=0.02).numbers == []


def test_busy_and_asleep_are_no_answers() -> None:
    answers = [pressure(2), EMPTY, answer(ord("B")), ONE, pressure(2), answer(ord("S")), pressure(2), ONE, None]
    kept = run(DRIVER, Asked(lambda _: [answers.pop(0)]), Kept(), poll_s=0)
    assert len(kept.numbers) == 1


def test_f07_what_knows_no_question_is_another_device() -> None:
    run(DRIVER, Asked(lambda _: [answer(ord("N"))]), Kept(), Loss.UNEXPECTED_DEVICE, poll_s=0)


def test_an_echo_and_what_comes_by_itself_are_passed_over() -> None:
    device = module([(2, EMPTY), (2, ONE)])

    def respond(request: bytes) -> Iterable[bytes | None]:
        return [request, answer(ord("K")), *device(request)]

    assert run(DRIVER, Asked(respond), Kept(), poll_s=0).numbers == [["115", "74", "88", "85"]]
