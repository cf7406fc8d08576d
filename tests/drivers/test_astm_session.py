"""The host's side of the link: what is acknowledged and when, what is refused, and what is never sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest

from devicebridge.sdk import DeviceClock, DeviceIdentity, Event, LinkLost, Loss, Noise, Observation, Wave
from devicebridge_drivers.astm import DRIVER
from devicebridge_drivers.astm.link import FRAME_WITHIN_S, REFUSALS_MAX, REPLY_WITHIN_S, Receiver, Verdict
from devicebridge_drivers.astm.session import ASK_EVERY_S, STORE_WITHIN_S, AstmOptions
from devicebridge_simulators import astm as simulator
from devicebridge_simulators.astm import ACK, CLOCK, ENQ, EOT, NAK, contour, dca, frame, frame_as_meter, frame_each
from support.virtual_time import run

HBA1C = frame_each(dca([("HbA1c", "7.2", "%")]))  # H P O R C L
RESULT = 3  # the place of the result among them


class Line:
    """Both ends of a serial line, with the time of everything the host writes."""

    def __init__(self) -> None:
        self._to_host: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._to_device: asyncio.Queue[bytes] = asyncio.Queue()
        self.written: list[bytes] = []

    async def read(self) -> bytes:
        data = await self._to_host.get()
        if data is None:
            raise LinkLost(Loss.UNPLUGGED)
        return data

    async def write(self, data: bytes, /) -> None:
        self.written.append(data)
        self._to_device.put_nowait(data)

    async def ask(self, data: bytes) -> bytes:
        """The instrument sends, and gives the host's reply."""
        self.send(data)
        return await self._to_device.get()

    def send(self, data: bytes | None) -> None:
        self._to_host.put_nowait(data)

    async def reply(self) -> bytes:
        return await self._to_device.get()


class Kept:
    """An outlet whose disk can be made to refuse. on_disk: what was stored, in order."""

    def __init__(self) -> None:
        self.on_disk: list[Observation] = []
        self.events: list[Event] = []
        self.memory: dict[str, str] = {}
        self.disk = asyncio.Event()
        self.disk.set()
        self.tries = 0

    async def emit(self, *group: Observation) -> None:
        self.tries += 1
        await self.disk.wait()
        self.on_disk += group

    async def recall(self, key: str, /) -> str | None:
        return self.memory.get(key)

    async def remember(self, key: str, value: str, /) -> None:
        self.memory[key] = value

    def wave(self, wave: Wave, /) -> None:
        raise AssertionError("this device has no wave")

    def local_time(self) -> datetime:
        raise AssertionError("this device's clock is not set")

    def note(self, event: Event, /) -> None:
        self.events.append(event)

    @property
    def numbers(self) -> list[str]:
        return [str(o.values[0].value) for o in self.on_disk]


Play = Callable[[Line, Kept], Awaitable[None]]


def play(instrument: Play, kept: Kept | None = None, **options: Any) -> Kept:
    """Runs a session against the instrument, until that has ended and the link with it."""

    async def connected() -> Kept:
        line, outlet = Line(), kept or Kept()
        session = asyncio.ensure_future(DRIVER.session(line, outlet, AstmOptions.model_validate(options)))
        try:
            await instrument(line, outlet)
            line.send(None)
            with pytest.raises(LinkLost):
                await session
        finally:
            session.cancel()
            await asyncio.gather(session, return_exceptions=True)
        return outlet

    return run(connected())


async def deliver(line: Line, frames: Iterable[bytes]) -> None:
    assert await line.ask(ENQ) == ACK
    for data in frames:
        assert await line.ask(data) == ACK
    line.send(EOT)


def damaged(data: bytes) -> bytes:
    return data[:4] + bytes((data[4] ^ 0x01,)) + data[5:]


def test_every_frame_is_acknowledged() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        await deliver(line, HBA1C)
        assert line.written == [ACK] * (1 + len(HBA1C))

    kept = play(instrument)
    assert kept.numbers == ["7.2"]
    assert kept.events == [DeviceIdentity(model="DCA VANTAGE", serial="S067337", firmware="04.04.00.00")]


