"""What can go wrong on a serial line, as wrappers round the device's port (`serial_host.Fault`)."""

from __future__ import annotations

import asyncio

from ..sdk.simulation import SerialPort
from .serial_host import Fault, HungUp


def cut_at(offset: int) -> Fault:
    """The cable is pulled after so many bytes."""
    return lambda port: _Cut(port, offset)


def silent_at(offset: int) -> Fault:
    """After so many bytes nothing more comes, and the line stays open."""
    return lambda port: _Silent(port, offset)


def garbage_first(garbage: bytes) -> Fault:
    """These bytes come before everything else."""
    return lambda port: _GarbageFirst(port, garbage)


def flipped(*bits: int) -> Fault:
    """These bits are turned over, counted from the first bit sent, the highest of each byte first."""
    return lambda port: _Flipped(port, frozenset(bits))


def doubled() -> Fault:
    """Everything the device writes in one go comes twice."""
    return _Doubled


def bytewise() -> Fault:
    """One byte at a time."""
    return _Bytewise


class _Wrapper:
    def __init__(self, port: SerialPort) -> None:
        self._port = port

    async def read(self) -> bytes:
        return await self._port.read()

    async def write(self, data: bytes, /) -> None:
        await self._port.write(data)

    async def pause(self, seconds: float, /) -> None:
        await self._port.pause(seconds)


class _Cut(_Wrapper):
    def __init__(self, port: SerialPort, offset: int) -> None:
        super().__init__(port)
        self._left = offset

    async def write(self, data: bytes, /) -> None:
        await super().write(data[: self._left])
        if len(data) >= self._left:
            raise HungUp
        self._left -= len(data)


class _Silent(_Wrapper):
    def __init__(self, port: SerialPort, offset: int) -> None:
        super().__init__(port)
        self._left = offset

    async def write(self, data: bytes, /) -> None:
        await super().write(data[: self._left])
        if len(data) >= self._left:
            while True:
                await super().read()
        self._left -= len(data)


class _GarbageFirst(_Wrapper):
    def __init__(self, port: SerialPort, garbage: bytes) -> None:
        super().__init__(port)
        self._garbage = garbage

    async def write(self, data: bytes, /) -> None:
        garbage, self._garbage = self._garbage, b""
        await super().write(garbage + data)


class _Flipped(_Wrapper):
    def __init__(self, port: SerialPort, bits: frozenset[int]) -> None:
        super().__init__(port)
        self._bits = bits
        self._at = 0

    async def write(self, data: bytes, /) -> None:
        changed = bytearray(data)
        for bit in self._bits:
            index, in_byte = divmod(bit - 8 * self._at, 8)
            if 0 <= index < len(changed):
                changed[index] ^= 0x80 >> in_byte
        self._at += len(data)
        await super().write(bytes(changed))


class _Doubled(_Wrapper):
    async def write(self, data: bytes, /) -> None:
        await super().write(data)
        await super().write(data)


class _Bytewise(_Wrapper):
    async def write(self, data: bytes, /) -> None:
        for byte in data:
            await super().write(bytes((byte,)))
            await asyncio.sleep(0)
