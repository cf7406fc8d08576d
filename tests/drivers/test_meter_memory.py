"""What is sent of a memory that is read from the newest record on: `devicebridge.sdk.memory`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from devicebridge.sdk import Kind, MemoryOptions, Name, Observation, Origin, Unit, Value
from devicebridge.sdk.memory import AGE_MAX, RECENT, Download, marker, send_whole
from support.cable import Kept

NOW = datetime(2026, 11, 21, 14, 30)


def record(mg_dl: int, minutes_ago: int | None) -> Observation:
    return Observation(
        kind=Kind.GLUCOSE,
        values=(Value(Name.GLUCOSE, Unit.MG_PER_DL, Decimal(mg_dl)),),
        raw=b"",
        device_time=None if minutes_ago is None else NOW - timedelta(minutes=minutes_ago),
        origin=Origin.STORED,
    )


def download(
    records: Sequence[Observation],
    memory: dict[str, str] | None = None,
    *,
    first: str = "recent",
    now: datetime | None = NOW,
    is_whole: bool = True,
) -> Kept:
    async def read() -> Kept:
        kept = Kept(dict(memory or {}))
        options = MemoryOptions.model_validate({"first_download": first})
        taking = await Download.begin(kept, "S1", now, options)
        for one in records:
            if not taking.take(one):
                break
        await taking.finish(is_whole=is_whole)
        return kept

    return asyncio.run(read())


VISIT = [record(105, 1), record(98, 10), record(140, 11), record(88, 900)]


@pytest.mark.parametrize(
    ("first", "sent"),
    [("recent", [("98",), ("105",)]), ("all", [("88",), ("140",), ("98",), ("105",)]), ("none", [])],
)
def test_the_first_meeting(first: str, sent: list[tuple[str, ...]]) -> None:
    """Ten minutes are recent, eleven are not; what was left out is not sent at the next meeting either."""
    kept = download(VISIT, first=first)
    assert kept.sent == sent
    assert download(VISIT, kept.memory, first=first).sent == []
    assert download([record(101, 0), *VISIT], kept.memory, first=first).sent == [("101",)]


UNDATED = pytest.mark.parametrize("age", [None, -11, AGE_MAX // timedelta(minutes=1) + 1], ids=["none", "ahead", "old"])
"""Stamps that do not tell how old a record is, in minutes."""


def test_by_a_clock_that_cannot_be_read_the_newest_record_alone_is_sent_at_a_first_meeting() -> None:
    """It may have been measured just now."""
    kept = download(VISIT, now=None)
    assert kept.sent == [("105",)]
    assert [o.origin for o in kept.groups[0]] == [Origin.STORED]
    assert download(VISIT, kept.memory, now=None).sent == []
    assert download(VISIT, now=None, first="none").sent == []
    assert timedelta(minutes=10) == RECENT


@UNDATED
def test_a_newest_record_whose_stamp_does_not_tell_its_age_is_sent(age: int | None) -> None:
    assert download([record(105, age), record(99, age)]).sent == [("105",)]
    assert download([record(105, age), record(99, 5), record(98, 11)]).sent == [("99",), ("105",)]
    assert download([record(105, 11), record(99, age)]).sent == []


def test_a_clock_set_back_hides_nothing() -> None:
    """The next test has an earlier time than the last one; its place in the list says that it is new."""
    kept = download(VISIT)
    assert download([record(117, 5000), *VISIT], kept.memory).sent == [("117",)]


def test_after_the_memory_was_erased_all_is_new() -> None:
    kept = download(VISIT)
    assert download([record(120, 300), record(121, 400)], kept.memory).sent == [("121",), ("120",)]


def test_what_follows_an_empty_memory_is_new() -> None:
    kept = download([])
    assert kept.memory
    assert download([record(120, 300)], kept.memory).sent == [("120",)]


def test_a_memory_with_gaps_is_read_again() -> None:
    kept = download(VISIT, first="all", is_whole=False)
    assert len(kept.sent) == 4
    assert kept.memory == {}


def test_a_marker_is_short_and_printable() -> None:
    many = Observation(
        kind=Kind.GLUCOSE,
        values=tuple(Value(Name.GLUCOSE, Unit.MG_PER_DL, Decimal("1.23456789")) for _ in range(20)),
        raw=b"",
        device_time=NOW,
    )
    assert len(marker(many)) <= 64
    assert marker(many).isprintable()
    assert marker(record(105, 1)) != marker(record(106, 1)) != marker(record(106, 2))


# --- A memory that comes whole, in whichever order ------------------------------------------------------------------

ORDERS = pytest.mark.parametrize("turned", [False, True], ids=["newest-first", "oldest-first"])
A_YEAR, AN_HOUR = 365 * 24 * 60, 60


def visits(
    *memories: Sequence[Observation], turned: bool = False, first: str = "recent", now: datetime | None = NOW
) -> list[list[str]]:
    """What is sent of each of these memories of one meter, given newest first and sent so or turned round."""

    async def read() -> list[list[str]]:
        kept, sent = Kept(), []
        options = MemoryOptions.model_validate({"first_download": first})
        for memory in memories:
            before = len(kept.sent)
            await send_whole(kept, "S1", memory[::-1] if turned else memory, now, options)
            sent.append([values[0] for values in kept.sent[before:]])
        return sent

    return asyncio.run(read())


@ORDERS
@pytest.mark.parametrize(
    ("first", "sent"), [("recent", ["98", "105"]), ("all", ["88", "140", "98", "105"]), ("none", [])]
)
def test_the_first_meeting_with_a_whole_memory(first: str, sent: list[str], turned: bool) -> None:
    later = [record(101, 0), *VISIT]
    assert visits(VISIT, VISIT, later, later, first=first, turned=turned) == [sent, [], ["101"], []]


@ORDERS
def test_a_clock_set_a_year_back_loses_no_record_and_releases_none_that_was_withheld(turned: bool) -> None:
    one = [record(105, 5), record(99, 1500)]
    two = [record(111, A_YEAR + 10), *one]
    three = [record(112, A_YEAR), *two]
    assert visits(one, two, three, turned=turned) == [["105"], ["111"], ["112"]]


@ORDERS
def test_a_clock_set_an_hour_back_on_a_nearly_new_meter_loses_no_record(turned: bool) -> None:
    one = [record(105, 5)]
    two = [record(111, 5 + AN_HOUR), *one]
    assert visits(one, two, [record(112, AN_HOUR), *two], turned=turned) == [["105"], ["111"], ["112"]]


@ORDERS
def test_most_neighbours_tell_the_order_though_the_ends_tell_another(turned: bool) -> None:
    memory = [record(112, A_YEAR), record(111, A_YEAR + 10), record(105, 5), record(99, 600), record(98, 700)]
    assert visits(memory, first="all", turned=turned) == [["98", "99", "105", "111", "112"]]


@ORDERS
def test_a_memory_that_drops_its_oldest_goes_on(turned: bool) -> None:
    assert visits(VISIT, [record(101, 0), *VISIT[:-2]], turned=turned)[1] == ["101"]


@ORDERS
def test_an_erased_memory_is_all_new(turned: bool) -> None:
    memory = [record(120, 300), record(121, 400)]
    assert visits(VISIT, memory, turned=turned)[1] == visits([], memory, turned=turned)[1] == ["121", "120"]


@ORDERS
def test_by_a_clock_that_cannot_be_read_the_newest_of_a_whole_memory_alone_is_sent(turned: bool) -> None:
    assert visits(VISIT, VISIT, now=None, turned=turned) == [["105"], []]
    assert visits(VISIT, now=None, first="none", turned=turned) == [[]]


@UNDATED
def test_the_newest_of_a_whole_memory_is_sent_where_its_stamp_does_not_tell_its_age(age: int | None) -> None:
    assert visits([record(105, age)]) == [["105"]]
