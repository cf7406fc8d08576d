"""DINAMAP: messages and their checksums, and which answers are new."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from devicebridge.sdk import InProgress, Loss, Noise, Origin, Status, Why
from devicebridge_drivers.dinamap import DRIVER
from devicebridge_drivers.dinamap.blocks import Block
from devicebridge_drivers.dinamap.codec import checksum, codec
from devicebridge_drivers.dinamap.messages import BloodPressure, Command
from support.asked import Asked, Kept, run

READ_BP, READ_RATE = b" NA!2\r", b" RC!8\r"  # TKBPController.h
CAPTURED = """
    000e600006019c7f1fc7f1fc000000f609ff 010e600006019c7edfc7f1fc000000cb34fe 020e60000601967f1fc7edfc0000007c83fd
    030e60000601917f1fc7f1fc000000857afc 040e600006018c7f1fc7f1fc000000619efb 050e60000601887f1fc7f5fd000000ac53fa
    070e60000601817f5fd7f1fc000000cc33f8 080e600006017d7fa0481e040000009966f7 0a0e600006017780a0781a000000001be4f5
    0d0e600006016e7f1fc7f5fc0000009f60f2 110e60000601687ea06929fe000000a25dee 120e60000601687ce1990df10000009669ed
    310160000601d77f5fd7f1fd000000ea15ce 320160000601de7f5fd7f1fd14010c03fccd 3e01600006023981e047f5fd0000008877c1
    400160000602497f5fd7f5f171f77df50abf 410160000602507f5fd7f5ecdfddf721debe 4501600006026b8b6287a9fc1101002cd3ba
    490160000602847f1fc7f5fe001c2056a9b6 580160000602b47f1fb7edfc00ff7ffe01a7 600160000602b27e9fc7f1fc0a0309a55a9f
    640460000602ab7edfb7edfc14010cae519b 7404600006026e7f1fc7e2457ddf00ee118b 900460000601c97f1fc7f1fb00ff0ea55a6f
    960a60000601a37edfc7edfc14010c39c669 a80a60000601617be1f8cde76b50025ca357 b40a60000601758160a83e0d00000023dc4b
    c70a60000601da7edfb7edfc0000007f8038 000a60000601e27f1fd7f1fc14010c6798ff 200d60000602ae83a0d825fe0000005ca3df
