"""What is sent of a memory that is read from the newest record on: `devicebridge.sdk.memory`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from devicebridge.sdk import Kind, MemoryOptions, Name, Observation, Origin, Unit, Value
from devicebridge.sdk.memory import RECENT, Download, marker
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


def test_nothing_is_recent_by_a_clock_that_cannot_be_read() -> None:
    assert download(VISIT, now=None).sent == []
    assert download([record(105, None)]).sent == []
    assert timedelta(minutes=10) == RECENT


def test_a_stamp_far_ahead_of_the_clock_is_not_recent() -> None:
    assert download([record(105, -11)]).sent == []


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