def test_the_acknowledgement_waits_for_the_disk() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        await deliver(line, HBA1C[:RESULT])
        assert await line.ask(ENQ) == ACK
        for data in HBA1C[:RESULT]:
            assert await line.ask(data) == ACK
        kept.disk.clear()
        line.send(HBA1C[RESULT])
        await asyncio.sleep(STORE_WITHIN_S - 1)
        assert (line.written[-1], len(line.written)) == (ACK, 2 * (1 + RESULT))  # nothing since
        kept.disk.set()
        assert await line.reply() == ACK
        assert kept.numbers == ["7.2"]

    play(instrument)


def test_f36_what_the_disk_does_not_take_in_time_is_refused_and_taken_when_it_is_repeated() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        await deliver(line, [])
        assert await line.ask(ENQ) == ACK
        for data in HBA1C[:RESULT]:
            await line.ask(data)
        kept.disk.clear()
        before_s = asyncio.get_running_loop().time()
        assert await line.ask(HBA1C[RESULT]) == NAK
        assert asyncio.get_running_loop().time() - before_s < REPLY_WITHIN_S
        assert await line.ask(HBA1C[RESULT]) == NAK
        kept.disk.set()
        assert await line.ask(HBA1C[RESULT]) == ACK
        for data in HBA1C[RESULT + 1 :]:
            assert await line.ask(data) == ACK

    kept = play(instrument)
    assert (kept.numbers, kept.tries) == (["7.2"], 3)


def test_f36_a_disk_that_stays_full_leaves_the_result_with_the_instrument() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        assert await line.ask(ENQ) == ACK
        for data in HBA1C[:RESULT]:
            await line.ask(data)
        kept.disk.clear()
        for _ in range(REFUSALS_MAX):
            assert await line.ask(HBA1C[RESULT]) == NAK
        line.send(EOT)
        assert kept.numbers == []
        kept.disk.set()
        await deliver(line, HBA1C)  # an hour later

    kept = play(instrument)
    assert kept.numbers == ["7.2"]


def test_after_six_refusals_the_host_is_silent() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        assert await line.ask(ENQ) == ACK
        for _ in range(REFUSALS_MAX):
            assert await line.ask(damaged(HBA1C[0])) == NAK
        line.send(damaged(HBA1C[0]))
        await asyncio.sleep(1)
        assert len(line.written) == 1 + REFUSALS_MAX
        await deliver(line, HBA1C)

    assert play(instrument).numbers == ["7.2"]


def test_f08_a_frame_whose_acknowledgement_was_lost_is_not_stored_again() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        await deliver(line, [data for data in HBA1C for _ in range(2)])

    kept = play(instrument)
    assert (kept.numbers, kept.tries) == (["7.2"], 1)


def test_f08_a_message_sent_again_says_the_same() -> None:
    """The core makes one id of it: time and values are what it is known by."""

    async def instrument(line: Line, kept: Kept) -> None:
        await deliver(line, HBA1C)
        await deliver(line, HBA1C)

    first, second = play(instrument).on_disk
    assert first == second


@pytest.mark.parametrize("place", range(len(HBA1C)))
def test_a_damaged_frame_is_refused_and_its_repeat_taken(place: int) -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        assert await line.ask(ENQ) == ACK
        for n, data in enumerate(HBA1C):
            if n == place:
                assert await line.ask(damaged(data)) == NAK
                assert await line.ask(b"\x7f" + data[1:]) == NAK  # its STX is gone
            assert await line.ask(data) == ACK

    assert play(instrument).numbers == ["7.2"]


def test_a_frame_out_of_order_is_refused() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        assert await line.ask(ENQ) == ACK
        assert await line.ask(HBA1C[0]) == ACK
        assert await line.ask(HBA1C[2]) == NAK
        assert await line.ask(HBA1C[2]) == NAK
        assert await line.ask(HBA1C[0]) == NAK
        line.send(EOT)

    assert play(instrument).numbers == []


def test_frame_numbers_go_round() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        await deliver(line, frame_each(dca([("HbA1c", f"{n}.2", "%") for n in range(5, 15)])))

    assert play(instrument).numbers == [f"{n}.2" for n in range(5, 15)]


