"""Puts a simulated serial device behind a device server that speaks RFC 2217, which is told the line's settings.

    async with serve_rfc2217(scenario) as server:
        ... open server.host.port ...
        server.opened[-1]    # the settings that the device saw

The device is heard when the port has been set up; each connection plays the scenario from its start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from serial.rfc2217 import PortManager

from ..sdk.driver import Parity
from ..sdk.simulation import SerialPort, SerialScenario
from .serial_host import End, Pause, SerialHost, instant, serve_tcp


@dataclass(frozen=True, slots=True)
class LineSettings:
    baud: int
    data_bits: int
    parity: Parity
    stop_bits: int


@dataclass(frozen=True, slots=True)
class Rfc2217Server:
    """opened: the settings at each opening of the port, in order."""

    host: SerialHost
    opened: list[LineSettings]


@asynccontextmanager
async def serve_rfc2217(
    scenario: SerialScenario, *, pause: Pause = instant, end: End = End.HANG_UP
) -> AsyncIterator[Rfc2217Server]:
    opened: list[LineSettings] = []
    async with serve_tcp(scenario, pause=pause, end=end, faults=[lambda wire: _Telnet(wire, opened)]) as host:
        host.port = host.port.replace("socket://", "rfc2217://")
        yield Rfc2217Server(host, opened)


class _Line:
    """The serial port that pyserial's PortManager sets for its client; the names are pyserial's."""

    def __init__(self) -> None:
        self.baudrate, self.bytesize, self.parity, self.stopbits = 300, 5, "S", 2  # nobody's settings
        self.xonxoff = self.rtscts = self.dtr = self.rts = self.break_condition = False
        self.cts = self.dsr = self.ri = self.cd = False
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def reset_input_buffer(self) -> None:
        """A client empties the buffers when it has set everything, the output last."""

    def reset_output_buffer(self) -> None:
        self._is_set = True


class _Outgoing(bytearray):
    def write(self, data: bytes) -> None:
        self.extend(data)


class _Telnet:
    """The device's end of the line: takes out, and answers, what is meant for the device server."""

    def __init__(self, wire: SerialPort, opened: list[LineSettings]) -> None:
        self._wire = wire
        self._opened = opened
        self._line = _Line()
        self._incoming = bytearray()
        self._outgoing = _Outgoing()
        line: Any = self._line  # of a serial port and a socket PortManager uses no more than these have
        outgoing: Any = self._outgoing
        self._manager = PortManager(line, outgoing)

    async def read(self) -> bytes:
        await self._set_up()
        while not self._incoming:
            await self._take()
        data = bytes(self._incoming)
        self._incoming.clear()
        return data

    async def write(self, data: bytes, /) -> None:
        await self._set_up()
        await self._wire.write(b"".join(self._manager.escape(data)))

    async def pause(self, seconds: float, /) -> None:
        await self._set_up()
        await self._wire.pause(seconds)

    async def _set_up(self) -> None:
        if self._line.is_set():
            return
        await self._answer()
        while not self._line.is_set():
            await self._take()
        line = self._line
        self._opened.append(LineSettings(line.baudrate, line.bytesize, Parity(line.parity), line.stopbits))

    async def _take(self) -> None:
        self._incoming += b"".join(self._manager.filter(await self._wire.read()))
        await self._answer()

    async def _answer(self) -> None:
        data = bytes(self._outgoing)
        self._outgoing.clear()
        if data:
            await self._wire.write(data)
