"""A TCP proxy that mistreats what goes through it: cuts, stalls, trickles, loses, half-closes, or lets nobody in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto

READ_BYTES = 4096
TRICKLE_BYTES = 64
TRICKLE_S = 0.05


class Way(Enum):
    """What happens to the bytes of one direction."""

    PASS = auto()
    STALL = auto()
    """They wait, and go on when the way is free again."""
    TRICKLE = auto()
    """TRICKLE_BYTES every TRICKLE_S."""
    LOSE = auto()
    """They are swallowed. A connection that lost any is cut when the way is free again."""


class Proxy:
    """From `port` to `target`, both on loopback. `up` is the client's way to the server, `down` the way back."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.is_open = True
        """False: whoever connects is reset at once."""
        self.up = self.down = Way.PASS
        self._pairs: set[_Pair] = set()
        self._changed = asyncio.Event()

    @property
    def connections(self) -> int:
        return len(self._pairs)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            tasks = [pair.task for pair in self._pairs]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def set(self, *, up: Way = Way.PASS, down: Way = Way.PASS) -> None:
        """For the connections there are and those to come."""
        self.up, self.down = up, down
        if Way.LOSE not in (up, down):
            for pair in self._pairs:
                if pair.has_hole:
                    pair.abort()
        self._changed.set()
        self._changed = asyncio.Event()

    def cut(self) -> None:
        """Both ends are reset."""
        for pair in self._pairs:
            pair.abort()

    def half_close(self, *, up: bool) -> None:
        """One end hears that the other has no more to say; the other hears nothing."""
        for pair in self._pairs:
            with suppress(OSError, RuntimeError):
                (pair.server if up else pair.client).write_eof()

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if not self.is_open:
            client.transport.abort()
            return
        try:
            server_reader, server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            client.transport.abort()
            return
        pair = _Pair(client, server)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pump(pair, reader, server, True), self._pump(pair, server_reader, client, False))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._pairs.discard(pair)
            pair.abort()

    async def _pump(self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, up: bool) -> None:
        while data := await reader.read(READ_BYTES):
            while data:
                data = data[await self._forward(pair, writer, data, up) :]
        with suppress(OSError, RuntimeError):
            writer.write_eof()

    async def _forward(self, pair: _Pair, writer: asyncio.StreamWriter, data: bytes, up: bool) -> int:
        """How many of the bytes have gone their way."""
        match self.up if up else self.down:
            case Way.STALL:
                await self._changed.wait()
                return 0
            case Way.LOSE:
                pair.has_hole = True
                return len(data)
            case Way.TRICKLE:
                data = data[:TRICKLE_BYTES]
                await asyncio.sleep(TRICKLE_S)
        if pair.has_hole:
            raise ConnectionResetError
        writer.write(data)
        await writer.drain()
        return len(data)


class _Pair:
    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.client = client
        self.server = server
        self.has_hole = False

    def abort(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()