def test_what_comes_without_enq_is_left_alone() -> None:
    """Of a transfer that was under way before, the header may have said "quality control"."""

    async def instrument(line: Line, kept: Kept) -> None:
        for data in HBA1C:
            line.send(data)
        await asyncio.sleep(60)
        assert line.written == []
        line.send(EOT)
        await deliver(line, HBA1C)

    assert play(instrument).numbers == ["7.2"]


def test_a_message_that_stops_is_dropped_after_thirty_seconds() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        assert await line.ask(ENQ) == ACK
        for data in HBA1C[:RESULT]:
            assert await line.ask(data) == ACK
        line.send(HBA1C[RESULT][:20])
        await asyncio.sleep(FRAME_WITHIN_S + 1)
        line.send(HBA1C[RESULT][20:])  # too late: nobody receives
        await asyncio.sleep(1)
        assert len(line.written) == 1 + RESULT
        await deliver(line, HBA1C)

    kept = play(instrument)
    assert kept.numbers == ["7.2"]
    assert any(isinstance(event, Noise) for event in kept.events)


def test_f01_half_a_message_is_nothing() -> None:
    stream = b"".join(HBA1C[:RESULT]) + HBA1C[RESULT]
    for cut in range(0, len(stream) - 2, 7):

        async def instrument(line: Line, kept: Kept, cut: int = cut) -> None:
            assert await line.ask(ENQ) == ACK
            line.send(stream[:cut])
            await asyncio.sleep(1)

        assert play(instrument).numbers == []


def test_nothing_is_sent_unasked() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        line.send(b"\x00\xff noise\r\n")
        await asyncio.sleep(3600)
        assert line.written == []

    play(instrument)


def test_the_echo_of_our_own_bytes_is_nothing() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        assert await line.ask(ENQ) == ACK
        for data in HBA1C:
            assert await line.ask(ACK + data) == ACK

    assert play(instrument).numbers == ["7.2"]


def test_the_headers_time_is_the_clock_only_where_it_is_said_to_be() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        await deliver(line, HBA1C)

    assert DeviceClock(CLOCK + timedelta(minutes=1)) not in play(instrument).events
    assert DeviceClock(CLOCK + timedelta(minutes=1)) in play(instrument, header_time_is_now=True).events


def test_an_instrument_without_a_data_link() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        for record in simulator.strip_records():
            line.send(record.encode() + b"\r\n")
        await asyncio.sleep(1)
        assert line.written == []

    kept = play(instrument, data_link=False)
    values = [o.values[0] for o in kept.on_disk]
    assert [(v.code, v.text if v.value is None else str(v.value)) for v in values] == [
        ("Bil", "neg"),
        ("Pro", "30"),
        ("Ery", "300 Ery/ul"),
        ("pH", "5.5"),
        ("Nit", "pos"),
    ]


def test_bare_records_are_noise_unless_told() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        line.send("\r\n".join([*dca([("HbA1c", "6.6", "%")]), ""]).encode())
        await asyncio.sleep(1)

    assert play(instrument).numbers == []


# --- A meter's memory ---------------------------------------------------------------------------------------------

Entry = tuple[str, str, str, str, datetime]


def transfer(entries: Iterable[Entry], now: datetime = CLOCK) -> Play:
    async def instrument(line: Line, kept: Kept) -> None:
        await deliver(line, frame_as_meter(contour(list(entries), now=now)))
        await asyncio.sleep(1)

    return instrument


OLD, RECENT, LATEST = (simulator.glucose(value, "", ago) for value, ago in (("100", 600), ("110", 9), ("120", 1)))


@pytest.mark.parametrize(
    ("first", "numbers"), [("recent", ["110", "120"]), ("all", ["100", "110", "120"]), ("none", [])]
)
def test_the_first_meeting(first: str, numbers: list[str]) -> None:
    kept = play(transfer([OLD, RECENT, LATEST]), first_download=first)
    assert kept.numbers == numbers
    assert list(kept.memory) == ["7390-2336773"]


