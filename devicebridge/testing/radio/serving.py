"""An adapter's controller served over TCP as an H4 byte stream (Bluetooth Core, vol 4 part A)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bumble import hci
from bumble.core import BaseBumbleError
from bumble.transport.common import PacketParser

from .controllers import Air, SimController

CLIENTS_MAX = 8
"""A daemon and some commands; more is a mistake."""
UNSENT_MAX_BYTES = 1 << 20
"""A client that lets this much pile up has hung; it is cut off."""


@asynccontextmanager
async def serve(air: Air, host: str, port: int) -> AsyncIterator[int]:
    """Serves one adapter; gives the port. Programs on one PC share it, so each client has a controller of its own."""
    clients: set[_Client] = set()
    server = await asyncio.get_running_loop().create_server(lambda: _Client(air, clients), host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for client in tuple(clients):
            client.close()
        await server.wait_closed()


class _Client(asyncio.Protocol):
    """The host of a controller. When it goes, its connections go."""

    def __init__(self, air: Air, clients: set[_Client]) -> None:
        self._air = air
        self._controller = SimController("served", link=air)
        self._clients = clients
        self._parser = PacketParser(self._controller)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._clients.add(self)
        self._transport = transport
        self._controller.host = self
        if len(self._clients) > CLIENTS_MAX:
            self.close()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except BaseBumbleError:
            self.close()

    def on_packet(self, packet: bytes) -> None:
        """What the controller says."""
        if self._transport is not None:
            self._transport.write(packet)
            if self._transport.get_write_buffer_size() > UNSENT_MAX_BYTES:
                self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.close()

    def close(self) -> None:
        if self._transport is None:
            return
        self._transport.abort()
        self._transport = None
        self._clients.discard(self)
        self._controller.host = None
        self._controller.silence(hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)
        self._air.remove_controller(self._controller)
