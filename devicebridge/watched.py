"""Links as a session sees them: with the idle time-out of the driver's rhythm, and everything they bring counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from .sdk.links import ByteLink, GattLink, LinkLost, Loss

T = TypeVar("T")


class WatchedBytes:
    """A serial line with its idle time-out, and a count of what it brings."""

    def __init__(self, link: Any, idle_timeout_s: float | None, heard: Callable[[int], None]) -> None:
        self._link: ByteLink = link
        self._idle_timeout_s = idle_timeout_s
        self._heard = heard

    async def read(self) -> bytes:
        data = await _in_time(self._link.read(), self._idle_timeout_s)
        self._heard(len(data))
        return data

    async def write(self, data: bytes, /) -> None:
        await self._link.write(data)


class WatchedGatt:
    """A peripheral with its idle time-out, and a count of what it brings."""

    def __init__(self, link: Any, idle_timeout_s: float | None, heard: Callable[[int], None]) -> None:
        self._link: GattLink = link
        self._idle_timeout_s = idle_timeout_s
        self._heard = heard

    @property
    def name(self) -> str:
        return self._link.name

    def has(self, characteristic: str, /) -> bool:
        return self._link.has(characteristic)

    async def read(self, characteristic: str, /) -> bytes:
        data = await self._link.read(characteristic)
        self._heard(len(data))
        return data

    async def write(self, characteristic: str, data: bytes, /) -> None:
        await self._link.write(characteristic, data)

    async def subscribe(self, *characteristics: str) -> AsyncIterator[tuple[str, bytes]]:
        return self._counted(await self._link.subscribe(*characteristics))

    async def _counted(self, values: AsyncIterator[tuple[str, bytes]]) -> AsyncIterator[tuple[str, bytes]]:
        while True:
            try:
                item = await _in_time(anext(values), self._idle_timeout_s)
            except StopAsyncIteration:
                return
            self._heard(len(item[1]))
            yield item


async def _in_time(answer: Awaitable[T], idle_timeout_s: float | None) -> T:
    try:
        async with asyncio.timeout(idle_timeout_s):
            return await answer
    except TimeoutError:
        raise LinkLost(Loss.SILENT) from None