def test_the_next_meeting_takes_what_is_new_oldest_first() -> None:
    kept = play(transfer([OLD]), first_download="none")
    play(transfer([OLD, RECENT, LATEST]), kept)
    assert kept.numbers == ["110", "120"]
    play(transfer([OLD, RECENT, LATEST]), kept)
    assert kept.numbers == ["110", "120"]


def test_a_clock_set_back_hides_nothing() -> None:
    kept = play(transfer([OLD, LATEST]), first_download="none")
    early = simulator.glucose("95", "", 60_000)
    play(transfer([OLD, LATEST, early], now=CLOCK - timedelta(minutes=60_000)), kept)
    assert kept.numbers == ["95"]


def test_a_meter_that_sends_its_newest_record_first_loses_none() -> None:
    """A serial cable's records, in the order that no source excludes."""
    clock = simulator.CLOCK.replace(second=0)

    def sent(*minutes_ago: int) -> Play:
        head, patient, *_, end = contour([])
        rows = [
            f"R|{n}|^^^Glucose|{100 + ago}|mg/dL^P|||||||{clock - timedelta(minutes=ago):%Y%m%d%H%M}"
            for n, ago in enumerate(minutes_ago, 2)
        ]

        async def instrument(line: Line, kept: Kept) -> None:
            await deliver(line, frame_as_meter([head, patient, *rows, end]))
            await asyncio.sleep(1)

        return instrument

    kept = play(sent(5, 600))
    play(sent(3, 5, 600), kept)
    play(sent(1, 3, 5, 600), kept)
    assert kept.numbers == ["105", "103", "101"]


def test_a_transfer_that_breaks_off_stores_nothing_and_remembers_nothing() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        await deliver(line, frame_as_meter(contour([OLD, RECENT, LATEST]))[:-1])
        await asyncio.sleep(1)

    kept = play(instrument, first_download="all")
    assert (kept.numbers, kept.memory) == ([], {})
    play(transfer([OLD, RECENT, LATEST]), kept, first_download="all")
    assert kept.numbers == ["100", "110", "120"]


def test_the_meters_clock_is_noted() -> None:
    assert DeviceClock(CLOCK.replace(second=0)) in play(transfer([LATEST])).events


def test_a_meter_is_asked_until_it_has_answered() -> None:
    async def instrument(line: Line, kept: Kept) -> None:
        assert await line.reply() == EOT
        before_s = asyncio.get_running_loop().time()
        assert await line.reply() == EOT
        assert asyncio.get_running_loop().time() - before_s == pytest.approx(ASK_EVERY_S)
        await deliver(line, frame_as_meter(contour([LATEST])))
        await asyncio.sleep(600)
        assert line.written.count(EOT) == 2

    assert play(instrument, ask_meter=True).numbers == ["120"]


# --- The data link's own rules -------------------------------------------------------------------------------------


def test_the_receivers_verdicts() -> None:
    receiver = Receiver()
    assert receiver.judge(1, is_repeat=False) is Verdict.IGNORE
    receiver.begin()
    assert receiver.judge(2, is_repeat=False) is Verdict.REFUSE
    assert receiver.judge(0, is_repeat=False) is Verdict.REFUSE
    for number in (1, 2, 3, 4, 5, 6, 7, 0, 1):
        assert receiver.judge(number, is_repeat=False) is Verdict.TAKE
    assert receiver.judge(1, is_repeat=True) is Verdict.REPEAT
    assert receiver.judge(1, is_repeat=False) is Verdict.REFUSE
    receiver.begin()
    assert receiver.judge(1, is_repeat=False) is Verdict.TAKE
    receiver.end()
    assert receiver.judge(2, is_repeat=False) is Verdict.IGNORE


def test_the_store_has_less_time_than_the_sender() -> None:
    assert STORE_WITHIN_S + 2 < REPLY_WITHIN_S


def test_a_frame_of_the_simulator_is_that_of_the_recording() -> None:
    """The simulator's own encoder against a recorded frame (tidepool-org/uploader, bayerContourNext.js)."""
    text = "R|3|^^^Glucose|93|mg/dL^P||A/M0/T1||201505261150\r"
    assert frame(5, text, simulator.ETB) == b"\x025" + text.encode() + b"\x1774\r\n"