"""  # Zeriam/dinamap-reader, dinamap_data.txt


def message(body: str) -> bytes:
    return (body + checksum(body) + "\r").encode()


@pytest.mark.parametrize(
    ("body", "sum_"),
    [
        (" NA", "!2"),  # TKBPController.h
        (" NC0", "!E"),
        (" ND", "!5"),
        (" RC", "!8"),
        (" OA", "!3"),  # ids-combo-gw.rb
        (" RA", "!6"),
        (" TC", "!:"),  # GeV100SerialConn.cs
        (" NF", "!7"),  # V100.js
        (" NF1101762127073078", "&<"),  # V100.js, of a monitor
    ],
)
def test_the_checksum(body: str, sum_: str) -> None:
    assert checksum(body) == sum_


def test_the_checksum_brings_its_carry_round() -> None:
    """4095 at most: the 44th tilde carries (95 each), and the sum goes on from 4180 - 4095 = 85."""
    assert checksum("~" * 43) == chr(0x20 + (4085 >> 6)) + chr(0x20 + (4085 & 63))
    assert checksum("~" * 44) == chr(0x20 + (85 >> 6)) + chr(0x20 + (85 & 63))


def test_the_checksum_of_captured_blocks() -> None:
    captured = re.sub(r"\s", "", CAPTURED)
    blocks = codec().feed(bytes.fromhex(captured))
    assert len(blocks) == len(captured) // 36 == 30
    assert all(isinstance(block, Block) for block in blocks)
    ecg = {block.seq: block.ecg_samples for block in blocks if isinstance(block, Block)}
    assert ecg[18] == (499, 537, 579, 497)  # as dinamap_reader.c unpacks them


def test_no_changed_bit_of_an_answer_is_believed() -> None:
    good = message(" NA1100007118080091")
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 0x80 >> bit % 8
        reader = codec()
        items = [*reader.feed(bytes(bad)), *reader.close()]
        assert not [item for item in items if not isinstance(item, Noise) and item.group], bytes(bad)


@pytest.mark.parametrize("junk", [b"x", b"NA110", b"\x00\x01\xff", b" NA1100007118", b"OK\r", b"+++\r\n"])
def test_an_answer_is_found_behind_junk(junk: bytes) -> None:
    good = message(" NA1100007118080091")
    reader = codec()
    items = [*reader.feed(junk + good), *reader.close()]
    assert b"".join(item.raw for item in items) == junk + good
    assert items[-1].raw == good


def test_a_line_without_end_is_given_up() -> None:
    reader = codec()
    items = [*reader.feed(b"A" * 100_000), *reader.close()]
    assert {item.why for item in items if isinstance(item, Noise)} == {Why.TOO_LONG, Why.INCOMPLETE}


@pytest.mark.parametrize(("digit", "state"), [*enumerate(["busy", "done", None, "failed", "pump-up-timeout", None])])
def test_the_states_of_blood_pressure(digit: int, state: str | None) -> None:
    (item,) = codec().feed(message(f" NA{digit}100007118080091"))
    assert isinstance(item, BloodPressure)
    assert item.state == state
    assert bool(item.group) is (state not in ("busy", None))


@dataclass(frozen=True)
class Now:
    """What the monitor says in one round."""

    bp: str
    oximetry: str | None = None
    rate: str = "2072"
    cuff_rate: str = "3064"
    temperature: str | None = None

    def answer(self, request: bytes) -> bytes:
        said = {"NA": self.bp, "OA": self.oximetry, "RA": self.rate, "RC": self.cuff_rate, "TC": self.temperature}
        code = request[1:3].decode()
        return message(f" {code}{said[code]}" if said.get(code) else " *N2")


def bp(age_s: int, numbers: str = "118080091", state: int = 1) -> Now:
    return Now(f"{state}10{age_s:04}{numbers}")


NOTHING, BUSY = bp(9999, "000000000"), bp(50, state=0)


def monitor(*rounds: Now) -> Asked:
    left = list(rounds)

    def answer(request: bytes) -> Iterable[bytes | None]:
        if request == READ_BP and line.written.count(READ_BP) > 1:
            left.pop(0)
        return [left[0].answer(request) if left else None]

    line = Asked(answer)
    return line


def play(*rounds: Now, memory: dict[str, str] | None = None, **options: Any) -> Kept:
    return run(DRIVER, monitor(*rounds), Kept(memory), poll_s=0, **options)


def test_f20_what_is_older_than_a_minute_at_the_first_meeting_is_passed_over() -> None:
    assert play(bp(2207), bp(2208)).numbers == []
    assert play(bp(61), bp(62)).numbers == []
    assert play(bp(60), bp(61)).numbers == [["118", "80", "91", "64"]]


def test_a_determination_is_new_after_busy_or_when_the_time_goes_back() -> None:
    assert play(bp(100), BUSY, bp(1), bp(2), bp(3)).numbers == [["118", "80", "91", "64"]]
    assert play(bp(100), bp(101), bp(1), bp(2)).numbers == [["118", "80", "91", "64"]]
    assert play(NOTHING, bp(1), bp(2)).numbers == [["118", "80", "91", "64"]]
    assert play(bp(100), bp(101), bp(101), bp(102)).numbers == []


def test_two_determinations() -> None:
    kept = play(NOTHING, BUSY, BUSY, bp(1), bp(30), BUSY, BUSY, bp(1, "162101121"))
    assert kept.numbers == [["118", "80", "91", "64"], ["162", "101", "121", "64"]]
    assert kept.events == [InProgress(), InProgress()]


def test_an_old_determination_that_is_shown_again_is_not_new() -> None:
    once = [["118", "80", "91", "64"]]
    assert play(bp(50), BUSY, bp(70), bp(71)).numbers == once  # cancelled
    unknown = "000000000"
    failing = [bp(9999, unknown, state=0), bp(9999, unknown, state=3)]
    assert play(bp(50), *failing, bp(80), bp(81)).numbers == [*once, ["error"] * 3]
    assert play(NOTHING, *failing, bp(80)).numbers == [["error"] * 3]
    assert play(bp(2207), bp(9999, unknown), bp(2210)).numbers == []


def test_a_determination_that_began_and_ended_in_a_silence_is_not_lost() -> None:
    both = [["118", "80", "91", "64"], ["142", "91", "110", "64"]]
    assert play(bp(10), bp(11, "142091110"), bp(12, "142091110")).numbers == both
    assert play(bp(10), BUSY, bp(29)).numbers == [both[0]] * 2  # the time went on to 50 before it went back


def test_a_determination_with_the_numbers_of_before_is_new_after_a_reconnect() -> None:
    memory: dict[str, str] = {}
    assert play(bp(100), memory=memory).numbers == []
    assert play(bp(5), bp(6), memory=memory).numbers == [["118", "80", "91", "64"]]
    assert play(bp(7), memory=memory).numbers == []


def test_a_failed_determination_has_no_numbers_and_is_told_once() -> None:
    failed = bp(2300, state=4)
    kept = play(bp(2207), BUSY, failed, failed, failed)
    assert kept.numbers == [["error"] * 3]
    assert kept.groups[0][0].status == {Status.DEVICE_ERROR}
    assert play(failed, failed).numbers == []
    assert len(play(bp(2207), failed, bp(2400), failed).numbers) == 2  # busy was not seen


def test_the_rate_is_that_of_the_cuff_or_none() -> None:
    for cuff_rate in ("2072", "3-99", "3000"):
        done = Now("1100001118080091", cuff_rate=cuff_rate)
        assert play(NOTHING, BUSY, done).numbers == [["118", "80", "91"]]


def test_what_was_measured_while_nobody_listened() -> None:
    memory: dict[str, str] = {}
    assert len(play(NOTHING, BUSY, bp(1), memory=memory).numbers) == 1
    assert play(bp(20), bp(21), memory=memory).numbers == []  # the line was lost and found
    kept = play(bp(30, "142091110"), memory=memory)
    assert [group[0].origin for group in kept.groups] == [Origin.LIVE]
    kept = play(bp(900, "133085101"), memory=memory)
    assert [group[0].origin for group in kept.groups] == [Origin.STORED]
    assert play(bp(950, "133085101"), memory=memory).numbers == []


def finger(spo2: int | str, rate: str = "2072", state: int = 1) -> Now:
    return Now(NOTHING.bp, f"{state}{spo2:>03}508", rate)


def test_a_finger_is_one_reading() -> None:
    off = finger("-99", "2-99", 3)
    assert play(off, *[finger(97)] * 4).numbers == []
    assert play(off, *[finger(97)] * 30).numbers == [["97", "72"]]
    assert play(off, *[finger(97)] * 9, off, *[finger(91, "2104")] * 9).numbers == [["97", "72"], ["91", "104"]]


def test_a_pulse_rate_of_the_cuff_is_not_the_oximeters() -> None:
    assert play(*[finger(97, "3072")] * 30).numbers == []


def test_one_lost_rate_does_not_make_a_second_reading_of_a_finger() -> None:
    lost = finger(97, "3064")
    assert play(*[finger(97)] * 9, lost, *[finger(97)] * 30).numbers == [["97", "72"]]
    refused = Now(NOTHING.bp, "1097508", "")
    assert play(*[finger(97)] * 9, refused, *[finger(97)] * 30).numbers == [["97", "72"]]
    off = Now(NOTHING.bp, "1-99508", "")
    assert len(play(*[finger(97)] * 9, off, *[finger(91, "2104")] * 9).numbers) == 2


def probe(state: int, counter: str, age_s: int = 1, tenths: str = "0986", mode: int = 0) -> Now:
    return Now(NOTHING.bp, temperature=f"{state}{mode}{counter}{age_s:05}{tenths}0")


def test_a_temperature_is_new_with_its_counter() -> None:
    rest = probe(0, "A", 4000)
    assert play(rest, rest, probe(1, "B"), probe(1, "B"), *[probe(0, "B")] * 5).numbers == [["98.6"]]
    assert play(rest, probe(0, "B"), probe(0, "C")).numbers == [["98.6"], ["98.6"]]  # busy was not seen
    assert play(probe(1, "B"), probe(0, "B")).numbers == [["98.6"]]  # connected meanwhile
    assert play(rest, rest).numbers == []
    assert play(probe(0, "A", 30)).numbers == [["98.6"]]  # this patient's


def test_a_temperature_that_fails_has_no_number_and_is_told_once() -> None:
    rest = probe(0, "A", 4000)
    for state, absent in ((2, "error"), (3, "error"), (4, "not-performed")):
        assert play(rest, probe(1, "B"), *[probe(state, "B")] * 4).numbers == [[absent]]
        assert play(*[probe(state, "A")] * 4).numbers == []


def test_monitor_mode_makes_no_reading() -> None:
    assert play(*[probe(0, counter, mode=1) for counter in "ABCD"]).numbers == []


def test_what_a_monitor_does_not_have_is_not_asked_for_for_ever() -> None:
    line = monitor(*[NOTHING] * 20)
    run(DRIVER, line, Kept(), poll_s=0)
    assert [line.written.count(request) for request in (b" OA!3\r", b" TC!:\r", READ_BP)] == [3, 3, 21]


def test_the_cuff_is_never_started_unless_told() -> None:
    line = monitor(*[NOTHING] * 5)
    run(DRIVER, line, Kept(), poll_s=0)
    assert b" NC0!E\r" not in line.written
    memory: dict[str, str] = {}
    line = monitor(*[NOTHING] * 5)
    run(DRIVER, line, Kept(memory), poll_s=0, start_on_connect=True)
    assert line.written.count(b" NC0!E\r") == 1
    assert line.written.index(b" NC0!E\r") > line.written.index(READ_BP)
    line = monitor(*[NOTHING] * 5)
    run(DRIVER, line, Kept(memory), poll_s=0, start_on_connect=True)  # the line was lost: the arm is left alone
    assert b" NC0!E\r" not in line.written


def test_f09_a_late_answer_is_not_taken_for_the_next() -> None:
    """A determination that arrives too late, when the monitor has forgotten it, is nobody's."""

    def answer(request: bytes) -> Iterable[bytes | None]:
        asked = line.written.count(READ_BP)
        if request == READ_BP and asked == 2:
            asyncio.get_running_loop().call_later(0.03, lambda: line.send(bp(1).answer(READ_BP)))
            return []
        return [NOTHING.answer(request) if asked < 5 else None]

    line = Asked(answer)
    assert run(DRIVER, line, Kept(), poll_s=0, reply_timeout_s=0.02).numbers == []


def test_a_monitor_that_is_off_is_asked_again() -> None:
    line = Asked(lambda _: [] if len(line.written) < 5 else [None])
    run(DRIVER, line, Kept(), poll_s=0, reply_timeout_s=0.01)
    assert line.written == [READ_BP] * 5


def test_an_echo_is_passed_over() -> None:
    device = monitor(NOTHING, BUSY, bp(1))

    def answer(request: bytes) -> Iterable[bytes | None]:
        device.written.append(request)
        return [request, *device.answer(request)]

    assert run(DRIVER, Asked(answer), Kept(), poll_s=0).numbers == [["118", "80", "91", "64"]]


def test_f07_a_monitor_in_binary_mode_is_not_what_was_expected() -> None:
    block = bytes.fromhex("000e600006019c7f1fc7f1fc000000f609ff")
    run(DRIVER, Asked(lambda _: [block] * 60), Kept(), Loss.UNEXPECTED_DEVICE, poll_s=0)


def test_commands_are_told_from_answers() -> None:
    (item,) = codec().feed(READ_RATE)
    assert isinstance(item, Command)
